"""The tables of study `neural-rejection` about cost. Imports no torch."""

import polars as pl

from epsball.studies.claims.story import MISSING, TableBlock
from epsball.studies.neural_rejection.networks import USED
from epsball.studies.neural_rejection.results import NOTES, SOURCE, TITLES, Results
from epsball.studies.neural_rejection.subjects import NETS, SUBJECTS
from epsball.studies.neural_rejection.tables import REJECTORS, Rows, measured

_PER = 1000  # images


def training_table(results: Results) -> TableBlock:
    """Show what training cost."""
    plain, rows = results.one("train", net=USED), list[list[str]]()
    for name, net in NETS.items():
        row = results.one("train", net=name)
        if row is not None and not row.get("taken"):
            gradients = row["gradient_evaluations"]
            times = f"{gradients / plain['gradient_evaluations']:.1f}" if plain else MISSING
            cells = [f"{row['epochs_run']:,}", f"{gradients:,}", times]
            rows.append([net.title, *cells, f"{row['training_seconds']:,.0f}"])
    return NOTES.table("training", "network|#epochs|#gradients|#times plain|#seconds", rows)


def fitting_table(results: Results) -> TableBlock:
    """Show what fitting a defence cost, and its size."""
    rows: Rows = []
    for subject in (SUBJECTS[name] for name in REJECTORS):
        for row in results.of_kind("fit", fit=subject.fit).iter_rows(named=True):
            if row["combiner"] != subject.combiner:  # NR and the softmax have none
                continue
            counts = [f"{int(count):,}" for count in (row["support_vectors"] or "").split()]
            cells = [f"{row['n']:,}", _seconds(row["fit_seconds"]), ", ".join(counts) or MISSING]
            sizes = f"{row['learned_numbers']:,}", f"{row['peak_gigabytes']:.1f}"
            rows.append([subject.title, *cells, *sizes, f"{row['torch_threads']}"])
    heads = "defence|#images|#seconds|#support vectors|#learned numbers|#memory, GB|#threads"
    return NOTES.table("fitting", heads, rows)


def attacking_table(results: Results) -> TableBlock:
    """Show what attacking a thousand images costs."""
    rows: Rows = [
        [subject.title, *(cell for attack in TITLES for cell in _per_image(results, name, attack))]
        for name, subject in SUBJECTS.items()
    ]
    heads = "|".join(f"#gradients, {title}|#seconds for 1,000" for title in TITLES.values())
    return NOTES.table("attacking", f"attacked|{heads}", measured(rows))


def _per_image(results: Results, name: str, attack: str) -> tuple[str, str]:
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
