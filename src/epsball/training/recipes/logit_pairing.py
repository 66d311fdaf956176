"""Recipe `logit-pairing`: be right on adversarial images, with the scores of the clean ones."""

from collections.abc import Callable

from torch import Tensor, nn

from epsball.training.measure.losses import cross_entropy_of, scores_of
from epsball.training.recipes.spec import Batch


def logit_pairing_loss(model: nn.Module, batch: Batch, examples: Callable[[], Tensor]) -> Tensor:
    """Return alpha * L(x) + (1 - alpha) * L(x') + beta * (mean squared difference of logits).

    Args:
        model: gives logits (n, k); run in the mode it is in.
        batch: `alpha`, `beta` and `label_smoothing` are read.
        examples: makes x'.

    Returns:
        A scalar; the gradient flows through both predictions, and through no example.

    Source: Kannan et al. 2018, arXiv:1803.06373, section 3.1. Engstrom et al. 2018,
    arXiv:1807.10272, break the published model with more steps: audit what this trains with
    `strongest`. Departure: as in `mixed_loss` two separate passes.
    """
    settings = batch.settings
    clean, adversarial = scores_of(model, batch.images), scores_of(model, examples())
    apart = (clean - adversarial).square().mean()
    losses = [
        cross_entropy_of(s, batch.labels, settings, batch.counts) for s in (clean, adversarial)
    ]
    return settings.alpha * losses[0] + (1 - settings.alpha) * losses[1] + settings.beta * apart
