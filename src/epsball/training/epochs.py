"""One pass over the training pictures, and one over those held out."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from epsball.errors import BrokenContract, EpsballError
from epsball.training.history import EpochRow
from epsball.training.meter import Meter
from epsball.training.optimizers import learning_rate, set_learning_rate
from epsball.training.randomness import own_random_state, seeded
from epsball.training.run import TrainRun

_PULSE = 20  # batches between two looks at the loss: each look makes a GPU wait


def run_epoch(run: TrainRun) -> EpochRow:
    """Train for one more epoch, then validate.

    Every random number in it depends on the seed and the number of the epoch alone.

    Args:
        run: under way; its model and optimizer are changed in place.

    Returns:
        What was measured.

    Raises:
        BrokenContract: a loss or a weight is no longer a finite number, or the model raised.
    """
    start, model = time.perf_counter(), run.shop.model
    epoch = len(run.history.rows) + 1
    own = own_random_state(run.shop.settings.seed, epoch, run.placement.device)
    with own, Meter(model) as meter:
        model.train()
        loss = _train(run, epoch, meter)
        accuracy = meter.accuracy
        model.eval()
        validation_loss, validation_accuracy = _validate(run, epoch, meter)
    row = EpochRow(
        epoch,
        train_loss=loss,
        train_accuracy=accuracy,
        validation_loss=validation_loss,
        validation_accuracy=validation_accuracy,
        lr=run.optimizer.param_groups[0]["lr"],
        seconds=time.perf_counter() - start,
        gradient_evaluations=meter.gradient_evaluations,
    )
    _tell_end(run, row)
    return row


def _train(run: TrainRun, epoch: int, meter: Meter) -> float:
    """Take one step per batch; return the mean loss."""
    shop, settings = run.shop, run.shop.settings
    examples = seeded(settings.seed, epoch, "examples", run.placement.device)
    order = seeded(settings.seed, epoch, "order")
    mean = _Mean(run.placement.device)
    for number, batch in enumerate(
        shop.feed.training(settings.batch_size, run.placement, order), 1
    ):
        rate = learning_rate(settings, (epoch - 1) * shop.batches + number - 1, shop.updates)
        set_learning_rate(run.optimizer, rate)
        meter.expect(batch[1])
        with _named_failure(f"epoch {epoch}, batch {number}"):
            mean.add(_step(run, batch, examples), len(batch[1]))
        if number % _PULSE == 0 and number < shop.batches:
            loss = _finite(mean.value, run, epoch)
            _tell(run, epoch, number, {"loss": loss, "accuracy": meter.accuracy, "lr": rate})
    loss = _finite(mean.value, run, epoch)
    # the last update can break weights that no loss of this epoch has seen
    if not all(bool(weight.isfinite().all()) for weight in shop.model.parameters()):
        raise _diverged("a weight is no longer a finite number", run, epoch)
    return loss


def _step(run: TrainRun, batch: tuple[Tensor, Tensor], generator: torch.Generator) -> Tensor:
    run.optimizer.zero_grad(set_to_none=True)
    with run.placement.autocast():
        loss = run.shop.recipe.step(run.shop.model, *batch, run.shop.settings, generator)
    torch.autograd.backward(loss)
    run.optimizer.step()
    return loss.detach()


def _validate(run: TrainRun, epoch: int, meter: Meter) -> tuple[float | None, float | None]:
    """Return loss and accuracy on the held-out pictures; nothing, where there are none.

    The same random classes in every epoch, so that epochs are compared on equal terms.
    """
    shop, settings = run.shop, run.shop.settings
    if not len(shop.feed.validation_rows):
        return None, None
    plain = settings.changed(l1=0.0, l2=0.0, label_smoothing=0.0)
    generator = seeded(settings.seed, 0, "validation", run.placement.device)
    mean = _Mean(run.placement.device)
    meter.start_over()
    with torch.no_grad(), _named_failure(f"epoch {epoch}, validation"):
        for images, labels in shop.feed.validation(settings.batch_size, run.placement):
            meter.expect(labels)
            with run.placement.autocast():
                loss = shop.recipe.step(shop.model, images, labels, plain, generator)
            mean.add(loss, len(labels))
    return _finite(mean.value, run, epoch), meter.accuracy


class _Mean:
    """A mean over pictures, summed where the losses are: reading each would make a GPU wait."""

    def __init__(self, device: str) -> None:
        self._sum = torch.zeros((), dtype=torch.float64, device=device)
        self._count = 0

    def add(self, loss: Tensor, pictures: int) -> None:
        self._sum += loss.detach() * pictures
        self._count += pictures

    @property
    def value(self) -> float:
        return float(self._sum) / self._count


def _tell(run: TrainRun, epoch: int, batch: int, metrics: dict[str, float]) -> None:
    if run.shop.progress is not None:
        run.shop.progress(epoch, batch, run.shop.batches, metrics)


def _tell_end(run: TrainRun, row: EpochRow) -> None:
    metrics = {"loss": row.train_loss, "accuracy": row.train_accuracy, "lr": row.lr}
    if row.validation_loss is not None and row.validation_accuracy is not None:
        metrics["validation_loss"] = row.validation_loss
        metrics["validation_accuracy"] = row.validation_accuracy
    _tell(run, row.epoch, run.shop.batches, metrics)


@contextmanager
def _named_failure(where: str) -> Iterator[None]:
    """Say in one line where a model failed in mid-training."""
    try:
        yield
    except EpsballError:
        raise
    except (RuntimeError, ValueError) as error:
        line = next(iter(str(error).splitlines()), "")
        raise BrokenContract(
            f"train: {where}: the model failed ({type(error).__name__}: {line}); the last "
            "finished epoch is kept: mend the model, and give the same command again"
        ) from error


def _finite(loss: float, run: TrainRun, epoch: int) -> float:
    if not math.isfinite(loss):
        raise _diverged(f"the loss is {loss}", run, epoch)
    return loss


def _diverged(what: str, run: TrainRun, epoch: int) -> BrokenContract:
    settings = run.shop.settings
    kept = f"the checkpoint of epoch {epoch - 1} is kept" if epoch > 1 else "no epoch was finished"
    return BrokenContract(
        f"train: epoch {epoch}: {what}, most likely because the learning rate {settings.lr:g} is "
        f"too high for {settings.optimizer}; {kept}; try lr={settings.lr / 10:g} and another --out"
    )
