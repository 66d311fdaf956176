"""The page of study `class-imbalance`. Imports no torch."""

import math
from collections.abc import Sequence
from typing import Any

import polars as pl

from epsball.evaluation.metrics.present import eps_text, percent
from epsball.studies.claims.story import (
    MISSING,
    Block,
    CellText,
    Section,
    Story,
    TableBlock,
    share_text,
)
from epsball.studies.claims.table import load_claims
from epsball.studies.class_imbalance.claims import NOTES, judge, relative_difference
from epsball.studies.class_imbalance.coding import named_counts
from epsball.studies.class_imbalance.figures import (
    ATTACKS,
    KINDS,
    accuracy_figure,
    density_figure,
    dose_figure,
    relative_figure,
)
from epsball.studies.class_imbalance.measured import COLUMNS, Measured
from epsball.studies.class_imbalance.networks import REMEDIES
from epsball.studies.class_imbalance.paired import Effect, Probes
from epsball.studies.core.data_summary import DataSummary
from epsball.studies.core.options import Options

TRAINED = {"none": "ordinary", "adversarial": "adversarial"}
_HEADS = "under, balanced's gradient|over, balanced's gradient|balanced, own|under, own|over, own"
_SKETCHED = "cat"  # of the thesis' classes: other data have none of its numbers beside theirs


def summarise(rows: pl.DataFrame, options: Options, data: DataSummary) -> Story:
    """Return the page: an answer, table 6.1 beside the thesis' numbers, and what goes beyond it.

    Args:
        rows: of all cells; those that are missing leave gaps.
        options: what was asked for.
        data: the facts about the images.
    """
    found, probes = Measured(rows, data.class_names), Probes(rows)
    schedule = str(rows["schedule"][0]) if "schedule" in rows.columns else "fast"
    blocks = {**_source_blocks(rows, found), **_beyond_blocks(probes, data)}
    values = {
        "answers": [one for remedy in TRAINED if (one := _dose_answer(probes, remedy))],
        "lost": _lost(found), "eps": _eps(found), "remedy_dose": _remedy_dose(probes),
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
        verdicts=judge(found, probes, data, options, schedule),
        notes=NOTES.items("notes", **values),
    )


def _title(title: str, values: dict[str, Any]) -> str:
    return title.replace("{{ remedy_dose }}", str(values["remedy_dose"]))


def _eps(found: Measured) -> str:
    records = (found.records("balanced", name, "same") for name in found.class_names)
    return next((eps_text(float(some[0]["eps"])) for some in records if some), MISSING)


def _lost(found: Measured) -> dict[str, float] | None:
    """Return the mean relative difference of each kind of network; None unless all are known."""
    means = {kind: relative_difference(found, kind) for kind in KINDS}
    known = {kind: mean.value for kind, mean in means.items() if mean is not None}
    return known if len(known) == len(means) else None


def _source_blocks(rows: pl.DataFrame, found: Measured) -> dict[str, list[Block]]:
    names = [name for name in found.class_names if found.accuracy("balanced", name, "same")]
    if not names:
        return {}
    sketched = _SKETCHED if _SKETCHED in names else names[0]
    figures = accuracy_figure(found, names), relative_figure(found, names)
    return {
        "table": [_table(found)],
        "classes": [*figures, _relative(found)],
        "confusion": [
            _confusion(found, names), *_flows(found, names), density_figure(rows, sketched)
        ],
    }  # fmt: skip


def _table(found: Measured) -> TableBlock:
    said = {
        (c.setting.get("class"), c.setting["dataset"], c.setting["gradient"]): c.value
        for c in load_claims("class-imbalance")
        if "gradient" in c.setting and _SKETCHED in found.class_names
    }
    rows: list[list[CellText]] = []
    for name in found.class_names:
        row: list[CellText] = [name]
        for kind, gradient in COLUMNS:
            text = share_text(found.accuracy(kind, name, gradient))
            theirs = said.get((name, kind, gradient))
            row.append(_beside(text, theirs))
        rows.append(row)
    last: list[CellText] = ["mean"]
    for kind, gradient in COLUMNS:
        last.append(
            _beside(share_text(found.mean(kind, gradient)), said.get((None, kind, gradient)))
        )
    return NOTES.table("left", f"class|#{'|#'.join(_HEADS.split('|'))}", [*rows, last])


def _beside(text: CellText, theirs: float | None) -> CellText:
    if theirs is None:
        return text
    parts = (text,) if isinstance(text, str) else text
    return *parts, f"thesis {percent(theirs)}"


def _relative(found: Measured) -> TableBlock:
    rows: list[list[CellText]] = [
        [words, share_text(relative_difference(found, kind))] for kind, words in KINDS.items()
    ]
    return NOTES.table("relative", "training set|#lost", rows)


def _confusion(found: Measured, names: Sequence[str]) -> TableBlock:
    rows: list[list[CellText]] = []
    for name in names:
        records = found.records("balanced", name)
        totals = _summed(records)
        rows.append([name, *(f"{100 * count / sum(totals):.1f}" for count in totals)])
    heads = "true class|#" + "|#".join(found.class_names)
    return NOTES.table("confusion", heads, rows)


def _summed(records: Sequence[dict[str, Any]]) -> list[int]:
    """Return how many images are taken for each class, over seeds."""
    counts = [named_counts(row["named"]) for row in records]
    return [sum(column) for column in zip(*counts, strict=True)]


def _flows(found: Measured, names: Sequence[str]) -> list[TableBlock]:
    """Return what cats and dogs are taken for under attack, in all kinds of network."""
    blocks = []
    for name in (one for one in ("cat", "dog") if one in names):
        rows: list[list[CellText]] = []
        for kind, words in KINDS.items():
            for gradient, state in (("none", "clean"), ("same", "FGSM")):
                records = found.records(kind, name, gradient)
                if records:
                    sums = _summed(records)
                    shares = (f"{100 * count / sum(sums):.1f}" for count in sums)
                    rows.append([f"{words}, {state}", *shares])
        heads = "network|#" + "|#".join(found.class_names)
        blocks.append(NOTES.table("flows", heads, rows, name=name))
    return blocks


def _beyond_blocks(probes: Probes, data: DataSummary) -> dict[str, list[Block]]:
    doses = sorted(int(dose) for dose in probes.values("dose"))
    blocks: dict[str, list[Block]] = {}
    for remedy in TRAINED:
        table = _dose_table(probes, remedy, doses)
        if table.rows:
            blocks[f"dose-{remedy}"] = [table, dose_figure(probes, remedy)]
    if set(probes.values("remedy")) - set(TRAINED):
        blocks["remedies"] = [_remedy_table(probes)]
    tail = _tail_table(probes, data)
    return {**blocks, "tail": [tail]} if tail.rows else blocks


def _dose_table(probes: Probes, remedy: str, doses: Sequence[int]) -> TableBlock:
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
            texts = map(_points, distances)
            rows.append([f"1:{dose}", "median distance", MISSING, *texts, MISSING])
    heads = (
        "dose|attack|#accuracy, all images|#survival, rare class|#survival, control class"
        "|#clear (McNemar, Holm)"
    )
    return NOTES.table("dose", heads, rows)


def _remedy_dose(probes: Probes) -> int:
    """Return the dose at which remedies were tried; 0 where none was."""
    others = set(probes.values("remedy")) - set(TRAINED)
    tried = [
        int(dose)
        for dose in probes.values("dose")
        if any(probes.records(one, "under", int(dose), "target", attack="pgd") for one in others)
    ]
    return max(tried, default=0)


def _remedy_table(probes: Probes) -> TableBlock:
    dose, rows = _remedy_dose(probes), []
    for remedy in REMEDIES:
        effects = [
            probes.accuracy(remedy, dose, "target", "none"),
            probes.accuracy(remedy, dose, "target", "pgd"),
            probes.survival(remedy, dose, "target", "pgd"),
            probes.survival(remedy, dose, "target", "strongest"),
            probes.distance(remedy, dose, "target"),
        ]
        if any(effects):
            rows.append([REMEDIES[remedy].words, *map(_points, effects)])
    heads = (
        "remedy|#clean accuracy|#accuracy under PGD|#survival, PGD|#survival, strongest"
        "|#median distance"
    )
    return NOTES.table("remedies", heads, rows)


def _tail_table(probes: Probes, data: DataSummary) -> TableBlock:
    rows: list[list[CellText]] = []
    for remedy, words in TRAINED.items():
        for attack in ("fgsm", "pgd", "strongest"):
            ends = probes.ends(remedy, attack, data.class_names)
            if ends is not None:
                flow = probes.to_frequent(remedy, attack, data.class_names)
                flows = (MISSING, MISSING) if flow is None else map(percent, flow)
                shares = percent(ends["head"]), percent(ends["tail"])
                rows.append([words, attack, *shares, *flows])
    heads = (
        "training|attack|#survival, two most frequent|#survival, two rarest"
        "|#wrong answers to frequent classes|#the same, balanced"
    )
    return NOTES.table("tail", heads, rows)


def _points(effect: Effect | None) -> CellText:
    """Write a change in percentage points with its interval."""
    if effect is None:
        return MISSING
    if math.isnan(effect.low):
        return f"{100 * effect.mean:+.1f}"
    return f"{100 * effect.mean:+.1f}", f"{100 * effect.low:+.1f} to {100 * effect.high:+.1f}"


def _dose_answer(probes: Probes, remedy: str) -> dict[str, Any] | None:
    """Return what rarity does under PGD, at the largest dose that was probed on two classes."""
    for dose in sorted((int(dose) for dose in probes.values("dose")), reverse=True):
        effect = probes.survival(remedy, dose, "target", "pgd")
        control = probes.survival(remedy, dose, "control", "pgd")
        if effect is None or effect.classes < 2:
            continue
        verdict = "is easier to attack" if effect.mean < 0 else "is harder to attack"
        if effect.low <= 0 <= effect.high:
            verdict = "is not measurably easier to attack"
        low, high, change = (f"{100 * v:+.1f}" for v in (effect.low, effect.high, effect.mean))
        return {
            "training": "Adversarially" if remedy == "adversarial" else "Ordinarily",
            "dose": dose, "verdict": verdict, "low": low, "high": high, "change": change,
            "classes": effect.classes, "control": f"{100 * control.mean:+.1f}" if control else "",
        }  # fmt: skip
    return None
