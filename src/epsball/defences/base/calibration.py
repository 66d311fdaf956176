"""What a threshold is set on: acceptances and predictions of clean images."""

from typing import Protocol

import torch
from torch import Tensor

from epsball.defences.base.images import ImageSet
from epsball.errors import InvalidInput
from epsball.tensors import Images


class Judge(Protocol):
    """A rejector after its fit."""

    def _judge(self, inputs: Images) -> tuple[Tensor, Tensor]:
        """Return class columns (n, k), and what is compared with the threshold (n,)."""


@torch.no_grad()
def acceptances(judge: Judge, image_set: ImageSet) -> Tensor:
    """Return what is compared with the threshold, (n,), on the CPU."""
    return torch.cat([judge._judge(batch)[1].cpu() for batch in image_set])


@torch.no_grad()
def predictions(judge: Judge, image_set: ImageSet) -> Tensor:
    """Return the class of the highest column, (n,), int64, on the CPU."""
    return torch.cat([judge._judge(batch)[0].argmax(1).cpu() for batch in image_set])


def too_few_images(name: str) -> InvalidInput:
    """Return the error for a threshold that is to be set on no image."""
    return InvalidInput(
        f"{name}: false_rejection needs clean images (classified right, where labels "
        "are given; in a fit, ten or more of a class), got none; give more"
    )
