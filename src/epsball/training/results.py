"""What training tells while it runs, and what it hands back."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from epsball.training.history import EpochRow


class Progress(Protocol):
    """Called every few batches, and once at the end of every epoch."""

    def __call__(
        self, epoch: int, batch: int, batches: int, metrics: Mapping[str, float], /
    ) -> None:
        """Hear where training is.

        Args:
            epoch: the epoch under way, from 1.
            batch: batches of it that are done; equal to `batches` once it is over and validated.
            batches: batches an epoch has.
            metrics: "loss", "accuracy" and "lr" so far in this epoch; at its end also
                "validation_loss" and "validation_accuracy", where there is a validation share.
        """
        ...


@dataclass(frozen=True)
class TrainResult:
    """A finished training run.

    Args:
        out: its directory.
        weights: model.safetensors in it: the best weights, under the names of the model's own
            state_dict.
        epochs: one row for each epoch that ran.
        best_epoch: whose weights these are.
        stopped_early: whether patience ran out.
    """

    out: Path
    weights: Path
    epochs: tuple[EpochRow, ...]
    best_epoch: int
    stopped_early: bool

    @property
    def best(self) -> EpochRow:
        """Return the row of the best epoch."""
        return self.epochs[self.best_epoch - 1]

    @property
    def seconds(self) -> float:
        """Return the time that all epochs took together, over all resumes."""
        return sum(row.seconds for row in self.epochs)

    @property
    def gradient_evaluations(self) -> int:
        """Return the cost of all epochs together."""
        return sum(row.gradient_evaluations for row in self.epochs)
