"""One update of the weights: examples, loss, gradient, and what is added to any recipe."""

import torch
from torch import Tensor

from epsball.training.measure.meter import Meter
from epsball.training.recipes.awp import weights_uphill
from epsball.training.recipes.spec import Batch, Task
from epsball.training.run.directory import TrainRun
from epsball.training.setup.settings import TrainSettings


def take_step(run: TrainRun, batch: Batch, update: int, meter: Meter) -> Tensor:
    """Move the weights once.

    Args:
        run: under way; its model, optimizer, average and memory change.
        batch: what is learned from.
        update: how many updates were made before this one.
        meter: counts the passes.

    Returns:
        The loss of the batch, a scalar without gradient.
    """
    context, awp = run.context, batch.settings.awp
    run.optimizer.zero_grad(set_to_none=True)
    task = context.recipe.task(context.model, batch, aside=meter.aside)
    with weights_uphill(context.model, lambda: _data_loss(run, task), awp):
        with run.placement.autocast():
            loss = task.total()
        torch.autograd.backward(loss)
    if context.recipe.learned is not None:
        context.recipe.learned(batch, task.examples)
    run.optimizer.step()
    if run.average is not None:
        run.average.update(context.model, update)
    return loss.detach()


def warmed_up(settings: TrainSettings, update: int, updates: int) -> TrainSettings:
    """Return the settings of one update: eps rises over the first `eps_warmup` of them.

    Args:
        settings: what was asked for.
        update: how many updates were made before.
        updates: how many there are in all.

    Example:
        >>> settings = TrainSettings(recipe="pgd", eps=0.5, eps_warmup=0.5)
        >>> [warmed_up(settings, update, 8).eps for update in (0, 2, 4, 6)]
        [0.0, 0.25, 0.5, 0.5]
    """
    rising = settings.eps_warmup * updates
    if settings.eps is None or update >= rising:
        return settings
    return settings.model_copy(update={"eps": settings.eps * update / rising})


def _data_loss(run: TrainRun, task: Task) -> Tensor:
    with run.placement.autocast():
        return task.data_loss()
