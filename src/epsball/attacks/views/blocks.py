"""Cutting images into blocks at random places, one draw an image."""

from dataclasses import dataclass

import torch
from torch import Tensor

from epsball.randomness import Randomness, uniform


@dataclass(frozen=True)
class Cuts:
    """One axis of every image, cut into blocks.

    Args:
        block: (n, length), int64; the block that each position belongs to.
        start: (n, blocks), int64; the first position of each block.
        size: (n, blocks), int64; the number of positions of each block.
    """

    block: Tensor
    start: Tensor
    size: Tensor

    @classmethod
    def from_starts(cls, start: Tensor, length: int) -> "Cuts":
        """Build the cuts from the first position of each block, (n, blocks), ascending."""
        positions = torch.arange(length, device=start.device)
        block = (positions[None, :, None] >= start[:, None, 1:]).sum(2)  # (n, length)
        ends = torch.cat((start[:, 1:], torch.full_like(start[:, :1], length)), 1)
        return cls(block, start, ends - start)


def draw(like: Tensor, *shape: int, generator: Randomness) -> Tensor:
    """Draw numbers in [0, 1) for every image of a batch, (n, *shape), in its dtype and device."""
    return uniform(like.new_empty((len(like), *shape)), generator)


def random_cuts(like: Tensor, axis: int, blocks: int, generator: Randomness) -> Cuts:
    """Cut an axis of every image at random positions, all sets of positions equally likely.

    Args:
        like: (n, c, h, w).
        axis: 2 or 3.
        blocks: the number of blocks; fewer where the axis is shorter.
        generator: source of the positions.
    """
    length = like.shape[axis]
    inner = min(blocks, length) - 1
    order = draw(like, max(1, length - 1), generator=generator).argsort(1)
    cuts = (order[:, :inner] + 1).sort(1).values
    return Cuts.from_starts(torch.cat((torch.zeros_like(order[:, :1]), cuts), 1), length)
