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
from epsball.studies.substitute.claims import NOTES, SOURCE, Shares, asked_as, judge

_HOW = ("substitute", "momentum", "square", "hopskipjump")
_DESCENDING = (False, False, True)  # the source's questions precede the others


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


def _settings(rows: pl.DataFrame) -> list[tuple[str, int, str]]:
    if "how" not in rows.columns:
        return []
    known = asked_as(rows).filter(pl.col("mode") == "fooled")
    columns = ("oracle", "queries", "questions")
    order = known.select(columns).unique(maintain_order=True).sort(columns, descending=_DESCENDING)
    return [(str(one[0]), int(one[1]), str(one[2])) for one in order.rows()]


def _curves(shares: Shares, settings: list[tuple[str, int, str]]) -> PlotBlock:
    points: list[dict[str, Any]] = []
    for oracle, queries, questions in settings:
        for how in _HOW:
            share = shares.corrected(oracle, queries, how, questions)
            if share is not None:
                series = how if questions == SOURCE else f"{how}, questions: {questions}"
                points.append(plot_point(share, queries, series=series, panel=oracle))
    y = "fooled, of the images right when clean"
    return NOTES.figure("queries", "queries", y, points)


def _table(shares: Shares, settings: list[tuple[str, int, str]]) -> TableBlock:
    rows: list[list[CellText]] = []
    for oracle, queries, questions in settings:
        known = shares.at(oracle, queries, questions=questions)
        agree = sum(row["agree"] / row["n"] for row in known) / len(known) if known else None
        rows.append(
            [
                oracle,
                f"{queries:,}",
                questions,
                share_text(shares.raw(oracle, queries, questions=questions)),
                *(share_text(shares.corrected(oracle, queries, how, questions)) for how in _HOW),
                MISSING if agree is None else f"{100 * agree:.1f} %",
            ]
        )
    heads = "oracle|#queries|questions|#substitute, all images|#substitute, corrected"
    more = "|#with momentum|#square|#hopskipjump|#same label as the oracle"
    return NOTES.table("queries", heads + more, rows)


def _values(shares: Shares, settings: list[tuple[str, int, str]]) -> dict[str, Any]:
    """Return the variables of notes.md: the network at its most queries."""
    most = max((queries for oracle, queries, _ in settings if oracle == "dnn"), default=0)
    estimates = {
        "share": shares.raw("dnn", most),
        "momentum": shares.raw("dnn", most, "momentum"),
        "attacks": shares.raw("dnn", most, "momentum", "attacks"),
    }
    values = {name: None if one is None else one.value for name, one in estimates.items()}
    return {"most": most, **values}
