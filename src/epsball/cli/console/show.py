"""What commands print: tables, findings, progress. Results go to standard output, the rest not."""

import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from epsball.evaluation.metrics.present import eps_text, interval, percent, rejection_note

_WIDE = 120  # of a table that goes to a file or a pipe
_COLOURS = {"blocking": "bold red", "warning": "yellow", "info": "cyan"}


def out() -> Console:
    """Return the console of standard output; wide enough for tables where nobody looks."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_WIDE)


def err() -> Console:
    """Return the console of standard error."""
    console = Console(stderr=True, highlight=False)
    return console if console.is_terminal else Console(stderr=True, highlight=False, width=_WIDE)


def complain(text: str) -> None:
    """Print an error as one line."""
    err().print(Text.assemble(("error: ", "bold red"), text), soft_wrap=True)


class Bars:
    """Progress with the time that is left, on standard error."""

    def __init__(self, *, time_left: bool = True) -> None:
        """Prepare the bars; nothing is drawn yet.

        Args:
            time_left: whether to estimate it from the units; False where the notes state it.
        """
        columns = [TimeRemainingColumn()] if time_left else []
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            *columns,
            console=err(),
            transient=True,
        )
        self._task: TaskID | None = None
        self._stage = ""

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop drawing, whatever happened."""
        self._bars.stop()

    def begin(self, stage: str, total: int) -> None:
        """Draw the bar of a stage in place of the last one's."""
        if self._task is not None:
            self._bars.remove_task(self._task)
        self._stage = stage
        self._task = self._bars.add_task(stage, total=total)

    def advance(self, count: int, note: str = "") -> None:
        """Move the bar."""
        if self._task is not None:
            text = f"{self._stage} {note}".strip()
            self._bars.update(self._task, advance=count, description=text)

    def say(self, text: str) -> None:
        """Print a sentence above the bar."""
        self._bars.console.print(text, soft_wrap=True, markup=False)


class EpochBars:
    """The same for training, one line an epoch."""

    def __init__(self, bars: Bars, epochs: int) -> None:
        """Draw on the bars of a command."""
        self.bars, self.epochs, self.started = bars, epochs, time.monotonic()
        self.done = 0

    def __call__(self, epoch: int, batch: int, batches: int, metrics: Mapping[str, float]) -> None:
        """Hear where training is."""
        at = (epoch - 1) * batches + batch
        if at < self.done:  # a source model's training is over, and the model's own begins
            self.done = 0
        if self.done == 0:
            self.bars.begin("training", self.epochs * batches)
        self.bars.advance(max(0, at - self.done), f"loss {metrics['loss']:.4f}")
        self.done = max(self.done, at)
        if batch == batches and "validation_accuracy" in metrics:
            self.bars.say(
                f"epoch {epoch}: loss {metrics['loss']:.4f}, "
                f"accuracy {percent(metrics['accuracy'])}, "
                f"validation {percent(metrics['validation_accuracy'])}" + _under_attack(metrics)
            )


def _under_attack(metrics: Mapping[str, float]) -> str:
    if "pgd_accuracy" not in metrics:
        return ""
    fgsm, pgd = percent(metrics["fgsm_accuracy"]), percent(metrics["pgd_accuracy"])
    return f", under fgsm {fgsm}, under pgd-10 {pgd}"


def show_summary(summary: Mapping[str, Any]) -> None:
    """Print the answer, the findings and the table of an audit."""
    console = out()
    for found in summary["findings"]:
        show_finding(console, found)
    console.print(_results_table(summary))
    if _rejects(summary):
        console.print(Text(f"{rejection_note(summary['clean']['rejected'])}.", style="dim"))
    if summary["headline"]:
        console.print(Text(summary["headline"], style="bold"))
    else:
        console.print(Text("No rate is printed: see the blocking finding above.", style="bold red"))


def show_finding(console: Console, found: Mapping[str, Any]) -> None:
    """Print one finding and its remedy."""
    head = f"{found['severity']}: {found['code']}: "
    text = Text.assemble(
        (head, _COLOURS[found["severity"]]), found["message"], (f"; {found['remedy']}", "dim")
    )
    console.print(text)


def _rejects(summary: Mapping[str, Any]) -> bool:
    """Say whether any image was rejected, attacked or not."""
    return any(row and row.get("rejected") for row in (summary["clean"], *summary["results"]))


def _results_table(summary: Mapping[str, Any]) -> Table:
    table = Table(title_justify="left")
    five = any(row["top5_error"] is not None for row in summary["results"])
    whole = summary.get("full_budget", True)
    far = any(row.get("median_distance") is not None for row in summary["results"])
    heads = ["attack", "norm", "eps", "steps", "n", "clean", "robust", "95 % interval"]
    heads += ["rejected"] if (rejects := _rejects(summary)) else []
    heads += ["confidence"] if whole else []
    heads += [*(["top-5 err"] if five else []), *(["8-bit"] if whole else [])]
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
    """Print rows under heads."""
    table = Table(title=title or None, title_justify="left")
    for head in heads:
        table.add_column(head, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    out().print(table)


def say(text: str) -> None:
    """Print a line."""
    out().print(Text(text), soft_wrap=True)


def hint(text: str) -> None:
    """Print what to try."""
    out().print(Text.assemble(("try: ", _COLOURS["warning"]), text), soft_wrap=True)
