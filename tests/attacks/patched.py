"""Models and images for the tests of patches."""

import torch
from torch import Tensor, nn


def seeded(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=seeded(seed))


class Planes(nn.Module):
    """A linear model of any size of image."""

    def __init__(self, classes: int, pixels: int, seed: int = 0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn((classes, pixels), generator=seeded(seed)))

    def forward(self, inputs: Tensor) -> Tensor:
        scores: Tensor = (inputs - 0.5).flatten(1) @ self.weight.T
        return scores


def corner_reader(inputs: Tensor) -> Tensor:
    """Two classes: is the upper left corner dark or bright?"""
    corner = inputs[:, :, :3, :3].mean((1, 2, 3))
    return torch.stack((1 - corner, corner), 1)
