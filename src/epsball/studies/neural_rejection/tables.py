"""The tables of study `neural-rejection`. Imports no torch."""

from collections.abc import Sequence
from typing import Any

from epsball.evaluation.metrics.present import interval, percent
from epsball.studies.claims.story import MISSING, CellText, TableBlock, share_text
from epsball.studies.claims.table import load_claims
from epsball.studies.neural_rejection.case import NOTES
from epsball.studies.neural_rejection.results import (
    CLEAN,
    LIMITED,
    OURS,
    SOURCE,
    TITLES,
    Results,
)
from epsball.studies.neural_rejection.subjects import NETS, SUBJECTS, UNCHECKED, VARIANTS

REJECTORS = tuple(name for name, subject in SUBJECTS.items() if subject.defence)
VARIED = tuple(name for name, subject in SUBJECTS.items() if subject.variants)
WHOLE = tuple(name for name, subject in SUBJECTS.items() if subject.whole)
DEFENDED = tuple(name for name in WHOLE if name in REJECTORS)
KNOWLEDGE = {
    LIMITED: "limited knowledge",
    SOURCE: "perfect knowledge",
    OURS: "our rejection attack",
}
_TRAINED_ON = ("none", "retrained", "dnr", "dnr-retrained", "pgd", "generator")
_METRICS = ("loss", "accuracy")
_SHARES = ("5%", "1%", "10%")  # of clean images rejected; the first stands above
Rows = list[list[CellText]]


def base_table(results: Results) -> TableBlock:
    """Compare losses and accuracies of the networks trained on clean images with the source's."""
    rows: Rows = []
    for row in results.of_kind("train").iter_rows(named=True):
        same = {"net": row["net"], "repeat": row["repeat"]}
        splits = [results.one("losses", split=split, **same) for split in ("train", "test")]
        if row.get("taken") or splits == [None, None]:
            continue  # the network above it, or one that was trained on examples
        cells = [_metric(c, row[f"train_{c}"]) for c in _METRICS]
        cells += [_metric(c, one[c]) if one else MISSING for one in splits for c in _METRICS]
        lr = row.get("lr") or row.get("train_lr")
        rows.append([NETS[row["net"]].title + ("" if lr is None else f", lr {lr:g}"), *cells])
    stated = {claim.id.rpartition(".")[2]: claim.value for claim in load_claims("neural-rejection")}
    train, test = ([_metric(c, stated[f"{s}-{c}"]) for c in _METRICS] for s in ("train", "test"))
    if rows:
        rows.append(["the source reports", *train, MISSING, MISSING, *test])
    heads = "training|#train loss|#train accuracy|#loss, dropout off|#accuracy, dropout off"
    return TableBlock(NOTES.text("base-table"), f"{heads}|#test loss|#test accuracy", rows)


def _metric(column: str, value: float | None) -> str:
    if value is None:
        return MISSING
    return f"{value:.4f}" if column == "loss" else percent(value, digits=2)


def source_table(results: Results) -> TableBlock:
    """Show accuracy and rejection rate of all subjects under the source's attack."""
    rows = [_line(results, name, SOURCE, rejected=True) for name in SUBJECTS]
    return TableBlock(
        NOTES.text("source-table"), _heads(results, "defence", clean=True), rows_of(rows)
    )


def verdicts_table(results: Results, attack: str) -> TableBlock:
    """Show accuracy under one of our attacks, on images of the first draw."""
    rows = [_line(results, name, attack, draw=0) for name in SUBJECTS]
    clean = [
        results.rows_by_point.images(results.at(name, CLEAN, 0.0, draw=0)) for name in SUBJECTS
    ]
    caption = NOTES.text(
        "verdicts-table",
        attack=_capital(TITLES[attack]),
        images=images_of(results, attack),
        clean=max(clean, default=0),
    )
    return TableBlock(caption, _heads(results, "defence", clean=True), rows_of(rows, skip=2))


def images_of(results: Results, attack: str) -> int:
    """Return on how many images an attack was judged, at most."""
    points = [results.at(name, attack, eps) for name in SUBJECTS for eps in results.eps]
    return max((results.rows_by_point.images(point) for point in points), default=0)


def findings_table(results: Results) -> TableBlock:
    """List the findings of the checks on verdicts under our attacks; an audit judges all eps."""
    rows: Rows = []
    titles = dict(TITLES) | {f"rung:{v.name}": v.full_title for v in VARIANTS}
    for name, subject in SUBJECTS.items():
        part = results.of_kind("strong", "ladder", subject=name)
        if "checked" in part.columns and len(part.filter(checked=UNCHECKED["checked"])):
            rows.append([subject.title, "all of ours", "not checked: the checks take too long"])
        found = part.drop_nulls("findings") if "findings" in part.columns else part.clear()
        codes = {
            (row["attack"], code): None
            for row in found.iter_rows(named=True)
            for code in row["findings"].split()
        }
        rows += [[subject.title, titles.get(attack, attack), code] for attack, code in codes]
    return TableBlock(NOTES.text("findings-table"), "defence|attack|finding", rows)


def knowledge_table(results: Results) -> TableBlock:
    """Compare perfect and limited knowledge of each defence, first draw."""
    rows: Rows = [
        [
            f"{SUBJECTS[name].title}, {title}",
            *(_cell(results, name, attack, eps, draw=0) for eps in results.eps),
        ]
        for name in DEFENDED
        for attack, title in KNOWLEDGE.items()
    ]
    heads = _heads(results, "defence, knowledge")
    return TableBlock(NOTES.text("knowledge-table"), heads, rows_of(rows))


def ladder_table(results: Results) -> TableBlock:
    """Show every attack variant at one eps, the lowest accuracy of a column marked."""
    eps = results.middle or 0.0
    keys = [(v.name, name) for v in VARIANTS for name in VARIED]
    found = {(v, n): results.estimate(n, f"rung:{v}", eps) if eps else None for v, n in keys}
    known = [(name, one.value) for (_, name), one in found.items() if one is not None]
    least = {name: min(v for n, v in known if n == name) for name, _ in known}

    def marked(variant: str, name: str) -> CellText:
        one, cell = found[variant, name], share_text(found[variant, name])
        return (*cell, "lowest") if one and one.value == least[name] else cell

    rows: Rows = [[v.title, *(marked(v.name, name) for name in VARIED)] for v in VARIANTS]
    heads = "|".join(["attack", *(f"#{SUBJECTS[name].title}" for name in VARIED)])
    images = [results.rows_by_point.images(results.at(n, f"rung:{v}", eps)) for v, n in keys]
    caption = NOTES.text("ladder-table", eps=f"{eps:g}", images=max(images, default=0))
    return TableBlock(caption, heads, rows_of(rows))


def density_table(results: Results) -> TableBlock:
    """Show the effect of the density term on accuracy, and on the density of the images."""
    variants, eps = [v for v in VARIANTS if v.density is not None], results.middle or 0.0
    rows: Rows = []
    for name in VARIED if eps else ():
        cells: list[CellText] = []
        for variant in variants:
            attack = f"rung:{variant.name}"
            density = results.values(results.at(name, attack, eps, "log_density"))
            cells.append(_cell(results, name, attack, eps))
            cells.append(f"{density[0]:,.3f}" if density else MISSING)
        rows.append([SUBJECTS[name].title, *cells])
    heads = [f"#{c}, weight {v.density:g}" for v in variants for c in ("accuracy", "log-density")]
    return TableBlock(NOTES.text("density-table"), "|".join(["defence", *heads]), rows_of(rows))


def retraining_table(results: Results, attack: str) -> TableBlock:
    """Compare those trained on examples with those that were not, first draw."""
    rows = [_line(results, name, attack, draw=0) for name in _TRAINED_ON]
    caption = NOTES.text("retraining-table", attack=_capital(TITLES[attack]))
    measured = rows_of(rows, skip=1 if attack == SOURCE else 2)
    return TableBlock(caption, _heads(results, "network, defence", clean=True), measured)


def harvest_table(results: Results) -> TableBlock:
    """Show how many examples there were to retrain on."""
    rows: Rows = [
        [SUBJECTS[row["subject"]].title, f"{row['n']:,}", f"{row['kept']:,}"]
        for row in results.of_kind("harvest").iter_rows(named=True)
    ]
    caption = NOTES.text("harvest-table", eps=f"{results.middle or 0:g}")
    return TableBlock(caption, "attacked|#images|#fooled it, and were added", rows)


def auroc_table(results: Results) -> TableBlock:
    """Show how well each rejector separates attacked images from clean ones, first draw."""
    columns = ("auroc", "auroc_low", "auroc_high")

    def area(name: str, eps: float) -> CellText:
        values = [results.values(results.at(name, SOURCE, eps, c, draw=0)) for c in columns]
        if not values[0]:
            return MISSING
        area, low, high = (one[0] for one in values)
        return f"{area:.3f}", f"{low:.3f} to {high:.3f}"

    rows: Rows = [[SUBJECTS[n].title, *(area(n, e) for e in results.eps)] for n in REJECTORS]
    return TableBlock(NOTES.text("auroc-table"), _heads(results, "defence"), rows_of(rows))


def safe_table(results: Results) -> TableBlock:
    """Show accuracy at thresholds that reject 5, 1 and 10 % of the clean images."""

    def safe(name: str, eps: float, column: str) -> CellText:
        known = [results.estimate(name, SOURCE, eps, f"{column}_{s}", draw=0) for s in _SHARES]
        first, *others = (None if one is None else percent(one.value) for one in known)
        notes = [f"{s[:-1]} %: {one}" for s, one in zip(_SHARES[1:], others, strict=True) if one]
        return MISSING if first is None else (first, *notes)

    rows: Rows = []
    for name in REJECTORS:
        clean = safe(name, min(results.eps), "clean_at") if results.eps else MISSING
        cells = [safe(name, eps, "safe_at") for eps in results.eps]
        rows.append([SUBJECTS[name].title, clean, *cells])
    heads = _heads(results, "defence|#clean right")
    return TableBlock(NOTES.text("safe-table"), heads, rows_of(rows))


def _line(
    results: Results, name: str, attack: str, *, draw: int | None = None, rejected: bool = False
) -> list[CellText]:
    at = [(CLEAN, 0.0), *((attack, eps) for eps in results.eps)]
    cells = [_cell(results, name, *one, draw=draw, rejected=rejected) for one in at]
    return [SUBJECTS[name].title, *cells]


def _cell(
    results: Results,
    name: str,
    attack: str,
    eps: float,
    *,
    draw: int | None = None,
    rejected: bool = False,
) -> CellText:
    ours = results.estimate(name, attack, eps, draw=draw)
    share = results.estimate(name, attack, eps, "rejected", draw=draw) if rejected else None
    if ours is None or share is None or name not in REJECTORS:
        return share_text(ours)
    return percent(ours.value), interval(ours.interval), f"rejected {percent(share.value)}"


def _heads(results: Results, first: str, *, clean: bool = False) -> str:
    eps = [f"#eps {eps:g}" for eps in results.eps]
    return "|".join([first, *(["#clean"] if clean else []), *eps])


def rows_of(rows: Sequence[Any], skip: int = 1) -> Rows:
    """Return the rows that have a measured value after the first columns."""
    return [row for row in rows if any(cell != MISSING for cell in row[skip:])]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
