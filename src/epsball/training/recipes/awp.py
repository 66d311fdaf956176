"""Adversarial weight perturbation: the gradient is taken where the loss is higher nearby."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

_TINY = 1e-12


@contextmanager
def weights_uphill(model: nn.Module, loss: Callable[[], Tensor], share: float) -> Iterator[None]:
    """Run a block with every layer's weights moved up the gradient of a loss; put them back.

    Each layer moves by `share` of its own length, so that no layer's scale matters. The pass that
    finds the direction leaves BatchNorm's running statistics as they were.

    Args:
        model: whose weights; biases and normalisation scales stay.
        loss: of a batch whose examples are made: the same ones are used before and after.
        share: gamma of the source; 0: nothing is moved, nothing is spent.

    Source: Wu, Xia and Wang 2020, arXiv:2004.05884, section 4.2, one step. Departure: weights are
    moved from the first epoch on, and the penalties of `l1` and `l2` do not steer the direction.
    """
    if not share:
        yield
        return
    weights = [w for w in model.parameters() if w.requires_grad and w.dim() >= 2]
    with _same_buffers(model):
        slopes = torch.autograd.grad(loss(), weights, allow_unused=True)
    originals = [weight.detach().clone() for weight in weights]
    with torch.no_grad():
        for weight, slope in zip(weights, slopes, strict=True):
            if slope is not None:
                weight.add_(slope * (share * weight.norm() / (slope.norm() + _TINY)))
    try:
        yield
    finally:
        with torch.no_grad():
            for weight, original in zip(weights, originals, strict=True):
                weight.copy_(original)


@contextmanager
def _same_buffers(model: nn.Module) -> Iterator[None]:
    originals = [buffer.clone() for buffer in model.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, original in zip(model.buffers(), originals, strict=True):
                buffer.copy_(original)
