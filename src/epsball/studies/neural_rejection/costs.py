"""The tables of study `neural-rejection` about rejectors and about cost. Imports no torch."""

from collections.abc import Sequence

import polars as pl

from epsball.evaluation.metrics.present import percent
from epsball.studies.claims.story import CellText, TableBlock
from epsball.studies.neural_rejection.base import USED
from epsball.studies.neural_rejection.measured import SAID, SOURCE, Results
from epsball.studies.neural_rejection.subjects import NETS, SUBJECTS
from epsball.studies.neural_rejection.tables import DASH, REJECTORS

_SHARES = ("5%", "1%", "10%")  # of clean images rejected; the first stands above
_PER = 1000  # images


def auroc_table(results: Results) -> TableBlock:
    """Show how well each rejector tells attacked images from clean ones, first draw."""
    rows: list[list[CellText]] = [
        [SUBJECTS[name].words, *(_area(results, name, eps) for eps in results.eps)]
        for name in REJECTORS
    ]
    caption = "AUROC of acceptance, attacked against clean, source's attack, first draw"
    return TableBlock(caption, _heads(results), _known(rows))


def _area(results: Results, name: str, eps: float) -> CellText:
    area, low, high = (
        results.values(results.at(name, SOURCE, eps, column, draw=0))
        for column in ("auroc", "auroc_low", "auroc_high")
    )
    return (f"{area[0]:.3f}", f"{low[0]:.3f} to {high[0]:.3f}") if area else DASH


def safe_table(results: Results) -> TableBlock:
    """Show what holds at thresholds that reject 5, 1 and 10 % of the clean images."""
    rows: list[list[CellText]] = []
    for name in REJECTORS:
        cells = [_safe(results, name, eps, "safe_at") for eps in results.eps]
        clean = _safe(results, name, min(results.eps), "clean_at") if results.eps else DASH
        rows.append([SUBJECTS[name].words, clean, *cells])
    heads = _heads(results).replace("defence|", "defence|#clean right|")
    caption = (
        "At thresholds that reject 5 % (below: 1 and 10 %) of the clean images that are named "
        "rightly, set on these same images; source's attack, which did not know them"
    )
    return TableBlock(caption, heads, _known(rows))


def _safe(results: Results, name: str, eps: float, column: str) -> CellText:
    known = [results.estimate(name, SOURCE, eps, f"{column}_{s}", draw=0) for s in _SHARES]
    if known[0] is None:
        return DASH
    notes = [
        f"{share.removesuffix('%')} %: {percent(one.value)}"
        for share, one in zip(_SHARES[1:], known[1:], strict=True)
        if one is not None
    ]
    return percent(known[0].value), *notes


def training_table(results: Results) -> TableBlock:
    """Show what training cost."""
    plain = results.one("train", net=USED)
    rows: list[list[CellText]] = []
    for name, net in NETS.items():
        row = results.one("train", net=name)
        if row is not None and not row.get("taken"):
            times = row["gradient_evaluations"] / plain["gradient_evaluations"] if plain else None
            told = [f"{row['epochs_run']:,}", f"{row['gradient_evaluations']:,}"]
            told += [DASH if times is None else f"{times:.1f}", f"{row['training_seconds']:,.0f}"]
            rows.append([net.words, *told])
    heads = "network|#epochs|#gradients|#times plain|#seconds"
    return TableBlock("Training a network, the first of each kind", heads, rows)


def fitting_table(results: Results) -> TableBlock:
    """Show what fitting a defence cost, and how large it came out."""
    rows: list[list[CellText]] = []
    for name in REJECTORS:
        subject = SUBJECTS[name]
        part = results.of_kind("fit", fit=subject.fit)
        # NR and the softmax have no combiner: null in the rows
        found = part.filter(pl.col("combiner").eq_missing(subject.combiner)) if len(part) else part
        rows += [
            [
                subject.words,
                f"{row['n']:,}",
                _seconds(row["fit_seconds"]),
                _counts(row["support_vectors"]),
                f"{row['learned_numbers']:,}",
                f"{row['peak_gigabytes']:.1f}",
                f"{row['torch_threads']}",
            ]
            for row in found.iter_rows(named=True)
        ]
    heads = "defence|#images|#seconds|#support vectors|#learned numbers|#memory, GB|#threads"
    caption = (
        "Fitting a defence around a trained network: support vectors machine set by machine set, "
        "the most memory that the process had until then"
    )
    return TableBlock(caption, heads, rows)


def _counts(text: str | None) -> CellText:
    counts = [f"{int(count):,}" for count in (text or "").split()]
    return ", ".join(counts) or DASH


def attacking_table(results: Results) -> TableBlock:
    """Show what attacking a thousand images costs."""
    rows: list[list[CellText]] = []
    for name, subject in SUBJECTS.items():
        rows.append([subject.words, *(w for attack in SAID for w in _per(results, name, attack))])
    heads = "|".join(f"#gradients, {words}|#seconds for 1,000" for words in SAID.values())
    caption = (
        "Attacking: gradients an image, seconds for 1,000 images, means over eps; an audit's "
        "checks are not among them"
    )
    return TableBlock(caption, f"attacked|{heads}", _known(rows))


def _per(results: Results, name: str, attack: str) -> tuple[str, str]:
    """Return gradients an image and seconds for 1,000."""
    part = results.of_kind("curve" if attack == SOURCE else "strong", subject=name)
    judged = part.filter(attack=attack) if len(part) else part
    if judged.is_empty():
        return DASH, DASH
    images, gradients = float(judged["n"].sum()), float(judged["backwards"].sum())
    spent = judged.get_column("attack_seconds", default=None)
    if spent is None or spent.null_count():
        # a cell's seconds are shared out among all its rows, those about coverage too
        spent = part.filter(pl.col("cell").is_in(judged["cell"].implode()))["seconds"]
    return f"{gradients / images:,.1f}", _seconds(_PER * float(spent.sum()) / images)


def _seconds(value: float) -> str:
    return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def _heads(results: Results) -> str:
    return "|".join(["defence", *(f"#eps {eps:g}" for eps in results.eps)])


def _known(rows: Sequence[list[CellText]]) -> list[list[CellText]]:
    return [row for row in rows if any(cell != DASH for cell in row[1:])]
