"""What commands print: tables, findings, progress. Results go to standard output, the rest not."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from epsball.evaluation.metrics.present import counted, eps_text, interval, percent, rejection_note

_WIDE = 120  # of a table that goes to a file or a pipe
_COLOURS = {"blocking": "bold red", "warning": "yellow", "info": "cyan"}


def out() -> Console:
    """Return the console of standard output; wide enough for tables where it is no terminal."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_WIDE)


def err() -> Console:
    """Return the console of standard error."""
    console = Console(stderr=True, highlight=False)
    return console if console.is_terminal else Console(stderr=True, highlight=False, width=_WIDE)


def complain(text: str) -> None:
    """Print an error as one line."""
    err().print(Text.assemble(("error: ", "bold red"), text), soft_wrap=True)


def tell(text: str) -> None:
    """Print a sentence about the run itself, beside the results."""
    err().print(Text(text), soft_wrap=True)


def show_summary(summary: Mapping[str, Any]) -> None:
    """Print the answer, the findings and the table of an audit."""
    console = out()
    for finding in summary["findings"]:
        show_finding(console, finding)
    console.print(_results_table(summary))
    if _rejects(summary):
        console.print(Text(f"{rejection_note(summary['clean']['rejected'])}.", style="dim"))
    for row in summary["results"]:
        if row.get("target_reached") is not None:
            console.print(Text(_reached(row)))
    if summary["headline"]:
        console.print(Text(summary["headline"], style="bold"))
    else:
        console.print(Text("No rate is printed: see the blocking finding above.", style="bold red"))


def _reached(row: Mapping[str, Any]) -> str:
    bounds = interval(row["target_reached_ci"])
    return (
        f"{row['variant']} at eps {eps_text(row['eps'])}: {percent(row['target_reached'])} "
        f"({bounds}) of {counted(row['aimed'], 'image')} reach their target."
    )


def show_finding(console: Console, finding: Mapping[str, Any]) -> None:
    """Print one finding and its remedy."""
    head = f"{finding['severity']}: {finding['code']}: "
    text = Text.assemble(
        (head, _COLOURS[finding["severity"]]), finding["message"], (f"; {finding['remedy']}", "dim")
    )
    console.print(text)


def _rejects(summary: Mapping[str, Any]) -> bool:
    """Say whether any image was rejected, attacked or not."""
    return any(row and row.get("rejected") for row in (summary["clean"], *summary["results"]))


def _results_table(summary: Mapping[str, Any]) -> Table:
    table = Table(title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    five = any(row["top5_error"] is not None for row in summary["results"])
    whole = summary.get("full_budget", True)
    far = any(row.get("median_distance") is not None for row in summary["results"])
    heads = ["attack", "norm", "eps", "steps", "n", "clean", "robust", "95 % interval"]
    heads += ["rejected"] if (rejects := _rejects(summary)) else []
    heads += ["confidence"] if whole else []
    heads += [*(["top-5 err"] if five else []), *(["8-bit"] if whole else [])]
    passed = any(row.get("destruction_rate") is not None for row in summary["results"])
    heads += ["destroyed"] if passed else []
    heads += [*(["distance"] if far else []), "seconds"]
    for head in heads:
        first = head == "attack"
        width = 10 if first else None
        table.add_column(
            head, justify="left" if first else "right", no_wrap=not first, min_width=width
        )
    for row in summary["results"]:
        five_cell = [share(row["top5_error"])] if five else []
        clean, robust, between, confidence = _rates(row)
        cells = [clean, robust, between, *([share(row["rejected"])] if rejects else [])]
        cells += [*([confidence] if whole else []), *five_cell]
        cells += [share(row["survives_8bit"])] if whole else []
        cells += [share(row["destruction_rate"])] if passed else []
        cells += [_distance(row)] if far else []
        table.add_row(*_asked(row), *cells, f"{row['seconds']:.1f}")
    for row in summary["worst_case"]:
        cells = ["worst case", row["norm"], eps_text(row["eps"]), "", f"{row['n']:,}", ""]
        rates = percent(row["robust_accuracy"]), interval(row["robust_accuracy_ci"])
        table.add_row(*cells, *rates, style="bold")
    return table


def _asked(row: Mapping[str, Any]) -> Sequence[str]:
    steps = "" if row["steps"] is None else str(row["steps"])
    if row["restarts"] > 1:
        steps += f" x {row['restarts']}"
    return row["variant"], row["norm"], eps_text(row["eps"]), steps, f"{row['n']:,}"


def _rates(row: Mapping[str, Any]) -> tuple[str, str, str, str]:
    bounds = row["robust_accuracy_ci"]
    between = "-" if bounds is None else interval(bounds)
    names = ("clean_accuracy", "robust_accuracy", "confidence")
    clean, robust, confidence = (share(row[name]) for name in names)
    return clean, robust, between, confidence


def _distance(row: Mapping[str, Any]) -> str:
    """Write the median distance to the border, where the attack looked for it and found most."""
    return "-" if row["median_distance"] is None else f"{row['median_distance']:.3g}"


def share(value: float | None) -> str:
    """Write a share, or a dash where there is none."""
    return "-" if value is None else percent(value)


def show_table(heads: Sequence[str], rows: Sequence[Sequence[str]], title: str = "") -> None:
    """Print rows under heads; where many columns do not fit the screen, one block a row."""
    if len(heads) > 3 and out().width < _WIDE:
        _show_blocks(heads, rows)
        return
    table = Table(title=title or None, title_justify="left")
    for head in heads:
        table.add_column(head, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    out().print(table)


def _show_blocks(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print each row as its first cell and, indented below it, what the other columns say."""
    console = out()
    for row in rows:
        console.print(Text(row[0], style="bold"))
        for head, cell in zip(heads[1:], row[1:], strict=True):
            if cell:
                line = Text.assemble((f"{head}: ", "dim"), cell)
                console.print(Padding(line, (0, 0, 0, 2)))


def say(text: str) -> None:
    """Print a line."""
    out().print(Text(text), soft_wrap=True)


def hint(text: str) -> None:
    """Print what to try."""
    out().print(Text.assemble(("try: ", _COLOURS["warning"]), text), soft_wrap=True)
