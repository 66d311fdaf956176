"""The tables of study `neural-rejection` about cost. Imports no torch."""

import polars as pl

from epsball.studies.claims.story import MISSING, CellText, TableBlock
from epsball.studies.neural_rejection.case import NOTES
from epsball.studies.neural_rejection.networks import USED
from epsball.studies.neural_rejection.results import SOURCE, TITLES, Results
from epsball.studies.neural_rejection.subjects import NETS, SUBJECTS
from epsball.studies.neural_rejection.tables import REJECTORS, Rows, rows_of

_PER = 1000  # images


def training_table(results: Results) -> TableBlock:
    """Show what training cost."""
    plain, rows = results.one("train", net=USED), []
    for name, net in NETS.items():
        row = results.one("train", net=name)
        if row is not None and not row.get("taken"):
            gradients = row["gradient_evaluations"]
            times = f"{gradients / plain['gradient_evaluations']:.1f}" if plain else MISSING
            cells = [f"{row['epochs_run']:,}", f"{gradients:,}", times]
            rows.append([net.title, *cells, f"{row['training_seconds']:,.0f}"])
    heads = "network|#epochs|#gradients|#times plain|#seconds"
    return TableBlock(NOTES.text("training-table"), heads, rows)


def fitting_table(results: Results) -> TableBlock:
    """Show what fitting a defence cost, and its size."""
    rows: Rows = []
    for name in REJECTORS:
        subject = SUBJECTS[name]
        part = results.of_kind("fit", fit=subject.fit)
        # NR and the softmax have no combiner: null in the rows
        same = part.filter(pl.col("combiner").eq_missing(subject.combiner)) if len(part) else part
        for row in same.iter_rows(named=True):
            counts = [f"{int(count):,}" for count in (row["support_vectors"] or "").split()]
            cells = [f"{row['n']:,}", _seconds(row["fit_seconds"]), ", ".join(counts) or MISSING]
            sizes = f"{row['learned_numbers']:,}", f"{row['peak_gigabytes']:.1f}"
            rows.append([subject.title, *cells, *sizes, f"{row['torch_threads']}"])
    heads = "defence|#images|#seconds|#support vectors|#learned numbers|#memory, GB|#threads"
    return TableBlock(NOTES.text("fitting-table"), heads, rows)


def attacking_table(results: Results) -> TableBlock:
    """Show what attacking a thousand images costs."""
    rows: list[list[CellText]] = [
        [subject.title, *(cell for attack in TITLES for cell in _per(results, name, attack))]
        for name, subject in SUBJECTS.items()
    ]
    heads = "|".join(f"#gradients, {title}|#seconds for 1,000" for title in TITLES.values())
    return TableBlock(NOTES.text("attacking-table"), f"attacked|{heads}", rows_of(rows))


def _per(results: Results, name: str, attack: str) -> tuple[str, str]:
    """Return gradients per image and seconds for 1,000."""
    part = results.of_kind("curve" if attack == SOURCE else "strong", subject=name)
    judged = part.filter(attack=attack) if len(part) else part
    if judged.is_empty():
        return MISSING, MISSING
    images, gradients = float(judged["n"].sum()), float(judged["backwards"].sum())
    spent = judged.get_column("attack_seconds", default=None)
    if spent is None or spent.null_count():
        # a cell's seconds are divided among all its rows, those about coverage too
        spent = part.filter(pl.col("cell").is_in(judged["cell"].implode()))["seconds"]
    return f"{gradients / images:,.1f}", _seconds(_PER * float(spent.sum()) / images)


def _seconds(value: float) -> str:
    return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"
