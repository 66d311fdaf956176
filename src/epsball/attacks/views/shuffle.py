"""The view of BSR: strips are turned a little, and strips and blocks change places."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from epsball.attacks.views.blocks import Cuts, draw
from epsball.randomness import Randomness

_BLOCKS = 3
_DEGREES = 24.0


def shuffle(images: Tensor, number: int, generator: Randomness) -> Tensor:  # noqa: ARG001 - one signature for every view
    """Cut each image into strips, turn each strip by up to 24 degrees and shuffle its blocks.

    Args:
        images: (n, c, h, w), in [0, 1].
        number: of the copy; not used.
        generator: source of sizes, orders, angles and of the axis that is cut first.

    Returns:
        (n, c, h, w), differentiable in images; 0 where a turned strip leaves a gap.

    Source: Wang et al. 2024, arXiv:2308.10299, section 3.3, with the sizes of the authors'
    published code in TransferAttack. Departures: every image of a batch draws its own changes;
    interpolation stops at the border of a strip.
    """
    height, width = images.shape[2:]
    rows_first = _sources(images, height, width, generator)
    columns_first = _sources(images, width, height, generator)
    first = (draw(images, 1, 1, generator=generator) < 0.5)[..., None]
    y, x, filled = (
        torch.where(first[..., 0], a, b.transpose(1, 2))
        for a, b in zip(
            (rows_first.outer, rows_first.inner, rows_first.filled),
            (columns_first.inner, columns_first.outer, columns_first.filled),
            strict=True,
        )
    )
    grid = torch.stack(((2 * x + 1) / width - 1, (2 * y + 1) / height - 1), 3)
    sampled = grid_sample(images, grid.to(images), align_corners=False)
    return sampled * filled[:, None]


@dataclass(frozen=True)
class _Sources:
    """Where each pixel comes from; each field is (n, outer length, inner length)."""

    outer: Tensor
    inner: Tensor
    filled: Tensor


def _sources(like: Tensor, outer: int, inner: int, generator: Randomness) -> _Sources:
    """Draw the source of every pixel when the outer axis is cut into strips."""
    strips = min(_BLOCKS, outer)
    blocks = min(_BLOCKS, inner)
    source, target, order = _shuffled(draw(like, strips, 2, generator=generator), outer)
    strip = order.gather(1, target.block)  # (n, outer), the source strip of each position
    at = torch.arange(outer, device=like.device) - target.start.gather(1, target.block)
    cuts = draw(like, strips, blocks, 2, generator=generator)
    column = _columns(cuts, inner).gather(1, strip[:, :, None].expand(-1, -1, inner))
    angle = (2 * draw(like, strips, generator=generator) - 1) * math.radians(_DEGREES)
    size = source.size.gather(1, strip)[:, :, None].to(like)
    y = at[:, :, None].to(like) - (size - 1) / 2
    x = column.to(like) - (inner - 1) / 2
    turn = angle.gather(1, strip)[:, :, None]
    across, along = turn.cos() * y - turn.sin() * x, turn.sin() * y + turn.cos() * x
    filled = (across.abs() <= size / 2) & (along.abs() <= inner / 2)
    across = torch.minimum(torch.maximum(across, -(size - 1) / 2), (size - 1) / 2)
    start = source.start.gather(1, strip)[:, :, None]
    return _Sources(start + across + (size - 1) / 2, along + (inner - 1) / 2, filled)


def _shuffled(cuts: Tensor, length: int) -> tuple[Cuts, Cuts, Tensor]:
    """Cut an axis into parts of random sizes and change their order.

    Args:
        cuts: (n, parts, 2), in [0, 1): sizes between 1 and 2, relative; keys of the order.
        length: of the axis.

    Returns:
        The cuts of the source, the cuts of the result, and (n, parts), the part of the source at
        each place of the result.
    """
    ends = ((1 + cuts[..., 0]).cumsum(1) / (1 + cuts[..., 0]).sum(1, keepdim=True)) * length
    start = torch.cat((torch.zeros_like(ends[:, :1]), ends[:, :-1]), 1).round().long()
    source = Cuts.from_starts(start, length)
    order = cuts[..., 1].argsort(1)
    sizes = source.size.gather(1, order)
    return source, Cuts.from_starts(sizes.cumsum(1) - sizes, length), order


def _columns(cuts: Tensor, length: int) -> Tensor:
    """Return for every strip the source column of each position, (n, strips, length), int64."""
    n, strips = cuts.shape[:2]
    source, target, order = _shuffled(cuts.flatten(0, 1), length)
    part = order.gather(1, target.block)
    at = torch.arange(length, device=cuts.device) - target.start.gather(1, target.block)
    return (source.start.gather(1, part) + at).view(n, strips, length)
