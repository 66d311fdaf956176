"""The moves of the search over squares: what is tried first, and what is tried next.

Source: Andriushchenko et al. 2020, arXiv:1912.00049, algorithms 2 (linf) and 3 (l2), in the form
of AutoAttack's reference.
"""

import math
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from epsball.geometry import per_row, size, steepest
from epsball.randomness import Randomness, random_signs, uniform

_TILES = 5  # the first l2 perturbation has 5 x 5 of them
_TINY = 1e-12
_COIN = 0.5


def first_stripes(clean: Tensor, eps: float, streams: Randomness) -> Tensor:
    """Move every column of every channel up or down by eps."""
    return (clean + eps * random_signs(clean[:, :, :1], streams)).clamp(0, 1)


def next_paint(
    clean: Tensor, point: Tensor, eps: float, share: float, streams: Randomness
) -> Tensor:
    """Move one square of every image up or down by eps, each channel as a coin falls.

    Args:
        clean: (n, c, h, w).
        point: (n, c, h, w), what is moved.
        eps: how far from clean, in linf.
        share: of the image that the square covers.
        streams: where the squares come from.

    Returns:
        (n, c, h, w); no row is as it was, unless eps or the box allow nothing else.
    """
    side = _side(clean, share)
    numbers = _numbers(clean, 2 + clean.shape[1], streams)
    inside = _Window.of(clean, numbers[:, :2], side).inside
    up = numbers[:, 2:, None, None] < _COIN  # (n, c, 1, 1)
    high, low = (clean + eps).clamp_max(1), (clean - eps).clamp_min(0)
    moved = torch.where(inside, torch.where(up, high, low), point)
    # asking what is known already is a query lost: such a square goes the other way
    known = per_row((moved == point).flatten(1).all(1), clean)
    return torch.where(inside, torch.where(up ^ known, high, low), point)


def first_tiles(clean: Tensor, eps: float, streams: Randomness) -> Tensor:
    """Cover every image with bumps, up or down in each channel; together of length eps."""
    n, channels, height, width = clean.shape
    side = max(1, min(height, width) // _TILES)
    down, across = height // side, width // side
    numbers = _numbers(clean, down * across * (channels + 1), streams)
    coins = (numbers < _COIN).view(n, channels + 1, down, across)
    bumps = _bump(side, clean.dtype, clean.device)[coins[:, 0].long()]  # (n, down, across, s, s)
    signs = 1 - 2 * coins[:, 1:].to(clean)
    tiles = signs[..., None, None] * bumps[:, None]  # (n, c, down, across, s, s)
    cover = tiles.transpose(3, 4).reshape(n, channels, down * side, across * side)
    top, left = (height - down * side) // 2, (width - across * side) // 2
    bottom, right = height - down * side - top, width - across * side - left
    cover = functional.pad(cover, (left, right, top, bottom))
    return (clean + eps * steepest(cover, "l2")).clamp(0, 1)


def next_tiles(
    clean: Tensor, point: Tensor, eps: float, share: float, streams: Randomness
) -> Tensor:
    """Add a bump in one square of every image, with the length that another square gives up.

    Args:
        clean: (n, c, h, w).
        point: (n, c, h, w), what is moved.
        eps: length of the whole perturbation, in l2.
        share: of the image that a square covers.
        streams: where the squares come from.

    Returns:
        (n, c, h, w).
    """
    channels, delta = clean.shape[1], point - clean
    side = _side(clean, share, odd=True)
    numbers = _numbers(clean, 5 + channels, streams)
    to, source = (_Window.of(clean, numbers[:, at : at + 2], side) for at in (0, 2))
    signs = 1 - 2 * (numbers[:, 5:, None, None] < _COIN).to(clean)  # (n, c, 1, 1)
    bump = signs * to.fill(_bump(side, clean.dtype, clean.device), numbers[:, 4] < _COIN)
    mixed = bump + _unit(delta * to.inside)
    bump = torch.where(_lengths(mixed) > _TINY, mixed, bump)  # the old one may undo the new
    spare = (eps**2 - size(delta, "l2") ** 2).clamp_min(0) / channels
    both = to.inside | source.inside
    length = (per_row(spare, delta) + _lengths(delta * both) ** 2).sqrt()
    moved = torch.where(both, _unit(bump) * length, delta)
    return (clean + eps * steepest(moved, "l2")).clamp(0, 1)


class _Window:
    """A square in every image."""

    def __init__(self, down: Tensor, across: Tensor, side: int) -> None:
        """Take each pixel's row and column counted from the square's corner: (n, h) and (n, w)."""
        self.down, self.across, self.side = down, across, side
        within = [(at >= 0) & (at < side) for at in (down, across)]
        self.inside = (within[0][:, :, None] & within[1][:, None, :])[:, None]  # (n, 1, h, w)

    @classmethod
    def of(cls, images: Tensor, numbers: Tensor, side: int) -> "_Window":
        """Place squares of a side by two numbers in [0, 1) each, (n, 2)."""
        from_corner = []
        for number, length in zip(numbers.unbind(1), images.shape[2:], strict=True):
            # to the nearest place: the two outermost get half of what the others get
            corner = (number * (length - side)).round().long()
            from_corner.append(torch.arange(length, device=numbers.device) - corner[:, None])
        return cls(from_corner[0], from_corner[1], side)

    def fill(self, bump: Tensor, turned: Tensor) -> Tensor:
        """Return (n, 1, h, w): a bump of (2, s, s) in the square, turned or not, 0 around it."""
        down, across = (at.clamp(0, self.side - 1) for at in (self.down, self.across))
        filled = bump[turned.long()[:, None, None], down[:, :, None], across[:, None, :]]
        return filled[:, None] * self.inside


@lru_cache(maxsize=64)
def _bump(side: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return (2, side, side), of length 1: one half up, one half down; and the same turned."""
    upper = side // 2
    bump = torch.cat((_pyramid(upper, side), -_pyramid(side - upper, side)))
    bump = (bump / bump.norm()).to(dtype)
    return torch.stack((bump, bump.T)).to(device)


def _pyramid(height: int, width: int) -> Tensor:
    """Return (height, width), of length 1, that rises to its middle in steps of 1 / step ** 2."""
    middle = height // 2, width // 2
    steps = max(middle) + 1
    down, across = (torch.arange(height) - middle[0]).abs(), (torch.arange(width) - middle[1]).abs()
    level = torch.maximum(down[:, None], across[None, :])
    rises = 1 / torch.arange(1, steps + 1, dtype=torch.float64) ** 2
    heights = rises.flip(0).cumsum(0).flip(0)  # what all steps from a level outwards add
    return functional.normalize(heights[level].flatten(), dim=0).view(height, width)


def _side(images: Tensor, share: float, *, odd: bool = False) -> int:
    height, width = images.shape[2:]
    side = max(round(math.sqrt(share * height * width)), 1)
    return min(side + (odd and side % 2 == 0), height, width)


def _numbers(images: Tensor, count: int, streams: Randomness) -> Tensor:
    # float32 always: in half precision a number below 1 is rounded to 1 too often
    like = torch.empty((len(images), count), device=images.device, dtype=torch.float32)
    return uniform(like, streams)


def _lengths(delta: Tensor) -> Tensor:
    """Return (n, c, 1, 1), the l2 length of each channel."""
    return delta.square().sum((2, 3), keepdim=True).sqrt()


def _unit(delta: Tensor) -> Tensor:
    return delta / (_lengths(delta) + _TINY)
