"""What a search for fooling images gives, and what all searches share."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from epsball.tensors import Classifier

Advance: TypeAlias = Callable[[int], None]


@dataclass(frozen=True)
class Fooling:
    """Fooling images, one for each target class.

    Args:
        images: (n, c, h, w), in [0, 1], multiples of 1/255: as they are saved.
        targets: (n,), int64.
        confidence: (n,), float64, probability of the target.
        queries: (n,), int64, images shown to the model until this one was found; a gradient counts
            as one more. Of a search for all classes together, the same number for all.
    """

    images: Tensor
    targets: Tensor
    confidence: Tensor
    queries: Tensor

    def reached(self, confidence: float) -> int:
        """Return how many images have at least a confidence."""
        return int((self.confidence >= confidence).sum())


def to_levels(images: Tensor) -> Tensor:
    """Clip to [0, 1] and round to multiples of 1/255; gradients pass as if nothing was rounded."""
    clipped = images.clamp(0, 1)
    return clipped + ((clipped * 255).round() / 255 - clipped).detach()


def target_confidence(model: Classifier, images: Tensor, targets: Tensor) -> Tensor:
    """Return (n,), float64: the probability of each image's target."""
    with torch.no_grad():
        probabilities = model(images).double().softmax(1)
    return probabilities.gather(1, targets[:, None])[:, 0]
