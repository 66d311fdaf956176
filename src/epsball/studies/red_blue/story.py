"""What the rows of study `red-blue` say: the answer and the sections. Imports no torch."""

from collections.abc import Sequence

import polars as pl

from epsball.evaluation.metrics.present import percent
from epsball.studies.claims.measured import Measured, Point, Setting
from epsball.studies.claims.story import Section, Story
from epsball.studies.core.materials import Materials
from epsball.studies.core.options import Options
from epsball.studies.red_blue.claims import EPS, FAR, judge, words
from epsball.studies.red_blue.figures import curves, strips, trade_off
from epsball.studies.red_blue.tables import (
    cost_table,
    sides_table,
    small_table,
    source_table,
    strong_table,
    unclipped_table,
)

PARAMETERS = ("arm", "l1", "l2", "hidden", "dropout", "lr", "batch_size", "epochs", "arm_eps")
_NOTES = (
    "The source states neither hidden width, dropout rate, learning rate nor epochs. Here: 625 "
    "units and RMSProp at 1e-3, from the tutorial it cites; dropout 0.5, the usual rate; 4 epochs, "
    "chosen so that the network without penalties has the source's clean accuracy. Its clean "
    "accuracy is therefore no independent finding.",
    "Clipping to [0, 1] is not mentioned in the source. Attacked images are clipped here; the "
    "unclipped reading stands beside it.",
    "The source speaks of penalties on the adversarial inputs. Claims are judged on penalties on "
    "the clean loss, which fits its numbers; the other arm trains on FGSM examples of eps 0.10 "
    "alone (the source names no eps), with the same penalties.",
    "All settings of a repetition start from the same weights and see the images in the same "
    "order, so that the penalties alone tell them apart.",
)


def sum_up(rows: pl.DataFrame, options: Options, materials: Materials) -> Story:
    """Say what came out.

    Args:
        rows: of all cells.
        options: what was asked for.
        materials: on which images.
    """
    found = Measured(rows)
    settings = found.settings(PARAMETERS)
    base = base_of(settings)
    clean = [s for s in settings if _rest(s) == _rest(base)]
    other = [s for s in settings if s["arm"] == "adversarial"]
    verdicts = judge(found, base, options, materials)
    return Story(
        question="Do penalties on the weights protect a small network against FGSM?",
        answer=_answer(found, clean),
        sections=_sections(found, base, clean, other),
        verdicts=verdicts,
        notes=_NOTES,
    )


def base_of(settings: Sequence[Setting]) -> Setting:
    """Return the parameters beside the penalties on which claims are judged.

    Where a grid has several values of one, the first counts: the source does not state them.
    """
    clean = [s for s in settings if s["arm"] == "clean"] or list(settings)
    return {name: clean[0][name] for name in PARAMETERS if name not in ("l1", "l2")}


def _rest(setting: Setting) -> dict[str, object]:
    return {name: setting[name] for name in PARAMETERS if name not in ("l1", "l2")}


def _sections(
    found: Measured, base: Setting, clean: Sequence[Setting], other: Sequence[Setting]
) -> list[Section]:
    return [
        Section(
            "table",
            "The source's table",
            "Ours above; below it the 95 % interval over seeds, and the source's value.",
            [source_table(found, clean), small_table(found, base)],
        ),
        Section(
            "trade-off",
            "What it costs",
            "Clean accuracy against accuracy under FGSM at eps 0.10, one point a setting.",
            [trade_off(found, clean, other)],
        ),
        Section(
            "stronger",
            "Stronger attacks",
            "FGSM takes one step. What is left under PGD with five restarts, and under the "
            "strongest attack there is here, on the first of the test images.",
            [strong_table(found, [*clean, *other])],
        ),
        Section(
            "confidence",
            "Accuracy and confidence",
            "How sure the network is of what it says, right or wrong, as eps grows.",
            [curves(found, clean), sides_table(found, clean)],
        ),
        Section(
            "digits",
            "What a person sees",
            "One digit under FGSM; the network's answer stands below each image.",
            strips(found),
        ),
        Section(
            "readings",
            "The other readings",
            "The text allows for others: penalties on adversarial inputs, and no clipping.",
            [*([source_table(found, other)] if other else []), unclipped_table(found, clean)],
        ),
        Section(
            "cost",
            "Cost",
            "What training spent: images taken forward and backward, and seconds.",
            [cost_table(found, [*clean, *other])],
        ),
    ]


def _answer(found: Measured, settings: Sequence[Setting]) -> str:
    """Say in one sentence what penalties do."""
    plain = [s for s in settings if not s["l1"] and not s["l2"]]
    penalised = [s for s in settings if s["l1"] or s["l2"]]
    left = {words(s): found.estimate(Point(s, "fgsm", EPS)) for s in penalised}
    known = {name: e.value for name, e in left.items() if e is not None}
    without = found.estimate(Point(plain[0], "fgsm", EPS)) if plain else None
    if without is None or not known:
        return "The settings of the source were not run: see the tables."
    best = max(known, key=lambda name: known[name])
    far = [found.estimate(Point(s, "fgsm", FAR)) for s in penalised]
    most = max(e.value for e in far if e is not None)
    return (
        f"FGSM at eps {EPS:.2f} leaves {percent(without.value)} of the test images right without "
        f"penalties and up to {percent(known[best])} with them ({best}); at eps {FAR:.2f} no "
        f"penalty keeps more than {percent(most)}."
    )
