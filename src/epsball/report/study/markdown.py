"""A study's page in Markdown, for docs/results. Never imports torch."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from epsball.files import write_bytes
from epsball.report.study.claims import (
    interval,
    is_answered,
    measured,
    reason,
    shared_departures,
    tally,
    unanswered,
)
from epsball.studies.core.store import read_study


def write_study_page(out: Path, page: Path | None = None) -> Path:
    """Write what a study found as Markdown: answer, claims, tables, choices, the command.

    Args:
        out: the study's directory.
        page: the file; None: NAME.md in the study's directory.

    Returns:
        The file; the same study always gives the same bytes.

    Raises:
        InvalidInput: the directory holds no finished study, or the file cannot be written.
    """
    summary = read_study(out)
    file = out / f"{summary['study']}.md" if page is None else page
    return write_bytes(file, _page(summary).encode())


def _page(summary: Mapping[str, Any]) -> str:
    story, manifest = summary["story"], summary["manifest"]
    parts = [
        f"# {story['question']}",
        f"Study `{summary['study']}`, after {summary['source']}.",
        f"**{story['answer']}**",
        _how(manifest),
        _unfinished(summary),
        *_judged(summary),
        *(part for section in story["sections"] for part in _section(section)),
        "## Choices and departures",
        "\n".join(f"- {note}" for note in story["notes"]),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


_RULES = (
    "A number matches where the source's lies in our 95 % interval or within 0.02 of ours; the "
    "interval is Student's t over seeds (Wilson's over the images, where there is one seed). "
    "Another model or data set can neither match a number nor refute a finding: undecided."
)


def _judged(summary: Mapping[str, Any]) -> list[str]:
    """Return the verdicts; nothing where the source makes no claim."""
    counts = [f"{count} {words}" for count, words in tally(summary["verdicts"])]
    if not counts:
        return []
    tables = [_claims(summary["claims"], numbers) for numbers in (False, True)]
    shared = ", ".join(shared_departures(summary["claims"]))
    setting = (
        f" All were measured in another setting than the source's: {shared}." if shared else ""
    )
    lede = f"{'; '.join(counts)}. {_RULES}{setting}"
    return ["## Claims", lede, *tables, *_unanswered(summary["claims"])]


def _unanswered(claims: Sequence[Mapping[str, Any]]) -> list[str]:
    """List the claims for which nothing was measured, one line a reason; nothing without any."""
    reasons = unanswered(claims)
    lines = [f"- {why}: {', '.join(f'`{n}`' for n in names)}" for why, names in reasons.items()]
    return ["Nothing was measured for these claims:", "\n".join(lines)] if lines else []


def _how(manifest: Mapping[str, Any]) -> str:
    versions, machine = manifest["versions"], manifest["hardware"]
    return (
        f"Made by `{manifest['command'] or 'epsball.studies.run_study(...)'}` with epsball "
        f"{versions['epsball']} and torch {versions['torch']} on {machine['cores']} cores "
        f"({machine['processor']}), {manifest['created'][:10]}."
    )


def _unfinished(summary: Mapping[str, Any]) -> str:
    planned, done = summary["cells"]["planned"], summary["cells"]["done"]
    if done == planned:
        return ""
    failed = [f"`{f['label']}` ({f['error']}: {f['message']})" for f in summary["failed"]]
    errors = f" Failed cells: {'; '.join(failed)}." if failed else ""
    return (
        f"**Unfinished**: {done} of {planned} cells are done; the same command continues the "
        f"study.{errors}"
    )


def _section(section: Mapping[str, Any]) -> list[str]:
    """Write a section's tables; figures and images are in the HTML report."""
    tables = [block for block in section["blocks"] if block["block"] == "table"]
    if not tables:
        return []
    written = [part for block in tables for part in _table(block)]
    return [f"## {section['title']}", str(section["lede"]), *written]


def _table(block: Mapping[str, Any]) -> list[str]:
    heads = str(block["heads"]).split("|")
    rows = [[_cell(cell) for cell in row] for row in block["rows"]]
    return [f"{block['caption']}:", grid(heads, rows)]


def _cell(cell: str | Sequence[str]) -> str:
    if isinstance(cell, str):
        return cell
    text, *notes = filter(None, cell)
    return f"{text} ({', '.join(notes)})" if notes else text


def _claims(claims: Sequence[Mapping[str, Any]], numbers: bool) -> str:  # noqa: FBT001 - which half
    chosen = [c for c in claims if (c["kind"] == "value") == numbers and is_answered(c)]
    shared = shared_departures(claims)
    rows = [
        [
            f"`{c['id']}`",
            c["text"],
            f"**{c['verdict']}**",
            _cell((measured(c["value"]), interval(c))),
            reason(c, shared),
        ]
        for c in chosen
    ]
    return grid(["claim", "the source", "verdict", "#measured", "why"], rows) if rows else ""


def grid(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a Markdown table; a head that starts with "#" is a column of numbers.

    Example:
        >>> print(grid(["name", "#age"], [["Ada", "36"]]))
        | name | age |
        | --- | ---: |
        | Ada | 36 |
    """
    rules = ["---:" if head.startswith("#") else "---" for head in heads]
    lines = [[head.removeprefix("#") for head in heads], rules, *rows]
    return "\n".join("| " + " | ".join(_safe(cell) for cell in line) + " |" for line in lines)


def _safe(cell: str) -> str:
    return cell.replace("|", "\\|").replace("\n", " ")
