"""What the rows of study `adversarial-training` say. Imports no torch."""

from collections.abc import Sequence

import polars as pl

from epsball.evaluation.metrics.present import eps_text, interval, percent
from epsball.studies.adversarial_training.claims import judge, rows_of
from epsball.studies.adversarial_training.figures import capacity, leaking, over_epochs, slopes
from epsball.studies.adversarial_training.rows import EVERY
from epsball.studies.claims.story import CellText, Section, Story, TableBlock
from epsball.studies.claims.study_rows import Point, StudyRows
from epsball.studies.core.data_summary import DataSummary
from epsball.studies.core.options import Options

_DASH = "\N{EN DASH}"
_ATTACKS = ("none", "fgsm", "bim", "pgd", "strongest", "transfer:fgsm", "transfer:mifgsm")
_HEADS = "training|#clean|#FGSM|#BIM|#PGD, 5 restarts|#strongest|#held-out FGSM|#held-out MI-FGSM"
_NOTES = (
    "The slides report no experiments of their own; data, network, eps, optimiser and epochs are "
    "ours. All rows of a repetition share first weights (those of equal width), order of images "
    "and optimiser, and end with the weights of the last epoch: no stopping hides a collapse.",
    "FGSM is judged on all test images, the held-out model's examples on the first 2,000 at "
    "most; BIM, PGD and strongest on the first of them, for verdicts. PGD takes 40 steps.",
    "Examples added once are made by FGSM on a trained network of the same kind, as the slides' "
    "first step has it; the ensemble's static models are two plainly trained networks, one of half "
    "the width. The held-out model is none of them and was trained with dropout.",
    "The two numbers of Goodfellow et al. are those of another network on MNIST: ours stand beside "
    "them and decide nothing.",
)


def summarise(rows: pl.DataFrame, options: Options, data: DataSummary) -> Story:
    """Say what came out.

    Args:
        rows: of all cells.
        options: what was asked for.
        data: on which images.
    """
    found = StudyRows(rows)
    eps = float(rows["study_eps"][0])
    names = rows_of(found)
    return Story(
        question="What does training on adversarial examples do, and at what cost?",
        answer=_answer(found, names, eps),
        sections=_sections(found, names, eps),
        verdicts=judge(found, eps, data, options.train_limit),
        notes=_NOTES,
    )


def _sections(found: StudyRows, names: Sequence[str], eps: float) -> list[Section]:
    lede = f"What each network still gets right at eps {eps_text(eps)} in linf, and what it cost."
    watched = "Accuracy on a few hundred training images after every epoch, at the training eps."
    return [
        Section("table", "The table", lede, [_table(found, names, eps), _costs(found, names)]),
        Section("overfitting", "Catastrophic overfitting", watched, [over_epochs(found, names)]),
        Section(
            "leaking",
            "Label leaking",
            "One-step examples made with the true label betray it: a network can learn to read the "
            "label off the perturbation, and then does better on attacked images than on clean.",
            [leaking(found, names, eps)],
        ),
        Section(
            "capacity",
            "Capacity",
            "The FGSM mix in networks of a quarter, once and twice the width.",
            [capacity(found, eps)],
        ),
        Section(
            "linear",
            "The linear explanation",
            "Logits of one image of the undefended network along the sign of the gradient.",
            [slopes(found)],
        ),
    ]


def _table(found: StudyRows, names: Sequence[str], eps: float) -> TableBlock:
    rows = []
    for name in names:
        places = [Point({"row": name}, a, 0.0 if a == "none" else eps) for a in _ATTACKS]
        rows.append([EVERY[name].words, *(_cell(found, place) for place in places)])
    return TableBlock("Accuracy that is left, with 95 % intervals", _HEADS, rows)


def _cell(found: StudyRows, place: Point) -> CellText:
    ours = found.estimate(place)
    return _DASH if ours is None else (percent(ours.value), interval(ours.interval))


def _costs(found: StudyRows, names: Sequence[str]) -> TableBlock:
    rows: list[list[CellText]] = []
    plain = _cost(found, "none")
    for name in names:
        gradients, seconds, doubts = _cost(found, name)
        times = _DASH if not plain[0] else f"{gradients / plain[0]:.1f}"
        told = f"{gradients:,.0f}", times, f"{seconds:.0f}", doubts or "none"
        rows.append([EVERY[name].words, *told])
    heads = "training|#gradients|#times plain|#seconds|what the watch saw"
    caption = "What training cost, per network; static models' own training left out"
    return TableBlock(caption, heads, rows)


def _cost(found: StudyRows, name: str) -> tuple[float, float, str]:
    part = found.rows.filter(pl.col("kind") == "train", pl.col("row") == name)
    if part.is_empty():
        return 0.0, 0.0, ""
    means = part.select(pl.col("gradient_evaluations", "training_seconds").mean()).row(0)
    doubts = {code for text in part["findings"].drop_nulls() for code in text.split()}
    return float(means[0]), float(means[1]), ", ".join(sorted(doubts))


def _answer(found: StudyRows, names: Sequence[str], eps: float) -> str:
    left = {n: found.estimate(Point({"row": n}, "strongest", eps)) for n in names}
    known = {name: e.value for name, e in left.items() if e is not None}
    if not known:
        return "Nothing was judged by the strongest attack: see the table."
    best = max(known, key=lambda name: known[name])
    clean = found.estimate(Point({"row": best}))
    plain = _cost(found, "none")[0]
    words = (
        f"At eps {eps_text(eps)} the strongest attack leaves {percent(known[best])} right at most"
    )
    words += f" ({EVERY[best].words}; clean {percent(clean.value)})" if clean else ""
    cost = _cost(found, best)[0]
    words += f", for {cost / plain:.1f} times the gradients of plain training" if plain else ""
    single = [known[n] for n in ("fgsm-mix", "fgsm-only") if n in known]
    step = f"; one-step training on true labels keeps {percent(max(single))}" if single else ""
    return f"{words}{step}."
