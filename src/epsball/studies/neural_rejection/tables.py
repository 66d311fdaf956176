"""The tables of study `neural-rejection`. Imports no torch."""

from collections.abc import Iterable, Sequence

from epsball.evaluation.metrics.present import percent
from epsball.studies.claims.story import MISSING, CellText, TableBlock, share_text
from epsball.studies.claims.table import load_claims
from epsball.studies.neural_rejection.results import (
    CLEAN,
    LIMITED,
    NOTES,
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


def variant_titles() -> dict[str, str]:
    """Return titles of the attack variants that are clear outside the table of variants."""
    return {f"rung:{v.name}": NOTES.text(f"variant-{v.name}", alone=True) for v in VARIANTS}


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
    return NOTES.table("base", f"{heads}|#test loss|#test accuracy", rows)


def _metric(column: str, value: float | None) -> str:
    if value is None:
        return MISSING
    return f"{value:.4f}" if column == "loss" else percent(value, digits=2)


def source_table(results: Results) -> TableBlock:
    """Show accuracy and rejection rate of all subjects under the source's attack."""
    rows = [_line(results, name, SOURCE, rejected=True) for name in SUBJECTS]
    return NOTES.table("source", _heads(results, "defence|#clean"), measured(rows))


def verdicts_table(results: Results, attack: str) -> TableBlock:
    """Show accuracy under one of our attacks, on images of the first draw."""
    rows = [_line(results, name, attack, draw=0) for name in SUBJECTS]
    return NOTES.table(
        "verdicts",
        _heads(results, "defence|#clean"),
        measured(rows, skip=2),
        attack=_capital(TITLES[attack]),
        images=images_of(results, attack),
        clean=max(results.images(name, CLEAN, 0.0, 0) for name in SUBJECTS),
    )


def images_of(results: Results, attack: str) -> int:
    """Return on how many images an attack was judged, at most."""
    at = [(name, attack, eps) for name in SUBJECTS for eps in results.eps]
    return max((results.images(*one) for one in at), default=0)


def findings_table(results: Results) -> TableBlock:
    """List the findings of the checks on verdicts under our attacks; an audit judges all eps."""
    rows, titles = list[list[str]](), TITLES | variant_titles()
    for name, subject in SUBJECTS.items():
        part = results.of_kind("strong", "ladder", subject=name)
        if "checked" in part.columns and len(part.filter(checked=UNCHECKED["checked"])):
            rows.append([subject.title, "all of ours", "not checked: the checks take too long"])
        checked = part.drop_nulls("findings") if "findings" in part.columns else part.clear()
        pairs = [(r["attack"], code) for r in checked.to_dicts() for code in r["findings"].split()]
        rows += [[subject.title, titles.get(a, a), code] for a, code in dict.fromkeys(pairs)]
    return NOTES.table("findings", "defence|attack|finding", rows)


def knowledge_table(results: Results) -> TableBlock:
    """Compare perfect and limited knowledge of each defence, first draw."""
    rows: Rows = [
        [f"{SUBJECTS[n].title}, {title}", *_shares(results, n, attack, results.eps, draw=0)]
        for n in DEFENDED
        for attack, title in KNOWLEDGE.items()
    ]
    return NOTES.table("knowledge", _heads(results, "defence, knowledge"), measured(rows))


def ladder_table(results: Results) -> TableBlock:
    """Show every attack variant at one eps, the lowest accuracy of a column marked."""
    eps = results.middle or 0.0
    keys = [(v.name, name) for v in VARIANTS for name in VARIED]
    shares = {(v, n): results.estimate(n, f"rung:{v}", eps) if eps else None for v, n in keys}
    known = [(name, one.value) for (_, name), one in shares.items() if one is not None]
    least = {name: min(v for n, v in known if n == name) for name, _ in known}

    def marked(variant: str, name: str) -> CellText:
        one, cell = shares[variant, name], share_text(shares[variant, name])
        return (*cell, "lowest") if one and one.value == least[name] else cell

    rows: Rows = [
        [NOTES.text(f"variant-{v.name}", alone=False), *(marked(v.name, n) for n in VARIED)]
        for v in VARIANTS
    ]
    heads = "|".join(["attack", *(f"#{SUBJECTS[name].title}" for name in VARIED)])
    images = max(results.images(n, f"rung:{v}", eps) for v, n in keys)
    return NOTES.table("ladder", heads, measured(rows), eps=f"{eps:g}", images=images)


def density_table(results: Results) -> TableBlock:
    """Show the effect of the density term on accuracy, and on the density of the images."""
    variants, eps = [v for v in VARIANTS if v.density is not None], results.middle or 0.0
    rows: Rows = []
    for name in VARIED if eps else ():
        cells: list[CellText] = []
        for attack in (f"rung:{variant.name}" for variant in variants):
            point = results.at(name, attack, eps, "log_density", draw=None)
            density = results.points.values(point)
            cells += _shares(results, name, attack, [eps])
            cells.append(f"{density[0]:,.3f}" if density else MISSING)
        rows.append([SUBJECTS[name].title, *cells])
    heads = [f"#{c}, weight {v.density:g}" for v in variants for c in ("accuracy", "log-density")]
    return NOTES.table("density", "|".join(["defence", *heads]), measured(rows))


def retraining_table(results: Results, attack: str) -> TableBlock:
    """Compare those trained on examples with those that were not, first draw."""
    rows = [_line(results, name, attack, draw=0) for name in _TRAINED_ON]
    rows = measured(rows, skip=1 if attack == SOURCE else 2)
    heads = _heads(results, "network, defence|#clean")
    return NOTES.table("retraining", heads, rows, attack=_capital(TITLES[attack]))


def harvest_table(results: Results) -> TableBlock:
    """Show how many examples there were to retrain on."""
    rows = [
        [SUBJECTS[row["subject"]].title, f"{row['n']:,}", f"{row['kept']:,}"]
        for row in results.of_kind("harvest").iter_rows(named=True)
    ]
    heads = "attacked|#images|#fooled it, and were added"
    return NOTES.table("harvest", heads, rows, eps=f"{results.middle or 0:g}")


def auroc_table(results: Results) -> TableBlock:
    """Show how well each rejector separates attacked images from clean ones, first draw."""

    def area(name: str, eps: float) -> CellText:
        at = [results.at(name, SOURCE, eps, f"auroc{end}", draw=0) for end in ("", "_low", "_high")]
        values = [results.points.values(point) for point in at]
        if not values[0]:
            return MISSING
        area, low, high = (one[0] for one in values)
        return f"{area:.3f}", f"{low:.3f} to {high:.3f}"

    rows: Rows = [[SUBJECTS[n].title, *(area(n, e) for e in results.eps)] for n in REJECTORS]
    return NOTES.table("auroc", _heads(results, "defence"), measured(rows))


def safe_table(results: Results) -> TableBlock:
    """Show accuracy at thresholds that reject 5, 1 and 10 % of the clean images."""

    def safe(name: str, eps: float, column: str = "safe_at") -> CellText:
        known = [results.estimate(name, SOURCE, eps, f"{column}_{s}", draw=0) for s in _SHARES]
        first, *others = (None if one is None else percent(one.value) for one in known)
        notes = [f"{s[:-1]} %: {one}" for s, one in zip(_SHARES[1:], others, strict=True) if one]
        return MISSING if first is None else (first, *notes)

    rows: Rows = []
    for name in REJECTORS:
        clean = safe(name, min(results.eps), "clean_at") if results.eps else MISSING
        rows.append([SUBJECTS[name].title, clean, *(safe(name, eps) for eps in results.eps)])
    return NOTES.table("safe", _heads(results, "defence|#clean right"), measured(rows))


def _line(
    results: Results, name: str, attack: str, *, draw: int | None = None, rejected: bool = False
) -> list[CellText]:
    """Return the row of a subject: clean images, then every eps."""
    radii = (0.0, *results.eps)
    cells = _shares(results, name, attack, radii, draw=draw)
    if rejected and name in REJECTORS:
        rates = [results.estimate(name, attack, eps, "rejected", draw=draw) for eps in radii]
        cells = [
            cell if rate is None or cell == MISSING else (*cell, f"rejected {percent(rate.value)}")
            for cell, rate in zip(cells, rates, strict=True)
        ]
    return [SUBJECTS[name].title, *cells]


def _shares(
    results: Results, name: str, attack: str, radii: Iterable[float], draw: int | None = None
) -> list[CellText]:
    return [share_text(results.estimate(name, attack, eps, draw=draw)) for eps in radii]


def _heads(results: Results, first: str) -> str:
    return "|".join([first, *(f"#eps {eps:g}" for eps in results.eps)])


def measured(rows: Sequence[list[CellText]], skip: int = 1) -> Rows:
    """Return the rows that have a measured value after the first columns."""
    return [row for row in rows if any(cell != MISSING for cell in row[skip:])]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
