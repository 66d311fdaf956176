"""What every library is handed, and the one way in which each is called."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn

from epsball.types import Norm

CW_SEARCHES = 5  # binary searches of Carlini and Wagner's constant, of `steps` steps each
CW_CONSTANT = 1.0  # where they begin: five searches reach from 0.06 to 10,000
CW_STEP = 0.01  # Adam's learning rate in tanh space, the default of every library
OVERSHOOT = 0.02  # DeepFool's, the default of every library but ART
_REACH = 2.5  # PGD's steps add up to so many radii: Madry et al. 2018


@dataclass(frozen=True)
class Job:
    """One attack on a set of images.

    Args:
        model: in eval mode, on device, its weights without gradients.
        images: (n, c, h, w), float32 in [0, 1], on the CPU.
        labels: (n,), int64, on the CPU.
        classes: k.
        norm: geometry of the ball, or of the distance.
        eps: radius; 0 for attacks that look for the nearest image.
        steps: gradient evaluations an image, or what the method counts.
        batch: images a forward pass.
        device: "cpu", "cuda" ...
        seed: of everything random.
    """

    model: nn.Module
    images: Tensor
    labels: Tensor
    classes: int
    norm: Norm
    eps: float
    steps: int
    batch: int
    device: str = "cpu"
    seed: int = 0

    @property
    def step_size(self) -> float:
        """Return the length of a step of PGD, the same for all."""
        return _REACH * self.eps / self.steps

    @property
    def order(self) -> float:
        """Return the norm as a number: 2 or infinity."""
        return torch.inf if self.norm == "linf" else 2.0


Attack: TypeAlias = Callable[[Job], Tensor]  # adversarial images, (n, c, h, w), on the CPU


def in_batches(job: Job, attack: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Hand the images batch by batch to a library that takes one batch at a time."""
    results = []
    for first in range(0, len(job.images), job.batch):
        rows = slice(first, first + job.batch)
        results.append(attack(job.images[rows].to(job.device), job.labels[rows].to(job.device)))
    return torch.cat([adversarial.detach().cpu() for adversarial in results])
