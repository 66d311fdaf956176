"""Recipe `standard`: the clean pictures only."""

import torch
from torch import Tensor, nn

from epsball.tensors import Images, Labels
from epsball.training.losses import data_loss, weight_penalty
from epsball.training.settings import TrainSettings


def standard_step(
    model: nn.Module,
    images: Images,
    labels: Labels,
    settings: TrainSettings,
    generator: torch.Generator | None = None,  # noqa: ARG001 - every recipe's signature
) -> Tensor:
    """Return cross-entropy + l1 * sum |w| + l2 * sum w^2 of one batch.

    Args:
        model: gives logits (n, k); run in the mode it is in.
        images: (n, c, h, w), in [0, 1].
        labels: (n,), int64.
        settings: `l1`, `l2` and `label_smoothing` are read.
        generator: not used: nothing is drawn.

    Returns:
        A scalar that carries the gradient to the parameters.
    """
    return data_loss(model, images, labels, settings) + weight_penalty(model, settings)
