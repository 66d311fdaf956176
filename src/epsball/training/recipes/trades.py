"""Recipe `trades`: be right on the clean images, and be of one mind all around each of them."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from epsball.geometry import project_into_box, steepest
from epsball.randomness import normal
from epsball.training.measure.losses import cross_entropy_of, scores_of
from epsball.training.recipes.spec import Batch
from epsball.training.setup.modes import evaluating

_NEAR = 0.001  # standard deviation of the start, in input units: the source's


def trades_loss(model: nn.Module, batch: Batch, examples: Callable[[], Tensor]) -> Tensor:
    """Return L(x) + beta * KL(p(x) || p(x')), x' being the example that differs most from x.

    Args:
        model: gives logits (n, k); run in the mode it is in.
        batch: `beta` and `label_smoothing` (of L) are read.
        examples: makes them.

    Returns:
        A scalar; the gradient flows through both predictions, and through no example.

    Source: Zhang et al. 2019, arXiv:1901.08573, equation 5; the KL term is a mean over images.
    Departure: as in `mixed_loss` two separate passes, so BatchNorm sees them by turns.
    """
    clean = scores_of(model, batch.images)
    adversarial = scores_of(model, examples())
    apart = divergence(clean, adversarial).mean()
    loss = cross_entropy_of(clean, batch.labels, batch.settings, batch.counts)
    return loss + batch.settings.beta * apart


def trades_examples(model: nn.Module, batch: Batch) -> Tensor:
    """Return where signed steps up the divergence KL(p(x) || p(x')) lead; in eval mode.

    The label is not used, so it cannot leak. The walk begins at small Gaussian noise, because at x
    itself the divergence is flat.

    Args:
        model: gives logits (n, k).
        batch: `eps`, `norm`, `attack_steps` and `step_size` are read; its generator draws.

    Returns:
        (n, c, h, w) in [0, 1], within eps of the images, without gradient.

    Source: Zhang et al. 2019, arXiv:1901.08573, algorithm 1. Departure: the first step is made in
    float32 under autocast too: so near to x, bfloat16 does not tell the two predictions apart.
    """
    settings, images = batch.settings, batch.images
    length = settings.step_size or 2.5 * batch.eps / settings.attack_steps
    point = (images + _NEAR * normal(images, batch.generator)).clamp(0, 1)
    with evaluating(model):
        with torch.no_grad(), _exactly(images):
            clean = scores_of(model, images)
        for number in range(settings.attack_steps):
            if number == 0:
                with _exactly(images):
                    slope = _slope(model, point, clean)
            else:
                slope = _slope(model, point, clean)
            moved = point + length * steepest(slope, settings.norm)
            point = project_into_box(moved, images, batch.eps, settings.norm)
    return point


def divergence(clean: Tensor, other: Tensor) -> Tensor:
    """Return KL(softmax(clean) || softmax(other)) of each row of logits (n, k), as (n,)."""
    log_clean = functional.log_softmax(clean, dim=1)
    log_other = functional.log_softmax(other, dim=1)
    return (log_clean.exp() * (log_clean - log_other)).sum(1)


def _slope(model: nn.Module, point: Tensor, clean: Tensor) -> Tensor:
    point = point.detach().requires_grad_()
    with torch.enable_grad():
        apart = divergence(clean, scores_of(model, point)).sum()
        (slope,) = torch.autograd.grad(apart, point)
    return slope


def _exactly(images: Tensor) -> torch.autocast:
    return torch.autocast(images.device.type, enabled=False)
