"""The verdicts of a study as tables: findings first, then numbers."""

from collections.abc import Mapping, Sequence
from typing import Any

from epsball.report.numbers import MISSING
from epsball.report.table import Cell, Row, Table, table

VERDICTS = {
    "match": "numbers that match the source's",
    "differs": "numbers that differ",
    "holds": "findings that hold",
    "refuted": "findings that are refuted",
    "not run": "claims not run",
}
_HEADS = "claim|verdict|#measured|why"


def claim_tables(claims: Sequence[Mapping[str, Any]]) -> list[Table]:
    """List every verdict with what was measured and one line of why.

    Args:
        claims: the `claims` of summary.json, each with the source's "text", "kind" and "source".

    Returns:
        Findings (orderings and statements), then numbers; those that there are.
    """
    findings = [c for c in claims if c["kind"] != "value"]
    numbers = [c for c in claims if c["kind"] == "value"]
    both = (("Findings of the source", findings), ("Numbers of the source", numbers))
    return [table(name, _HEADS, [claim_row(c) for c in some]) for name, some in both if some]


def claim_row(claim: Mapping[str, Any]) -> Row:
    """Lay one verdict out."""
    beside = [] if claim["same_setting"] or claim["verdict"] == "not run" else ["another setting"]
    return [
        str(claim["text"]),
        Cell(str(claim["verdict"]), note=", ".join(beside)),
        Cell(measured(claim["value"]), note=interval(claim)),
        str(claim["note"]),
    ]


def measured(value: float | None) -> str:
    """Write a measured number with four digits; a dash where there is none."""
    return MISSING if value is None else f"{value:.4f}"


def interval(claim: Mapping[str, Any]) -> str:
    """Write the interval of a verdict; nothing where there is none."""
    if claim["interval"] is None:
        return ""
    low, high = claim["interval"]
    return f"{low:.3f} to {high:.3f}"
