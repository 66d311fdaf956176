"""Recipe `mart`: the images that are wrong even when clean are asked for less agreement."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from epsball.training.measure.losses import scores_of
from epsball.training.recipes.spec import Batch
from epsball.training.recipes.trades import divergence

_ABOVE_ONE = 1.0001  # so that the logarithm of one minus a probability stays finite


def mart_loss(model: nn.Module, batch: Batch, examples: Callable[[], Tensor]) -> Tensor:
    """Return the mean of BCE(p(x'), y) + beta * KL(p(x) || p(x')) * (1 - p_y(x)).

    BCE(p, y) = -log p_y - log(1 - max p_k over the wrong classes k): it also pushes the strongest
    rival down.

    Args:
        model: gives logits (n, k); run in the mode it is in.
        batch: `beta` is read.
        examples: makes x', by PGD on the cross-entropy.

    Returns:
        A scalar; the gradient flows through both predictions and through the weight 1 - p_y(x).

    Source: Wang et al. 2020, "Improving adversarial robustness requires revisiting misclassified
    examples", ICLR, equations 9 to 12; 1.0001 for 1 is its published code's. Departure: PGD starts
    anywhere in the ball and keeps the best point it sees (see `pgd_examples`).
    """
    labels, clean = batch.labels, scores_of(model, batch.images)
    adversarial = scores_of(model, examples())
    doubt = 1 - functional.softmax(clean, dim=1).gather(1, labels[:, None])[:, 0]
    apart = divergence(clean, adversarial)
    return (_boosted(adversarial, labels) + batch.settings.beta * apart * doubt).mean()


def _boosted(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the boosted cross-entropy of each row, (n,)."""
    wrong = torch.ones_like(logits, dtype=torch.bool).scatter(1, labels[:, None], value=False)
    rival = functional.softmax(logits, dim=1).masked_fill(~wrong, 0).amax(1)
    return functional.cross_entropy(logits, labels, reduction="none") - (_ABOVE_ONE - rival).log()
