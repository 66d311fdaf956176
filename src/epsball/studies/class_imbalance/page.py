"""The page of study `class-imbalance`. Imports no torch."""

from typing import Any

import polars as pl

from epsball.evaluation.metrics.present import eps_text
from epsball.studies.claims.story import (
    MISSING,
    Block,
    Section,
    Story,
)
from epsball.studies.class_imbalance.case import NOTES, relative_difference
from epsball.studies.class_imbalance.claims import judge
from epsball.studies.class_imbalance.figures import (
    KINDS,
    accuracy_figure,
    density_figure,
    dose_figure,
    relative_figure,
)
from epsball.studies.class_imbalance.measured import Measured
from epsball.studies.class_imbalance.paired import Probes
from epsball.studies.class_imbalance.tables import (
    SKETCHED,
    TRAINED,
    confusion_table,
    dose_table,
    flow_tables,
    relative_table,
    remedy_dose,
    remedy_table,
    source_table,
    tail_table,
)
from epsball.studies.core.data_summary import DataSummary
from epsball.studies.core.options import Options

_ADVERBS = {"none": "Ordinarily", "adversarial": "Adversarially"}


def summarise(rows: pl.DataFrame, options: Options, data: DataSummary) -> Story:
    """Return the page: an answer, table 6.1 beside the thesis' numbers, and what goes beyond it.

    Args:
        rows: of all cells; those that are missing leave gaps.
        options: what was asked for.
        data: the facts about the images.
    """
    measured, probes = Measured(rows, data.class_names), Probes(rows)
    schedule = str(rows["schedule"][0]) if "schedule" in rows.columns else "fast"
    blocks = {**_source_blocks(rows, measured), **_beyond_blocks(probes, data)}
    values = {
        "answers": [one for remedy in TRAINED if (one := _dose_answer(probes, remedy))],
        "tails": [one for remedy in TRAINED if (one := _tail_answer(probes, data, remedy))],
        "lost": _lost(measured), "eps": _eps(measured), "remedy_dose": remedy_dose(probes),
    }  # fmt: skip
    sections = [
        Section(key, _title(title, values), NOTES.text(key, **values), blocks[key])
        for key, title in NOTES.sections
        if key in blocks
    ]
    return Story(
        question=NOTES.question,
        answer=NOTES.text("answer", **values),
        sections=sections,
        verdicts=judge(measured, probes, data, options, schedule),
        notes=NOTES.items("notes", **values),
    )


def _title(title: str, values: dict[str, Any]) -> str:
    return title.replace("{{ remedy_dose }}", str(values["remedy_dose"]))


def _eps(measured: Measured) -> str:
    records = (measured.records("balanced", name, "same") for name in measured.class_names)
    return next((eps_text(float(some[0]["eps"])) for some in records if some), MISSING)


def _lost(measured: Measured) -> dict[str, float] | None:
    """Return the mean relative difference of each kind of network; None unless all are known."""
    means = {kind: relative_difference(measured, kind) for kind in KINDS}
    known = {kind: mean.value for kind, mean in means.items() if mean is not None}
    return known if len(known) == len(means) else None


def _source_blocks(rows: pl.DataFrame, measured: Measured) -> dict[str, list[Block]]:
    names = [name for name in measured.class_names if measured.accuracy("balanced", name, "same")]
    if not names:
        return {}
    sketched = SKETCHED if SKETCHED in names else names[0]
    figures = accuracy_figure(measured, names), relative_figure(measured, names)
    return {
        "table": [source_table(measured)],
        "classes": [*figures, relative_table(measured)],
        "confusion": [
            confusion_table(measured, names),
            *flow_tables(measured, names),
            density_figure(rows, sketched),
        ],
    }


def _beyond_blocks(probes: Probes, data: DataSummary) -> dict[str, list[Block]]:
    doses = sorted(int(dose) for dose in probes.values("dose"))
    blocks: dict[str, list[Block]] = {}
    for remedy in TRAINED:
        table = dose_table(probes, remedy, doses)
        if table.rows:
            blocks[f"dose-{remedy}"] = [table, dose_figure(probes, remedy)]
    if set(probes.values("remedy")) - set(TRAINED):
        blocks["remedies"] = [remedy_table(probes)]
    tail = tail_table(probes, data)
    return {**blocks, "tail": [tail]} if tail.rows else blocks


def _tail_answer(probes: Probes, data: DataSummary, remedy: str) -> dict[str, Any] | None:
    """Return what both ends of a long tail keep under PGD; None unless both are known."""
    ends = probes.ends(remedy, "pgd", data.class_names)
    if ends is None or None in (ends["head"], ends["tail"]):
        return None
    return {"training": _ADVERBS[remedy], "head": ends["head"], "tail": ends["tail"]}


def _dose_answer(probes: Probes, remedy: str) -> dict[str, Any] | None:
    """Return what rarity does under PGD, at the largest dose that leaves enough classes.

    Of a class that is very rare no image may be right when clean. At least two classes have to be
    left, and half of those that the smallest dose leaves.
    """
    doses = sorted(int(dose) for dose in probes.values("dose"))
    effects = {dose: probes.survival(remedy, dose, "target", "pgd") for dose in doses}
    most = max((effect.classes for effect in effects.values() if effect), default=0)
    for dose in reversed(doses):
        effect, control = effects[dose], probes.survival(remedy, dose, "control", "pgd")
        if effect is None or effect.classes < max(2, most / 2):
            continue
        effect = effect.within(-1, 1)
        verdict = "is easier to attack" if effect.mean < 0 else "is harder to attack"
        if effect.low <= 0 <= effect.high:
            verdict = "is not measurably easier to attack"
        low, high, change = (f"{100 * v:+.1f}" for v in (effect.low, effect.high, effect.mean))
        return {
            "training": _ADVERBS[remedy],
            "dose": dose, "verdict": verdict, "low": low, "high": high, "change": change,
            "classes": effect.classes, "control": f"{100 * control.mean:+.1f}" if control else "",
        }  # fmt: skip
    return None
