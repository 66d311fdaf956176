"""What training tells while it runs, and what it hands back."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from epsball.training.run.history import EpochRow
from epsball.types import Finding


class EpochProgress(Protocol):
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
                "validation_loss" and "validation_accuracy", where there is a validation share, and
                "fgsm_accuracy" and "pgd_accuracy", where the watch looked.
        """
        ...


@dataclass(frozen=True)
class Preparation:
    """What was done before the first epoch, by recipes that make examples once.

    Args:
        gradient_evaluations: of the source model's training and of the attack.
        seconds: of both.
        attacked: number of images that were attacked.
        added: number of examples that were added to them.
    """

    gradient_evaluations: int = 0
    seconds: float = 0.0
    attacked: int = 0
    added: int = 0


@dataclass(frozen=True)
class TrainResult:
    """A finished training run.

    Args:
        out: its directory.
        weights: model.safetensors in it: the best weights, under the names of the state_dict of the
            user's own module, without preprocessing before it.
        epochs: one row for each epoch that ran.
        best_epoch: whose weights these are.
        stopped_early: whether patience ran out, or the watch saw a collapse that was to end it.
        preparation: what came before the first epoch, where anything did.
        notes: doubts that the epochs give cause for: catastrophic overfitting, label leaking.
    """

    out: Path
    weights: Path
    epochs: tuple[EpochRow, ...]
    best_epoch: int
    stopped_early: bool
    notes: tuple[Finding, ...] = ()
    preparation: Preparation = Preparation()

    @property
    def best(self) -> EpochRow:
        """Return the row of the best epoch."""
        return self.epochs[self.best_epoch - 1]

    @property
    def seconds(self) -> float:
        """Return the time that preparation and epochs took together, over all resumes."""
        return self.preparation.seconds + sum(row.seconds for row in self.epochs)

    @property
    def gradient_evaluations(self) -> int:
        """Return the cost of preparation and epochs together."""
        epochs = sum(row.gradient_evaluations for row in self.epochs)
        return self.preparation.gradient_evaluations + epochs
