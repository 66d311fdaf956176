"""Recipes `fgsm-mix` and `iterative-mix`: clean images, and fresh examples of them, each step."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from epsball.attacks import bim, fgsm
from epsball.training.measure.losses import data_loss
from epsball.training.recipes.spec import Batch
from epsball.training.setup.modes import evaluating
from epsball.training.setup.settings import TrainReference

# Away from what the image is, or is taken for; towards what it is not.
_DIRECTIONS: dict[TrainReference, Literal["ascent", "descent"]] = {
    "true": "ascent",
    "predicted": "ascent",
    "least_likely": "descent",
    "random": "descent",
}


def mixed_loss(model: nn.Module, batch: Batch, examples: Callable[[], Tensor]) -> Tensor:
    """Return alpha * L(x) + (1 - alpha) * L(x') of one batch, x' being the examples.

    With reference "true" one-step examples betray their label (label leaking): the one step that
    the true label's gradient takes becomes a mark the model can read, and accuracy on such examples
    can exceed clean accuracy. "predicted" moves away from the class the model names itself;
    "least_likely" and "random" (any class but the true one) move towards that class.

    The examples are made in eval mode, the two losses are taken in the mode the model is in. In
    train mode the attack's own pass would shift BatchNorm's running statistics, and would aim at
    one random dropout mask, which is not the network that is tested. The price: before the running
    statistics have settled, the examples of the first steps are weak.

    Args:
        model: gives logits (n, k).
        batch: `alpha` and `label_smoothing` are read.
        examples: makes them; asked for unless alpha is 1.

    Returns:
        A scalar that carries the gradient to the parameters; none flows through the examples.

    Source: Goodfellow et al. 2015, arXiv:1412.6572, section 6; the references other than "true"
    are from Kurakin et al. 2017, arXiv:1611.01236, section 3 and 4.3 (label leaking). Departure:
    the two losses are separate passes, so BatchNorm sees clean and adversarial batches by turns.
    """
    alpha = batch.settings.alpha
    loss = torch.zeros((), device=batch.images.device)
    if alpha > 0:
        loss = loss + alpha * data_loss(
            model, batch.images, batch.labels, batch.settings, batch.counts
        )
    if alpha < 1:
        loss = loss + (1 - alpha) * data_loss(
            model, examples(), batch.labels, batch.settings, batch.counts
        )
    return loss


def fgsm_examples(model: nn.Module, batch: Batch) -> Tensor:
    """Return x + eps * sign(grad_x L), clipped to [0, 1], made in eval mode.

    Args:
        model: gives logits (n, k).
        batch: `eps`, `norm` and `reference` are read; its generator draws for "random".

    Returns:
        (n, c, h, w), without gradient.
    """
    with evaluating(model):
        return fgsm(
            model,
            batch.images,
            batch.labels,
            eps=batch.eps,
            norm=batch.settings.norm,
            direction=_DIRECTIONS[batch.settings.reference],
            reference=batch.settings.reference,
            generator=batch.generator,
        )


def iterative_examples(model: nn.Module, batch: Batch) -> Tensor:
    """Return where several clipped gradient-sign steps within eps lead, made in eval mode.

    Args:
        model: gives logits (n, k).
        batch: `eps`, `norm`, `attack_steps`, `step_size` and `reference` are read.

    Returns:
        (n, c, h, w), without gradient.

    Source: Kurakin et al. 2017, arXiv:1607.02533, section 2, and arXiv:1611.01236, section 3.
    """
    with evaluating(model):
        return bim(
            model,
            batch.images,
            batch.labels,
            eps=batch.eps,
            norm=batch.settings.norm,
            steps=batch.settings.attack_steps,
            step_size=batch.settings.step_size,
            direction=_DIRECTIONS[batch.settings.reference],
            reference=batch.settings.reference,
            generator=batch.generator,
        )
