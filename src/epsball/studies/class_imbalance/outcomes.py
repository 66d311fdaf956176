"""What a network and an attack do to the images of one class."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from epsball.data import to_unit
from epsball.studies.core.store import Row
from epsball.types import Dataset

AT_ONCE = 250  # images a forward pass; larger batches leave the caches
Attack = Callable[[nn.Module, Tensor, Tensor], Tensor]


def images_of(dataset: Dataset, label: int, limit: int | None = None) -> Tensor:
    """Return the first images of a class, (m, c, h, w), float32, in [0, 1]."""
    rows = np.flatnonzero(dataset.labels == label)[:limit]
    return to_unit(dataset.read(rows))


def logits_of(model: nn.Module, images: Tensor) -> Tensor:
    """Return logits (n, k), float32, on the CPU."""
    place = next(model.parameters()).device
    with torch.no_grad():
        parts = [model(some.to(place)).float().cpu() for some in torch.split(images, AT_ONCE)]
    return torch.cat(parts)


def attacked(model: nn.Module, images: Tensor, label: int, attack: Attack) -> Tensor:
    """Return adversarial images (n, c, h, w) of one class, on the CPU."""
    place = next(model.parameters()).device
    return torch.cat(
        [
            attack(model, some.to(place), torch.full((len(some),), label, device=place)).cpu()
            for some in torch.split(images, AT_ONCE)
        ]
    )


def outcome(logits: Tensor, label: int) -> Row:
    """Count what images of a class are taken for.

    Args:
        logits: (n, k), of images of the class.
        label: the class.

    Returns:
        n, right, accuracy; "named": how many are taken for each class, as text.
    """
    predicted = logits.argmax(1)
    counts = torch.bincount(predicted, minlength=logits.shape[1])
    right = int(counts[label])
    return {
        "n": len(logits), "right": right, "accuracy": right / len(logits),
        "named": " ".join(map(str, counts.tolist())),
    }  # fmt: skip
