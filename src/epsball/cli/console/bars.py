"""Progress bars of the command line, on standard error."""

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

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

from epsball.cli.console.show import err
from epsball.evaluation.metrics.present import percent


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
        elif not self._bars.console.is_terminal:
            self.say(f"{stage} ...")  # a sign of life where no bar is drawn
        self._stage = stage
        self._task = self._bars.add_task(stage, total=total or None)

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
