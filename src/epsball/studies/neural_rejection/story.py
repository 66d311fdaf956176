"""What the rows of study `neural-rejection` say: the answer and the sections. Imports no torch."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from epsball.evaluation.metrics.present import percent
from epsball.studies.claims.story import Block, Section, Story, TableBlock
from epsball.studies.core.data_summary import DataSummary
from epsball.studies.core.options import Options
from epsball.studies.neural_rejection.base import as_stated
from epsball.studies.neural_rejection.claims import judge
from epsball.studies.neural_rejection.costs import (
    attacking_table,
    auroc_table,
    fitting_table,
    safe_table,
    training_table,
)
from epsball.studies.neural_rejection.figures import (
    accuracy_curves,
    coverage_curves,
    knowledge_curves,
    rejection_curves,
    strips,
)
from epsball.studies.neural_rejection.measured import OURS, SAID, SOURCE, STRONGEST, Results
from epsball.studies.neural_rejection.notes import notes
from epsball.studies.neural_rejection.subjects import RUNGS, SUBJECTS
from epsball.studies.neural_rejection.tables import (
    base_table,
    crowd_table,
    doubts_table,
    harvest_table,
    knowledge_table,
    ladder_table,
    numbers_table,
    retraining_table,
    verdicts_table,
)

_HEADLINE = ("none", "nr", "dnr")


def summarise(rows: pl.DataFrame, options: Options, data: DataSummary) -> Story:
    """Say what came out.

    Args:
        rows: of all cells.
        options: what was asked for.
        data: on which images.
    """
    results = Results(rows)
    return Story(
        question="Does a reject class on inner layers withstand an attacker who knows it?",
        answer=_answer(results),
        sections=[*_attacked(results), *_beside(results)],
        verdicts=judge(results, options, data),
        notes=notes(results),
    )


def _attacked(results: Results) -> list[Section]:
    return [
        _section(
            "base",
            "The base classifier",
            "Trained with the source's settings: everything below is built around it."
            if as_stated(results)
            else "Trained at the source's learning rate, and at a tenth of it: that network is the "
            "one that everything below is built around.",
            [base_table(results)],
        ),
        _section(
            "curves",
            "Accuracy and rejection against eps",
            "What is left as the ball grows: under the source's attack, under ours on models that "
            "reject, and under the strongest we have. All of them know the defence.",
            [accuracy_curves(results), rejection_curves(results)],
        ),
        _section(
            "numbers",
            "The numbers",
            "Everybody that was attacked. Those of the figure above were given every draw of "
            "images by the source's attack, all others the first.",
            [
                numbers_table(results),
                verdicts_table(results, OURS),
                verdicts_table(results, STRONGEST),
                doubts_table(results),
            ],
        ),
        _section(
            "ladder",
            "Attacked by someone who knows",
            "The same images, from the same random starts, attacked in one way after another, "
            "for verdicts: from the source's hinge, by one change at a time, to the strongest we "
            "have.",
            [ladder_table(results), crowd_table(results)],
        ),
        _section(
            "knowledge",
            "What the attacker knows",
            "Images that were made on the bare network, shown to a defence, against images "
            "that were made on the defence itself.",
            [knowledge_curves(results), knowledge_table(results)],
        ),
    ]


def _beside(results: Results) -> list[Section]:
    return [
        _section(
            "digits",
            "What a person sees",
            "One digit under the source's attack; the defence's answer stands below each image. "
            "Held means named rightly, or rejected.",
            strips(results),
        ),
        _section(
            "retraining",
            "Retraining and adversarial training",
            "Retrained: from fresh weights, on the images and on those attacked ones that fooled "
            "the model. The last two are trained on examples that are made anew in every epoch.",
            [
                retraining_table(results, SOURCE),
                retraining_table(results, OURS),
                harvest_table(results),
            ],
        ),
        _section(
            "rejectors",
            "Rejectors compared",
            "How well the acceptance of each defence tells attacked images from clean ones, "
            "whatever its threshold: below one half where an attack succeeds with confidence. The "
            "attack is the source's, of which the tables above say how weak it is, and it was "
            "aimed at the threshold of 0.9: these numbers are upper bounds.",
            [auroc_table(results), safe_table(results), coverage_curves(results)],
        ),
        _section(
            "costs",
            "Costs",
            "What training, fitting and attacking took on this machine.",
            [training_table(results), fitting_table(results), attacking_table(results)],
        ),
    ]


def _section(key: str, title: str, lede: str, blocks: Sequence[Block]) -> Section:
    """Make a section of the blocks that hold something."""
    kept = [one for one in blocks if not isinstance(one, TableBlock) or one.rows]
    return Section(key, title, lede, kept)


def _answer(results: Results) -> str:
    middle = min(results.eps, key=lambda eps: abs(eps - (results.middle or eps)), default=0.0)
    weak, clean = _left(results, SOURCE, middle), _left(results, SOURCE, 0.0)
    if not middle or None in weak:
        return "The bare network, NR and DNR were not all attacked: see the tables."
    bare, *defended = (percent(share) for share in weak if share is not None)
    words = (
        f"Under the source's attack at eps {middle:g} in l2 the bare network keeps {bare} right, "
        f"NR {defended[0]} and DNR {defended[1]}, rejections counted as right"
    )
    lowest = [_lowest(results, name, middle) for name in _HEADLINE]
    if None not in lowest:
        each = [
            f"{percent(one.share)} of {SUBJECTS[name].words} ({one.words}, {one.images:,} images)"
            for name, one in zip(_HEADLINE, lowest, strict=True)
            if one is not None
        ]
        words += f"; the hardest of our attacks that was run on each leaves {', '.join(each)}"
    if None in clean:
        return f"{words}."
    return f"{words}. On clean images, where they count as wrong, it is {_listed(clean)}."


@dataclass(frozen=True)
class _Lowest:
    """The least that any of our attacks left, and which it was."""

    share: float
    words: str
    images: int


def _lowest(results: Results, name: str, eps: float) -> _Lowest | None:
    """Look for the attack that leaves least of a subject; of equals the one on most images."""
    ours = {attack: SAID[attack] for attack in (OURS, STRONGEST)}
    ours |= {f"rung:{rung.name}": rung.title for rung in RUNGS}
    known = []
    for attack, words in ours.items():
        found = results.estimate(name, attack, eps, draw=0)
        if found is not None:
            images = results.found.images(results.at(name, attack, eps, draw=0))
            known.append(_Lowest(found.value, words, images))
    return min(known, key=lambda one: (one.share, -one.images), default=None)


def _left(results: Results, attack: str, eps: float) -> list[float | None]:
    """Return what is left of each in the headline."""
    found = [results.estimate(name, attack, eps) for name in _HEADLINE]
    return [None if one is None else one.value for one in found]


def _listed(shares: Sequence[float | None]) -> str:
    first, *rest, last = (percent(share) for share in shares if share is not None)
    return f"{', '.join([first, *rest])} and {last}"
