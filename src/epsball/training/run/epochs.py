"""One epoch: a pass over the training images, then what is measured."""

import time

from epsball.training.measure.failures import Mean, diverged, finite, named_failure
from epsball.training.measure.meter import Meter
from epsball.training.measure.validating import validate, watch
from epsball.training.recipes.spec import Batch
from epsball.training.run.directory import TrainRun
from epsball.training.run.history import EpochRow
from epsball.training.run.stepping import take_step, warmed_up
from epsball.training.setup.optimizers import learning_rate, set_learning_rate
from epsball.training.setup.randomness import own_random_state, seeded

_PULSE = 20  # batches between two looks at the loss: each look makes a GPU wait


def run_epoch(run: TrainRun) -> EpochRow:
    """Train for one more epoch, then validate, then watch.

    Every random number in it depends on the seed and the number of the epoch alone.

    Args:
        run: under way; its model and optimizer are changed in place.

    Returns:
        What was measured.

    Raises:
        BrokenContract: a loss or a weight is no longer a finite number, or the model raised.
    """
    start, model = time.perf_counter(), run.context.model
    epoch = len(run.history.rows) + 1
    own = own_random_state(run.context.settings.seed, epoch, run.placement.device)
    with own, Meter(model, run.context.sources) as meter:
        model.train()
        loss = _train(run, epoch, meter)
        accuracy = meter.accuracy
        model.eval()
        with run.judged():
            validation_loss, validation_accuracy = validate(run, epoch, meter)
            watched = watch(run, epoch)
    row = EpochRow(
        epoch,
        train_loss=loss,
        train_accuracy=accuracy,
        validation_loss=validation_loss,
        validation_accuracy=validation_accuracy,
        lr=run.optimizer.param_groups[0]["lr"],
        seconds=time.perf_counter() - start,
        gradient_evaluations=meter.gradient_evaluations,
        watched_accuracy=watched.clean if watched else None,
        fgsm_accuracy=watched.fgsm if watched else None,
        pgd_accuracy=watched.pgd if watched else None,
    )
    _tell_end(run, row)
    return row


def _train(run: TrainRun, epoch: int, meter: Meter) -> float:
    """Take one step per batch; return the mean loss."""
    context, settings = run.context, run.context.settings
    examples = seeded(settings.seed, epoch, "examples", run.placement.device)
    mean = Mean(run.placement.device)
    counts = context.class_counts(run.placement)
    for number, (images, labels) in enumerate(context.epoch_batches(epoch, run.placement), 1):
        update = (epoch - 1) * context.batches + number - 1
        rate = learning_rate(settings, update, context.updates)
        set_learning_rate(run.optimizer, rate)
        meter.expect(labels)
        warmed = warmed_up(settings, update, context.updates)
        batch = Batch(images, labels, warmed, examples, context.sources, run.memory, counts)
        with named_failure(f"epoch {epoch}, batch {number}"):
            mean.add(take_step(run, batch, update, meter), len(labels))
        if number % _PULSE == 0 and number < context.batches:
            loss = finite(mean.value, run, epoch)
            _tell(run, epoch, number, {"loss": loss, "accuracy": meter.accuracy, "lr": rate})
    loss = finite(mean.value, run, epoch)
    # the last update can break weights that no loss of this epoch has seen
    if not all(bool(weight.isfinite().all()) for weight in context.model.parameters()):
        raise diverged("a weight is no longer a finite number", run, epoch)
    return loss


def _tell(run: TrainRun, epoch: int, batch: int, metrics: dict[str, float]) -> None:
    if run.context.progress is not None:
        run.context.progress(epoch, batch, run.context.batches, metrics)


def _tell_end(run: TrainRun, row: EpochRow) -> None:
    metrics = {"loss": row.train_loss, "accuracy": row.train_accuracy, "lr": row.lr}
    if row.validation_loss is not None and row.validation_accuracy is not None:
        metrics["validation_loss"] = row.validation_loss
        metrics["validation_accuracy"] = row.validation_accuracy
    if row.fgsm_accuracy is not None and row.pgd_accuracy is not None:
        metrics |= {"fgsm_accuracy": row.fgsm_accuracy, "pgd_accuracy": row.pgd_accuracy}
    _tell(run, row.epoch, run.context.batches, metrics)
