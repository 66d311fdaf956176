"""Recipe `fgsm-mix`: every step sees the clean pictures and fresh one-step examples of them."""

from typing import Literal

import torch
from torch import Tensor, nn

from epsball.attacks import fgsm
from epsball.errors import InvalidInput
from epsball.tensors import Images, Labels
from epsball.training.losses import data_loss, weight_penalty
from epsball.training.modes import evaluating
from epsball.training.settings import TrainReference, TrainSettings

# Away from what the picture is, or is taken for; towards what it is not.
_DIRECTIONS: dict[TrainReference, Literal["ascent", "descent"]] = {
    "true": "ascent",
    "predicted": "ascent",
    "least_likely": "descent",
    "random": "descent",
}


def fgsm_mix_step(
    model: nn.Module,
    images: Images,
    labels: Labels,
    settings: TrainSettings,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Return alpha * L(x) + (1 - alpha) * L(x + eps * sign(grad_x L)) of one batch.

    With reference "true" the examples betray their label (label leaking): the one step that the
    true label's gradient takes becomes a mark the model can read, and accuracy on such examples
    can exceed clean accuracy. "predicted" moves away from the class the model names itself;
    "least_likely" and "random" (any class but the true one) move towards that class.

    The examples are made in eval mode, the two losses are taken in the mode the model is in. In
    train mode the attack's own pass would shift BatchNorm's running statistics, and would aim at
    one random dropout mask, which is not the network that is tested. The price: before the running
    statistics have settled, the examples of the first steps are weak.

    Args:
        model: gives logits (n, k).
        images: (n, c, h, w), in [0, 1].
        labels: (n,), int64, the true classes.
        settings: `alpha`, `eps`, `reference` and what `standard_step` reads.
        generator: draws the classes of reference "random".

    Returns:
        A scalar that carries the gradient to the parameters; none flows through the examples.

    Source: Goodfellow et al. 2015, arXiv:1412.6572, section 6; the references other than "true"
    are from Kurakin et al. 2017, arXiv:1611.01236, section 3 and 4.3 (label leaking). Departures:
    examples are clipped to [0, 1]; the two losses are separate passes, so BatchNorm sees clean and
    adversarial batches by turns.
    """
    loss = weight_penalty(model, settings)
    if settings.alpha > 0:
        loss = loss + settings.alpha * data_loss(model, images, labels, settings)
    if settings.alpha < 1:
        adv = _examples(model, images, labels, settings, generator)
        loss = loss + (1 - settings.alpha) * data_loss(model, adv, labels, settings)
    return loss


def _examples(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    settings: TrainSettings,
    generator: torch.Generator | None,
) -> Tensor:
    if settings.eps is None:
        raise InvalidInput("train: fgsm-mix needs eps, got none; give eps")
    with evaluating(model):
        return fgsm(
            model,
            images,
            labels,
            eps=settings.eps,
            direction=_DIRECTIONS[settings.reference],
            reference=settings.reference,
            generator=generator,
        )
