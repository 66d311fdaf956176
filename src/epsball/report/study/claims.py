"""The verdicts of a study, in words and as a table."""

from collections.abc import Mapping, Sequence
from typing import Any

from epsball.report.drawing.numbers import MISSING
from epsball.report.drawing.table import Cell, Row, Table, table

# word of a verdict: what one claim with it is, and what several are
_VERDICTS = {
    "match": ("number that matches the source's", "numbers that match the source's"),
    "differs": ("number that differs", "numbers that differ"),
    "holds": ("finding that holds", "findings that hold"),
    "refuted": ("finding that is refuted", "findings that are refuted"),
    "undecided": (
        "claim that another setting cannot decide",
        "claims that another setting cannot decide",
    ),
    "not run": ("claim not run", "claims not run"),
}
_HEADS = "claim|verdict|#measured|why"


def tally(counts: Mapping[str, int]) -> list[tuple[int, str]]:
    """Return how many claims have each verdict, with the words for it.

    Example:
        >>> tally({"holds": 1, "not run": 2})
        [(1, 'finding that holds'), (2, 'claims not run')]
    """
    return [
        (counts[name], one if counts[name] == 1 else several)
        for name, (one, several) in _VERDICTS.items()
        if counts.get(name)
    ]


def number_table(claims: Sequence[Mapping[str, Any]]) -> Table | None:
    """List every number of the source with what was measured and one line of why.

    Args:
        claims: the `claims` of summary.json.

    Returns:
        The table; None where the source has no number.
    """
    shared = shared_departures(claims)
    values = [claim for claim in claims if claim["kind"] == "value" and is_answered(claim)]
    rows = [claim_row(claim, shared) for claim in values]
    return table("Numbers of the source", _HEADS, rows) if rows else None


def is_answered(claim: Mapping[str, Any]) -> bool:
    """Say whether a claim was measured, in the source's setting or in another one."""
    return bool(claim["verdict"] != "not run")


def unanswered(claims: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return the names of the claims for which nothing was measured, by the reason why."""
    names: dict[str, list[str]] = {}
    for claim in claims:
        if not is_answered(claim):
            names.setdefault(reason(claim), []).append(str(claim["id"]))
    return names


def claim_row(claim: Mapping[str, Any], shared: Sequence[str]) -> Row:
    """Lay one verdict out."""
    return [
        str(claim["text"]),
        str(claim["verdict"]),
        Cell(measured(claim["value"]), note=interval(claim)),
        reason(claim, shared),
    ]


def shared_departures(claims: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return what differs from the source's setting for every claim that was answered."""
    settings = [tuple(claim["differs"]) for claim in claims if is_answered(claim)]
    return (
        tuple(words for words in settings[0] if all(words in s for s in settings))
        if settings
        else ()
    )


def reason(claim: Mapping[str, Any], shared: Sequence[str] = ()) -> str:
    """Write why, and in what other setting it was measured.

    Args:
        claim: of summary.json.
        shared: departures that the page states once for all claims.
    """
    differs = [words for words in claim["differs"] if words not in shared]
    if claim["same_setting"] or not differs:
        return str(claim["note"])
    return f"{claim['note']} (measured in another setting: {', '.join(differs)})"


def measured(value: float | None) -> str:
    """Write a measured number with four digits; a dash where there is none."""
    return MISSING if value is None else f"{value:.4f}"


def interval(claim: Mapping[str, Any]) -> str:
    """Write the interval of a verdict; nothing where there is none."""
    if claim["interval"] is None:
        return ""
    low, high = claim["interval"]
    return f"{low:.3f} to {high:.3f}"
