"""Recipe `fast`: one-step examples from a random start, for little more than twice the price."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from epsball.geometry import project_into_box, random_in_ball, steepest
from epsball.training.recipes.spec import Batch
from epsball.training.setup.modes import evaluating

_LONG = 1.25  # of eps: the source's step, which can cross the ball from where it starts


def fast_examples(model: nn.Module, batch: Batch) -> Tensor:
    """Return where one step from a random point of the ball leads; in eval mode.

    One pass forward and backward, and no look at where the step leads. That is what makes it cheap,
    and what can fail: after some epochs a model may learn to spoil the one gradient that is used,
    and be safe from this attack alone (catastrophic overfitting). The watch sees it (see
    `watch_every`); a larger `step_size` or eps makes it likelier.

    Args:
        model: gives logits (n, k).
        batch: `eps`, `norm` and `step_size` are read; its generator draws the starts.

    Returns:
        (n, c, h, w) in [0, 1], within eps of the images, without gradient.

    Source: Wong, Rice and Kolter 2020, arXiv:2001.03994, algorithm 3. Departure: examples are made
    in eval mode, see `mixed_loss`.
    """
    images, norm = batch.images, batch.settings.norm
    start = (images + random_in_ball(images, batch.eps, norm, batch.generator)).clamp(0, 1)
    start.requires_grad_()
    with evaluating(model), torch.enable_grad():
        loss = functional.cross_entropy(model(start).float(), batch.labels, reduction="sum")
        (slope,) = torch.autograd.grad(loss, start)
    step = batch.settings.step_size or _LONG * batch.eps
    moved = start.detach() + step * steepest(slope, norm)
    return project_into_box(moved, images, batch.eps, norm)
