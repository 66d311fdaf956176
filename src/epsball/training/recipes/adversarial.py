"""Recipe `pgd`: every step goes down the loss of the worst images that several steps find."""

from collections.abc import Callable

from torch import Tensor, nn

from epsball.attacks import pgd
from epsball.training.measure.losses import data_loss
from epsball.training.recipes.spec import Batch
from epsball.training.setup.modes import evaluating


def adversarial_loss(model: nn.Module, batch: Batch, examples: Callable[[], Tensor]) -> Tensor:
    """Return L(x'), x' being the examples: a saddle point's descent. Clean images are not used.

    Args:
        model: gives logits (n, k); run in the mode it is in.
        batch: `label_smoothing` is read.
        examples: makes the images that the loss is taken on.

    Returns:
        A scalar that carries the gradient to the parameters.
    """
    return data_loss(model, examples(), batch.labels, batch.settings, batch.counts)


def pgd_examples(model: nn.Module, batch: Batch) -> Tensor:
    """Return the worst image that PGD finds within eps of each; in eval mode, see `mixed_loss`.

    Args:
        model: gives logits (n, k).
        batch: `eps`, `norm`, `attack_steps` and `step_size` are read; its generator draws the
            random starts.

    Returns:
        (n, c, h, w), without gradient.

    Source: Madry et al. 2018, arXiv:1706.06083, section 2.1. Departure: of the points that the
    steps visit the one with the highest loss is taken, not the last.
    """
    settings, eps = batch.settings, batch.eps
    usual = 2.5 * eps / settings.attack_steps if eps else None
    with evaluating(model):
        return pgd(
            model,
            batch.images,
            batch.labels,
            eps=eps,
            norm=settings.norm,
            steps=settings.attack_steps,
            step_size=settings.step_size or usual,
            generator=batch.generator,
        )
