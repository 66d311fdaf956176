"""The page of study `label-efficient`: learning curves. Imports no torch."""

from typing import Any

import polars as pl

from epsball.studies.claims.estimates import Estimate, over_seeds
from epsball.studies.claims.story import (
    Block,
    CellText,
    Story,
    TableBlock,
    plot_point,
    share_text,
)
from epsball.studies.core.data_summary import DataSummary
from epsball.studies.core.notes import read_notes, write_story
from epsball.studies.core.options import Options

NOTES = read_notes("epsball.studies.label_efficient")
_RANDOM = "random"


def summarise(rows: pl.DataFrame, options: Options, data: DataSummary) -> Story:  # noqa: ARG001 - the signature of a page
    """Return the content of the page.

    Args:
        rows: of all cells.
        options: of the study.
        data: facts about the images.
    """
    curves = curves_of(rows)
    points: list[dict[str, Any]] = [
        plot_point(one, labels, series=choice, panel="Accuracy")
        for choice, curve in curves.items()
        for labels, one in curve.items()
    ]
    figure = NOTES.figure("curves", "labelled images", "accuracy", points)
    blocks: dict[str, list[Block]] = {"curves": [figure, _table(curves)]}
    return write_story(NOTES, _values(curves), blocks, ())


def curves_of(rows: pl.DataFrame) -> dict[str, dict[int, Estimate]]:
    """Return the accuracy by way of choosing and number of labels."""
    curves: dict[str, dict[int, Estimate]] = {}
    if "choice" not in rows.columns or "labels" not in rows.columns:
        return curves
    rounds = rows.filter(pl.col("mode") == "round")
    for (choice, labels), part in rounds.group_by(["choice", "labels"], maintain_order=True):
        shares = [row["right"] / row["n"] for row in part.sort("repeat").iter_rows(named=True)]
        curves.setdefault(str(choice), {})[int(str(labels))] = over_seeds(shares, part["n"][0])
    return curves


def labels_needed(curve: dict[int, Estimate], accuracy: float) -> int | None:
    """Return the fewest labels with which a curve reaches an accuracy; None where it does not."""
    return next((labels for labels in sorted(curve) if curve[labels].value >= accuracy), None)


def _table(curves: dict[str, dict[int, Estimate]]) -> TableBlock:
    counts = sorted({labels for curve in curves.values() for labels in curve})
    rows: list[list[CellText]] = [
        [choice, *(share_text(curve.get(labels)) for labels in counts)]
        for choice, curve in curves.items()
    ]
    heads = "|".join(["choice", *(f"#{labels} labels" for labels in counts)])
    return NOTES.table("curves", heads, rows)


def _values(curves: dict[str, dict[int, Estimate]]) -> dict[str, Any]:
    """Return the variables of notes.md: what reaches random's last accuracy with fewest labels."""
    random = curves.get(_RANDOM, {})
    if not random:
        return {"best": None, "needed": None, "last": None, "accuracy": None}
    last = max(random)
    accuracy = random[last].value
    others = {
        choice: labels_needed(curve, accuracy)
        for choice, curve in curves.items()
        if choice != _RANDOM
    }
    known = {choice: labels for choice, labels in others.items() if labels is not None}
    best = min(known, key=lambda one: known[one]) if known else None
    needed = None if best is None else known[best]
    return {"best": best, "needed": needed, "last": last, "accuracy": accuracy}
