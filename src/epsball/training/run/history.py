"""What a run has measured so far, and what follows from it: the best epoch, and when to stop."""

import json
from dataclasses import asdict, dataclass
from typing import Any, Self

from epsball.training.measure.notes import COLLAPSE, notes_on
from epsball.training.setup.settings import TrainSettings
from epsball.types import Finding


@dataclass(frozen=True)
class EpochRow:
    """One finished epoch.

    Args:
        epoch: from 1.
        train_loss: mean of the recipe's loss over the epoch, penalties included.
        train_accuracy: share of images named rightly at the first pass of the loss in each step
            (in train mode, while the weights still move): clean ones, or the examples where the
            recipe learns from nothing else.
        validation_loss: mean of the recipe's loss in eval mode on the held-out share, without
            penalties on weights and smoothing; None without such a share.
        validation_accuracy: on the held-out share, clean.
        lr: learning rate of the last update.
        seconds: of the epoch, validation included.
        gradient_evaluations: images taken forward and backward in this epoch, for the weights
            or for an attack, validation and watch included.
        watched_accuracy: clean, on the few images of the watch; None where it did not look.
        fgsm_accuracy: on the same images under FGSM with the true label.
        pgd_accuracy: on the same images under PGD of ten steps.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    validation_loss: float | None
    validation_accuracy: float | None
    lr: float
    seconds: float
    gradient_evaluations: int
    watched_accuracy: float | None = None
    fgsm_accuracy: float | None = None
    pgd_accuracy: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the row as plain data, in the form training.json holds."""
        return asdict(self)


@dataclass(frozen=True)
class History:
    """Everything a run remembers between epochs that is no tensor.

    Args:
        rows: finished epochs.
        best_epoch: the epoch whose weights are kept; 0 before the first.
        bar: the validation loss that patience compares with.
        waited: epochs since one was lower than the bar by more than min_delta.
    """

    rows: tuple[EpochRow, ...] = ()
    best_epoch: int = 0
    bar: float | None = None
    waited: int = 0

    def after(self, row: EpochRow, settings: TrainSettings) -> "History":
        """Return the history with one more epoch.

        The best epoch is the one of lowest validation loss, however little lower (the last one,
        where nothing is validated), or that of highest accuracy under the watch's PGD. Patience is
        Keras': its bar moves only when it is beaten by more than min_delta, so progress that creeps
        does not count.
        """
        loss = row.validation_loss
        cleared = loss is None or self.bar is None or loss < self.bar - settings.min_delta
        return History(
            rows=(*self.rows, row),
            best_epoch=row.epoch if self._beaten_by(row, settings) else self.best_epoch,
            bar=loss if cleared else self.bar,
            waited=0 if cleared else self.waited + 1,
        )

    def _beaten_by(self, row: EpochRow, settings: TrainSettings) -> bool:
        if self.best_epoch == 0:
            return True
        best = self.rows[self.best_epoch - 1]
        if settings.best_by == "pgd":
            return (row.pgd_accuracy or 0) >= (best.pgd_accuracy or 0)
        return row.validation_loss is None or row.validation_loss < _known(best)

    @property
    def notes(self) -> list[Finding]:
        """Return the doubts that the epochs so far give cause for."""
        return notes_on([row.as_dict() for row in self.rows])

    def stops_early(self, settings: TrainSettings) -> bool:
        """Say whether patience has run out, or the watch has seen a collapse that is to end it."""
        if settings.stop_at_collapse and any(note.code == COLLAPSE for note in self.notes):
            return True
        return settings.patience is not None and self.waited >= settings.patience

    def is_over(self, settings: TrainSettings) -> bool:
        """Say whether no further epoch is to be run."""
        return len(self.rows) >= settings.epochs or self.stops_early(settings)

    def as_text(self) -> str:
        """Return the history as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read what `as_text` wrote."""
        values = json.loads(text)
        return cls(**{**values, "rows": tuple(EpochRow(**row) for row in values["rows"])})


def _known(row: EpochRow) -> float:
    return float("inf") if row.validation_loss is None else row.validation_loss
