"""The pages of a study: one HTML page, and one in Markdown for the docs. Never imports torch."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from epsball.files import write_bytes
from epsball.report.drawing.document import render
from epsball.report.drawing.figure import write_figures
from epsball.report.drawing.table import Cell, Table, table
from epsball.report.study.claims import (
    is_answered,
    number_table,
    reason,
    shared_departures,
    tally,
    unanswered,
)
from epsball.report.study.facts import study_facts
from epsball.report.study.figures import study_figure
from epsball.report.study.strips import study_strip
from epsball.studies.core.store import read_study

NAME = "report.html"


def write_study(out: Path, *, figures: bool = False) -> Path:
    """Turn a finished study into one self-contained page.

    Args:
        out: the study's directory: summary.json and, if kept, images/.
        figures: whether to write every figure as SVG, PNG and PDF into `figures/` as well.

    Returns:
        The page, `out / "report.html"`; the same study always gives the same bytes.

    Raises:
        InvalidInput: the directory holds no finished study, or cannot be written.
    """
    summary = read_study(out)
    story = summary["story"]
    sections = [{**section, "blocks": _blocks(section, out)} for section in story["sections"]]
    drawn = [block for s in sections for kind, block in s["blocks"] if kind == "figure"]
    page = render(
        "study.html",
        drawn,
        summary=summary,
        story=story,
        sections=sections,
        tally=tally(summary["verdicts"]),
        findings=[c for c in summary["claims"] if c["kind"] != "value" and is_answered(c)],
        numbers=number_table(summary["claims"]),
        unanswered=unanswered(summary["claims"]),
        reason=reason,
        shared=shared_departures(summary["claims"]),
        facts=study_facts(summary["manifest"]),
    )
    if figures:
        write_figures(drawn, out / "figures")
    return write_bytes(out / NAME, page)


def table_of(block: Mapping[str, Any]) -> Table:
    """Turn a study's table into the page's form: a cell is text, or text and small lines."""
    rows = [
        [Cell(c) if isinstance(c, str) else Cell(c[0], note="\n".join(c[1:])) for c in row]
        for row in block["rows"]
    ]
    return table(str(block["caption"]), str(block["heads"]), rows)


def _blocks(section: Mapping[str, Any], out: Path) -> list[tuple[str, Any]]:
    """Return the blocks that can be shown, each with its kind."""
    blocks = [(_kind(block), _MAKE[block["block"]](block, out)) for block in section["blocks"]]
    return [(kind, block) for kind, block in blocks if block is not None]


def _kind(block: Mapping[str, Any]) -> str:
    return "folded" if block.get("folded") else str(block["block"])


_MAKE: dict[str, Callable[[Mapping[str, Any], Path], Any]] = {
    "figure": lambda block, _: study_figure(block),
    "strip": study_strip,
    "table": lambda block, _: table_of(block),
}
