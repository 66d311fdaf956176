"""The page of study `class-imbalance`. Imports no torch."""

import math
from collections.abc import Sequence
from importlib.resources import files

import polars as pl

from epsball.evaluation.metrics.present import eps_text, percent
from epsball.studies.claims.story import MISSING, CellText, Section, Story, TableBlock, share_text
from epsball.studies.class_imbalance.claims import judge, relative_difference
from epsball.studies.class_imbalance.coding import named_counts
from epsball.studies.class_imbalance.figures import (
    KINDS,
    accuracy_figure,
    density_figure,
    dose_figure,
    relative_figure,
)
from epsball.studies.class_imbalance.measured import COLUMNS, Measured
from epsball.studies.class_imbalance.networks import REMEDIES
from epsball.studies.class_imbalance.paired import Effect, Probes
from epsball.studies.claims.table import load_claims
from epsball.studies.core.data_summary import DataSummary
from epsball.studies.core.options import Options

_ATTACKS = (("fgsm", "own"), ("pgd", "own"), ("pgd", "unit"), ("strongest", "own"))
_HEADS = "under, balanced's gradient|over, balanced's gradient|balanced, own|under, own|over, own"
_SKETCHED = "cat"


def summarise(rows: pl.DataFrame, options: Options, data: DataSummary) -> Story:
    """Return the page: an answer, table 6.1 beside the thesis' numbers, and what goes beyond it.

    Args:
        rows: of all cells.
        options: what was asked for.
        data: the facts about the images.
    """
    found, probes = Measured(rows, data.class_names), Probes(rows)
    schedule = str(rows["schedule"][0]) if "schedule" in rows.columns else "fast"
    sections = [*_source_sections(rows, found), *_beyond(probes, data)]
    return Story(
        question="Is a rare class easier to attack?",
        answer=_answer(found, probes),
        sections=sections,
        verdicts=judge(found, probes, data, options, schedule),
        notes=_notes(),
    )


def _notes() -> list[str]:
    text = files("epsball.studies.class_imbalance").joinpath("notes.md").read_text("utf-8")
    return [" ".join(part.split()) for part in text.split("\n- ")[1:]]


def _source_sections(rows: pl.DataFrame, found: Measured) -> list[Section]:
    names = [name for name in found.class_names if found.accuracy("balanced", name, "same")]
    if not names:
        return []
    eps = eps_text(float(found.records("balanced", names[0], "same")[0]["eps"]))
    sketched = _SKETCHED if _SKETCHED in names else names[0]
    return [
        Section(
            "table",
            "Table 6.1",
            f"Accuracy of the target class under FGSM at eps {eps}, only its test images attacked.",
            [_table(found)],
        ),
        Section(
            "classes",
            "Before and after",
            "Each class in the network in which it is the target.",
            [accuracy_figure(found, names), relative_figure(found, names), _relative(found)],
        ),
        Section(
            "confusion",
            "Who is taken for whom",
            "Rows are true classes; shares of the row in percent.",
            [_confusion(found, names), *_flows(found, names), density_figure(rows, sketched)],
        ),
    ]


def _table(found: Measured) -> TableBlock:
    said = {
        (c.setting.get("class"), c.setting["dataset"], c.setting["gradient"]): c.value
        for c in load_claims("class-imbalance")
        if "gradient" in c.setting
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
        last.append(_beside(share_text(found.mean(kind, gradient)), said.get((None, kind, gradient))))
    caption = "Accuracy that is left, with 95 % intervals, and the thesis' number"
    return TableBlock(caption, f"class|#{'|#'.join(_HEADS.split('|'))}", [*rows, last])


def _beside(text: CellText, theirs: float | None) -> CellText:
    if theirs is None:
        return text
    parts = (text,) if isinstance(text, str) else text
    return *parts, f"thesis {percent(theirs)}"


def _relative(found: Measured) -> TableBlock:
    rows: list[list[CellText]] = [
        [words, share_text(relative_difference(found, kind))] for kind, words in KINDS.items()
    ]
    return TableBlock("Mean relative difference over all classes", "training set|#lost", rows)


def _confusion(found: Measured, names: Sequence[str]) -> TableBlock:
    rows: list[list[CellText]] = []
    for name in names:
        records = found.records("balanced", name)
        totals = [sum(column) for column in zip(*(named_counts(r["named"]) for r in records), strict=True)]
        rows.append([name, *(f"{100 * count / sum(totals):.1f}" for count in totals)])
    heads = "true class|#" + "|#".join(found.class_names)
    return TableBlock("Figure 5.2: the balanced network, clean test images", heads, rows)


def _flows(found: Measured, names: Sequence[str]) -> list[TableBlock]:
    """Return what cats and dogs are taken for under attack, in all kinds of network."""
    blocks = []
    for name in (one for one in ("cat", "dog") if one in names):
        rows: list[list[CellText]] = []
        for kind, words in KINDS.items():
            for gradient, state in (("none", "clean"), ("same", "FGSM")):
                records = found.records(kind, name, gradient)
                if records:
                    sums = [sum(c) for c in zip(*(named_counts(r["named"]) for r in records), strict=True)]
                    shares = (f"{100 * count / sum(sums):.1f}" for count in sums)
                    rows.append([f"{words}, {state}", *shares])
        heads = "network|#" + "|#".join(found.class_names)
        blocks.append(TableBlock(f"Figure 6.4: what images of {name} are taken for", heads, rows))
    return blocks


def _beyond(probes: Probes, data: DataSummary) -> list[Section]:
    sections = []
    doses = sorted(int(dose) for dose in probes.values("dose"))
    remedies = probes.values("remedy")
    if len(doses) > 1:
        for remedy in (one for one in ("none", "adversarial") if one in remedies):
            sections.append(_dose_section(probes, remedy, doses))
    if set(remedies) - {"none", "adversarial"}:
        sections.append(_remedy_section(probes, remedies))
    tail = _tail_section(probes, data)
    return [*sections, tail] if tail else sections


def _dose_section(probes: Probes, remedy: str, doses: Sequence[int]) -> Section:
    words = "adversarial" if remedy == "adversarial" else "ordinary"
    rows: list[list[CellText]] = []
    for dose in doses:
        for attack, scale in _ATTACKS:
            effects = [
                probes.accuracy(remedy, dose, "target", attack, scale),
                probes.survival(remedy, dose, "target", attack, scale),
                probes.survival(remedy, dose, "control", attack, scale),
            ]
            if effects[1] is not None:
                name = attack if scale == "own" else f"{attack}, one scale"
                clear = f"{effects[1].clear} of {effects[1].classes}"
                rows.append([f"1:{dose}", name, *map(_points, effects), clear])
        distance = probes.distance(remedy, dose, "target")
        if distance is not None:
            other = probes.distance(remedy, dose, "control")
            rows.append([f"1:{dose}", "median distance", MISSING, *map(_points, (distance, other)), MISSING])
    heads = (
        "dose|attack|#accuracy, all images|#survival, rare class|#survival, control class"
        "|#clear (McNemar, Holm)"
    )
    return Section(
        f"dose-{remedy}",
        f"Dose and response: {words} training",
        "The same class, rare and not; survival is of images that both networks get right when "
        "clean. Changes in percentage points (of the median distance: in percent), means over "
        "classes with 95 % intervals over classes. The control class keeps all its images.",
        [TableBlock("What rarity changes", heads, rows), dose_figure(probes, remedy)],
    )


def _remedy_section(probes: Probes, remedies: Sequence[str]) -> Section:
    dose = max(
        int(d)
        for d in probes.values("dose")
        if any(probes.records(r, "under", int(d), "target", "pgd") for r in set(remedies) - {"none", "adversarial"})
    )
    rows: list[list[CellText]] = []
    for remedy in (one for one in REMEDIES if one in remedies):
        cells = [
            probes.accuracy(remedy, dose, "target", "none"),
            probes.accuracy(remedy, dose, "target", "pgd"),
            probes.survival(remedy, dose, "target", "pgd"),
            probes.survival(remedy, dose, "target", "strongest"),
            probes.distance(remedy, dose, "target"),
        ]
        if any(cells):
            rows.append([REMEDIES[remedy].words, *map(_points, cells)])
    heads = "remedy|#clean accuracy|#accuracy under PGD|#survival, PGD|#survival, strongest|#distance"
    return Section(
        "remedies",
        f"Remedies at 1:{dose}",
        "The rare class against the same class in the balanced network of the same kind of "
        "training: 0 is a remedy that restores what rarity takes. Percentage points; of the median "
        "distance: percent.",
        [TableBlock("What is left of the damage", heads, rows)],
    )


def _tail_section(probes: Probes, data: DataSummary) -> Section | None:
    rows: list[list[CellText]] = []
    for remedy, words in (("none", "ordinary"), ("adversarial", "adversarial")):
        for attack in ("fgsm", "pgd", "strongest"):
            ends = probes.ends(remedy, attack, data.class_names)
            if ends is None:
                continue
            flow = probes.to_frequent(remedy, attack, data.class_names)
            flows = (MISSING, MISSING) if flow is None else tuple(percent(one) for one in flow)
            rows.append([words, attack, percent(ends["head"]), percent(ends["tail"]), *flows])
    if not rows:
        return None
    heads = (
        "training|attack|#survival, two most frequent|#survival, two rarest"
        "|#wrong answers to frequent classes|#the same, balanced"
    )
    return Section(
        "tail",
        "Positive control: a long tail",
        "Published for adversarial training at a ratio of 50 (WRN-28-10, CIFAR-10): the two most "
        "frequent classes keep 84 % of their clean-right images, the tail 28 %. Two tails are "
        "averaged that begin at different classes, so that difficulty does not pass for rarity.",
        [TableBlock("Survival of images that are right when clean", heads, rows)],
    )


def _points(effect: Effect | None) -> CellText:
    """Write a change in percentage points with its interval."""
    if effect is None:
        return MISSING
    if math.isnan(effect.low):
        return f"{100 * effect.mean:+.1f}"
    return f"{100 * effect.mean:+.1f}", f"{100 * effect.low:+.1f} to {100 * effect.high:+.1f}"


def _answer(found: Measured, probes: Probes) -> str:
    parts = [text for remedy in ("none", "adversarial") if (text := _dose_answer(probes, remedy))]
    if parts:
        return " ".join(parts)
    means = [relative_difference(found, kind) for kind in KINDS]
    if any(mean is None for mean in means):
        return "Too few networks are trained yet to answer: see the table."
    under, balanced, over = (percent(mean.value) for mean in means if mean is not None)
    return (
        f"FGSM takes {under} of its clean accuracy from a class that is five times rarer, {balanced} "
        f"from the same class among equals, and {over} where the others are five times rarer. "
        "Whether rarity does it, or accuracy that was low before, only the dose-response part tells."
    )


def _dose_answer(probes: Probes, remedy: str) -> str:
    """Say in one sentence what rarity does, under PGD, at the largest dose that was probed."""
    doses = sorted((int(dose) for dose in probes.values("dose")), reverse=True)
    for dose in doses:
        effect = probes.survival(remedy, dose, "target", "pgd")
        control = probes.survival(remedy, dose, "control", "pgd")
        if effect is None or effect.classes < 2:
            continue
        words = "Adversarially" if remedy == "adversarial" else "Ordinarily"
        verdict = "is easier to attack"
        if effect.low <= 0 <= effect.high:
            verdict = "is not measurably easier to attack"
        elif effect.mean > 0:
            verdict = "is harder to attack"
        beside = f", a class left alone {100 * control.mean:+.1f}" if control else ""
        return (
            f"{words} trained, a class that is {dose} times rarer {verdict}: of the images that are "
            f"right when clean with and without rarity, {100 * effect.mean:+.1f} percentage points "
            f"survive PGD (95 % interval {100 * effect.low:+.1f} to {100 * effect.high:+.1f} over "
            f"{effect.classes} classes){beside}."
        )
    return ""
