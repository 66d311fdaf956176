"""The tables of study `class-imbalance`. Imports no torch."""

import math
from collections.abc import Sequence
from typing import Any

from epsball.evaluation.metrics.present import percent
from epsball.studies.claims.story import (
    MISSING,
    CellText,
    TableBlock,
    share_text,
)
from epsball.studies.claims.table import load_claims
from epsball.studies.class_imbalance.case import NOTES, relative_difference
from epsball.studies.class_imbalance.coding import named_counts
from epsball.studies.class_imbalance.figures import (
    ATTACKS,
    KINDS,
)
from epsball.studies.class_imbalance.measured import COLUMNS, Measured
from epsball.studies.class_imbalance.networks import REMEDIES
from epsball.studies.class_imbalance.paired import Effect, Probes
from epsball.studies.core.data_summary import DataSummary

TRAINED = {"none": "ordinary", "adversarial": "adversarial"}
_HEADS = "under, balanced's gradient|over, balanced's gradient|balanced, own|under, own|over, own"
SKETCHED = "cat"  # of the thesis' classes: other data have none of its numbers beside theirs


def source_table(measured: Measured) -> TableBlock:
    """Lay the accuracies out like the thesis' table 6.1, its numbers beside ours."""
    stated = {
        (c.setting.get("class"), c.setting["dataset"], c.setting["gradient"]): c.value
        for c in load_claims("class-imbalance")
        if "gradient" in c.setting and SKETCHED in measured.class_names
    }
    rows: list[list[CellText]] = []
    for name in measured.class_names:
        row: list[CellText] = [name]
        for kind, gradient in COLUMNS:
            text = share_text(measured.accuracy(kind, name, gradient))
            thesis = stated.get((name, kind, gradient))
            row.append(_beside(text, thesis))
        rows.append(row)
    last: list[CellText] = ["mean"]
    for kind, gradient in COLUMNS:
        last.append(
            _beside(share_text(measured.mean(kind, gradient)), stated.get((None, kind, gradient)))
        )
    return NOTES.table("left", f"class|#{'|#'.join(_HEADS.split('|'))}", [*rows, last])


def _beside(text: CellText, thesis: float | None) -> CellText:
    if thesis is None:
        return text
    parts = (text,) if isinstance(text, str) else text
    return *parts, f"thesis {percent(thesis)}"


def relative_table(measured: Measured) -> TableBlock:
    """Show the mean relative difference of each kind of network."""
    rows: list[list[CellText]] = [
        [words, share_text(relative_difference(measured, kind))] for kind, words in KINDS.items()
    ]
    return NOTES.table("relative", "training set|#lost", rows)


def confusion_table(measured: Measured, names: Sequence[str]) -> TableBlock:
    """Show what the balanced network takes each class for, clean, in percent of the class."""
    rows: list[list[CellText]] = []
    for name in names:
        records = measured.records("balanced", name)
        totals = _summed(records)
        rows.append([name, *(f"{100 * count / sum(totals):.1f}" for count in totals)])
    heads = "true class|#" + "|#".join(measured.class_names)
    return NOTES.table("confusion", heads, rows)


def _summed(records: Sequence[dict[str, Any]]) -> list[int]:
    """Return how many images are taken for each class, over seeds."""
    counts = [named_counts(row["named"]) for row in records]
    return [sum(column) for column in zip(*counts, strict=True)]


def flow_tables(measured: Measured, names: Sequence[str]) -> list[TableBlock]:
    """Return what cats and dogs are taken for under attack, in all kinds of network."""
    blocks = []
    for name in (one for one in ("cat", "dog") if one in names):
        rows: list[list[CellText]] = []
        for kind, words in KINDS.items():
            for gradient, state in (("none", "clean"), ("same", "FGSM")):
                records = measured.records(kind, name, gradient)
                if records:
                    sums = _summed(records)
                    shares = (f"{100 * count / sum(sums):.1f}" for count in sums)
                    rows.append([f"{words}, {state}", *shares])
        heads = "network|#" + "|#".join(measured.class_names)
        blocks.append(NOTES.table("flows", heads, rows, name=name))
    return blocks


def dose_table(probes: Probes, remedy: str, doses: Sequence[int]) -> TableBlock:
    """Show what rarity changes, by dose and attack."""
    rows: list[list[CellText]] = []
    for dose in doses:
        for attack, scale in ATTACKS:
            name = attack if scale == "own" else f"{attack}, one scale"
            survival = probes.survival(remedy, dose, "target", attack, scale)
            if survival is not None:
                whole = probes.accuracy(remedy, dose, "target", attack, scale)
                control = probes.survival(remedy, dose, "control", attack, scale)
                clear = f"{survival.clear} of {survival.classes}"
                rows.append([f"1:{dose}", name, *map(_points, (whole, survival, control)), clear])
        distances = [probes.distance(remedy, dose, role) for role in ("target", "control")]
        if any(distances):
            texts = map(_percent, distances)
            rows.append([f"1:{dose}", "median distance", MISSING, *texts, MISSING])
    heads = (
        "dose|attack|#accuracy, all images|#survival, rare class|#survival, control class"
        "|#clear (McNemar, Holm)"
    )
    return NOTES.table("dose", heads, rows)


def remedy_dose(probes: Probes) -> int:
    """Return the dose at which remedies were tried; 0 where none was."""
    others = set(probes.values("remedy")) - set(TRAINED)
    doses_tried = [
        int(dose)
        for dose in probes.values("dose")
        if any(probes.records(one, "under", int(dose), "target", attack="pgd") for one in others)
    ]
    return max(doses_tried, default=0)


def remedy_table(probes: Probes) -> TableBlock:
    """Show what is left of the damage with each remedy."""
    dose, rows = remedy_dose(probes), []
    for remedy in REMEDIES:
        effects = [
            probes.accuracy(remedy, dose, "target", "none"),
            probes.accuracy(remedy, dose, "target", "pgd"),
            probes.survival(remedy, dose, "target", "pgd"),
            probes.survival(remedy, dose, "target", "strongest"),
        ]
        distance = probes.distance(remedy, dose, "target")
        if any(effects) or distance:
            texts = (*map(_points, effects), _percent(distance))
            rows.append([REMEDIES[remedy].words, *texts])
    heads = (
        "remedy|#clean accuracy|#accuracy under PGD|#survival, PGD|#survival, strongest"
        "|#median distance"
    )
    return NOTES.table("remedies", heads, rows)


def tail_table(probes: Probes, data: DataSummary) -> TableBlock:
    """Show the survival at both ends of a long tail."""
    rows: list[list[CellText]] = []
    for remedy, words in TRAINED.items():
        for attack in ("fgsm", "pgd", "strongest"):
            ends = probes.ends(remedy, attack, data.class_names)
            if ends is not None:
                flow = probes.to_frequent(remedy, attack, data.class_names)
                flows = (MISSING, MISSING) if flow is None else map(percent, flow)
                shares = (_survival(ends[end]) for end in ("head", "tail"))
                rows.append([words, attack, *shares, *flows])
    heads = (
        "training|attack|#survival, two most frequent|#survival, two rarest"
        "|#wrong answers to frequent classes|#the same, balanced"
    )
    return NOTES.table("tail", heads, rows)


def _survival(share: float | None) -> str:
    return "no image is right when clean" if share is None else percent(share)


def _points(effect: Effect | None) -> CellText:
    """Write a change of a share in percentage points with its interval, which ends at 100."""
    return _percent(None if effect is None else effect.within(-1, 1))


def _percent(effect: Effect | None) -> CellText:
    """Write a change in percent with its interval."""
    if effect is None:
        return MISSING
    if math.isnan(effect.low):
        return f"{100 * effect.mean:+.1f}"
    return f"{100 * effect.mean:+.1f}", f"{100 * effect.low:+.1f} to {100 * effect.high:+.1f}"
