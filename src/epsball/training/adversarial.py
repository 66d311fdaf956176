"""Recipe `pgd`: every step goes down the loss of the worst pictures that several steps find."""

import torch
from torch import Tensor, nn

from epsball.attacks import pgd
from epsball.errors import InvalidInput
from epsball.tensors import Images, Labels
from epsball.training.losses import data_loss, weight_penalty
from epsball.training.modes import evaluating
from epsball.training.settings import TrainSettings


def pgd_step(
    model: nn.Module,
    images: Images,
    labels: Labels,
    settings: TrainSettings,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Return L(x'), x' the worst picture that PGD finds within eps of x: a saddle point's descent.

    The examples are made in eval mode, the loss is taken in the mode the model is in (see
    `fgsm_mix_step` for why). Clean pictures are not trained on.

    Args:
        model: gives logits (n, k).
        images: (n, c, h, w), in [0, 1].
        labels: (n,), int64, the true classes.
        settings: `eps`, `attack_steps` and what `standard_step` reads.
        generator: draws the random starts.

    Returns:
        A scalar that carries the gradient to the parameters; none flows through the examples.

    Source: Madry et al. 2018, arXiv:1706.06083, section 2.1. Departure: of the points that the
    steps visit the one with the highest loss is taken, not the last.
    """
    if settings.eps is None:
        raise InvalidInput("train: pgd needs eps, got none; give eps")
    steps = settings.attack_steps
    with evaluating(model):
        worst = pgd(
            model,
            images,
            labels,
            eps=settings.eps,
            steps=steps,
            step_size=2.5 * settings.eps / steps if settings.eps else None,
            generator=generator,
        )
    return weight_penalty(model, settings) + data_loss(model, worst, labels, settings)
