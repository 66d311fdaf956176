"""The page of study `substitute`: success against queries. Imports no torch."""

from typing import Any

import polars as pl

from epsball.studies.claims.story import (
    MISSING,
    Block,
    CellText,
    PlotBlock,
    Story,
    TableBlock,
    plot_point,
    share_text,
)
from epsball.studies.core.data_summary import DataSummary
from epsball.studies.core.notes import write_story
from epsball.studies.core.options import Options
from epsball.studies.substitute.claims import NOTES, Shares, judge

_HOW = ("substitute", "momentum", "square", "hopskipjump")


def summarise(rows: pl.DataFrame, options: Options, data: DataSummary) -> Story:  # noqa: ARG001 - the signature of a page
    """Return the content of the page.

    Args:
        rows: of all cells.
        options: of the study.
        data: facts about the images.
    """
    shares = Shares(rows)
    settings = _settings(rows)
    blocks: dict[str, list[Block]] = {
        "curves": [_curves(shares, settings), _table(shares, settings)],
    }
    return write_story(NOTES, _values(shares, settings), blocks, judge(shares))


def _settings(rows: pl.DataFrame) -> list[tuple[str, int]]:
    if "how" not in rows.columns:
        return []
    pairs = rows.filter(pl.col("mode") == "fooled").select("oracle", "queries")
    return [(str(one[0]), int(one[1])) for one in pairs.unique(maintain_order=True).rows()]


def _curves(shares: Shares, settings: list[tuple[str, int]]) -> PlotBlock:
    points: list[dict[str, Any]] = []
    for oracle, queries in settings:
        for how in _HOW:
            share = shares.corrected(oracle, queries, how)
            if share is not None:
                points.append(plot_point(share, queries, series=how, panel=oracle))
    y = "fooled, of the images right when clean"
    return NOTES.figure("queries", "queries", y, points)


def _table(shares: Shares, settings: list[tuple[str, int]]) -> TableBlock:
    rows: list[list[CellText]] = []
    for oracle, queries in settings:
        known = shares.at(oracle, queries)
        agree = sum(row["agree"] / row["n"] for row in known) / len(known) if known else None
        rows.append(
            [
                oracle,
                f"{queries:,}",
                share_text(shares.raw(oracle, queries)),
                *(share_text(shares.corrected(oracle, queries, how)) for how in _HOW),
                MISSING if agree is None else f"{100 * agree:.1f} %",
            ]
        )
    heads = "oracle|#queries|#substitute, all images|#substitute, corrected|#with momentum|#square"
    return NOTES.table("queries", heads + "|#hopskipjump|#same label as the oracle", rows)


def _values(shares: Shares, settings: list[tuple[str, int]]) -> dict[str, Any]:
    """Return the variables of notes.md: the network at its most queries."""
    most = max((queries for oracle, queries in settings if oracle == "dnn"), default=None)
    share = None if most is None else shares.raw("dnn", most)
    momentum = None if most is None else shares.raw("dnn", most, "momentum")
    return {
        "most": most,
        "share": None if share is None else share.value,
        "momentum": None if momentum is None else momentum.value,
    }
