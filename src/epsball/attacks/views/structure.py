"""The view of SIA: every block of the image is changed in its own way."""

import torch
from torch import Tensor

from epsball.attacks.views.blocks import Cuts, draw, random_cuts
from epsball.geometry import per_row
from epsball.randomness import Randomness

_ROLL_ROWS, _ROLL_COLUMNS, _FLIP_ROWS, _FLIP_COLUMNS, _TURN, _DIM, _NOISE = range(7)
_NOISE_SIZE = 16 / 255
_BLOCKS = 3


def structure(images: Tensor, number: int, generator: Randomness) -> Tensor:  # noqa: ARG001 - one signature for every view
    """Cut each image into 3 x 3 blocks and shift, flip, turn, dim or disturb each block.

    Args:
        images: (n, c, h, w), in [0, 1].
        number: of the copy; not used.
        generator: source of the cuts and changes.

    Returns:
        (n, c, h, w), differentiable in images.

    Source: Wang et al. 2023, arXiv:2309.14700, section 3, with the seven changes of the authors'
    published code in TransferAttack. Departure: every image of a batch draws its own changes.
    """
    n, channels, height, width = images.shape
    rows, columns = (random_cuts(images, axis, _BLOCKS, generator) for axis in (2, 3))
    shape = (rows.start.shape[1], columns.start.shape[1])
    change = _per_pixel((draw(images, *shape, generator=generator) * 7).long(), rows, columns)
    shift = _per_pixel(draw(images, *shape, generator=generator), rows, columns)
    y = _position(rows, shift, change, axis=0)
    x = _position(columns, shift, change, axis=1)
    index = (y * width + x).flatten(1)[:, None].expand(n, channels, height * width)
    moved = images.flatten(2).gather(2, index).view_as(images)
    factor = torch.where(change == _DIM, shift, 1.0)[:, None].to(images)
    noise = (2 * draw(images, *images.shape[1:], generator=generator) - 1) * _NOISE_SIZE
    noisy = (moved + noise).clamp(0, 1)
    return torch.where((change == _NOISE)[:, None], noisy, moved * factor)


def _per_pixel(values: Tensor, rows: Cuts, columns: Cuts) -> Tensor:
    """Spread one value a block, (n, blocks, blocks), over the pixels, (n, h, w)."""
    image = per_row(torch.arange(len(values), device=values.device), rows.block[:, :, None])
    return values[image, rows.block[:, :, None], columns.block[:, None, :]]


def _position(cuts: Cuts, shift: Tensor, change: Tensor, *, axis: int) -> Tensor:
    """Return the source position of each pixel along one axis, (n, h, w), int64."""
    shape = (1, -1, 1) if axis == 0 else (1, 1, -1)
    place = torch.arange(cuts.block.shape[1], device=shift.device).view(shape)
    along = 2 if axis == 0 else 1
    start = cuts.start.gather(1, cuts.block).unsqueeze(along)
    size = cuts.size.gather(1, cuts.block).unsqueeze(along)
    inside = place - start
    rolled = (inside - (shift * size).long()) % size
    roll, flip = (_ROLL_ROWS, _FLIP_ROWS) if axis == 0 else (_ROLL_COLUMNS, _FLIP_COLUMNS)
    is_turned = (change == flip) | (change == _TURN)
    inside = torch.where(is_turned, size - 1 - inside, torch.where(change == roll, rolled, inside))
    return start + inside
