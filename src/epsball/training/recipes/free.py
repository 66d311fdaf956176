"""Recipe `free`: one gradient serves the weights and the examples, and batches are replayed."""

import torch
from torch import Tensor, nn

from epsball.geometry import project, steepest
from epsball.training.recipes.spec import Batch

_HELD = "perturbation"


def free_examples(model: nn.Module, batch: Batch) -> Tensor:
    """Return the images with the perturbation that the steps before have left; costs nothing.

    Every batch is used `replays` times in a row. Each time the gradient of the loss, which moves
    the weights, also moves the perturbation by eps along its sign; it is carried on to the next
    batch. An epoch has as many steps as any other recipe's, so that epochs stay comparable in cost:
    it is one gradient evaluation an image, and visits one in `replays` of the images. It takes
    `replays` epochs to see all of them.

    Args:
        model: not asked.
        batch: `eps` and `norm` are read; its memory holds the perturbation.

    Returns:
        (n, c, h, w) in [0, 1], a leaf that wants a gradient.

    Source: Shafahi et al. 2019, arXiv:1904.12843, algorithm 1. Departures: the gradient is taken at
    the clipped image, so a perturbation that was clipped away can return; the validation loss,
    which has no perturbation to carry on, is that of `fast_examples`.
    """
    del model
    images = batch.images
    carried = _carried(batch)[: len(images)]
    # in the layout of the images, whatever that of a perturbation read from a checkpoint is
    point = torch.empty_like(images).copy_((images + carried).clamp(0, 1))
    return point.requires_grad_()


def carry_on(batch: Batch, examples: Tensor) -> None:
    """Move the perturbation along the gradient that the backward pass has left in the examples."""
    if examples.grad is None:
        return
    carried, count = _carried(batch), len(examples)
    moved = carried[:count] + batch.eps * steepest(examples.grad, batch.settings.norm)
    carried[:count] = project(moved, batch.eps, batch.settings.norm)


def _carried(batch: Batch) -> Tensor:
    """Return the perturbation of the largest batch so far; a larger one begins at nothing."""
    delta = batch.memory.get(_HELD)
    if delta is None:
        delta = torch.zeros_like(batch.images)
    if len(delta) < len(batch.images):
        delta = torch.cat((delta, torch.zeros_like(batch.images[len(delta) :])))
    batch.memory[_HELD] = delta
    return delta
