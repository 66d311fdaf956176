"""The filters that corruptions are made of: blurs, resampling, zooms. No random numbers here."""

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from epsball.geometry import per_row

Border = Literal["edge", "mirror", "reflect"]  # aaa|abc|ccc, cb|abc|ba, cba|abc|cba


def folded(index: Tensor, side: int, border: Border) -> Tensor:
    """Move positions outside of a side of pixels to those whose values stand in for them.

    Args:
        index: (...), int64, any values.
        side: number of pixels.
        border: "edge" repeats the last pixel; "mirror" reflects about its centre; "reflect" about
            its outer edge.

    Returns:
        (...), in [0, side).

    Example:
        >>> folded(torch.tensor([-2, -1, 0, 3]), 3, "reflect")
        tensor([1, 0, 0, 2])
    """
    if border == "edge" or side == 1:
        return index.clamp(0, side - 1)
    if border == "mirror":
        index = index.remainder(2 * side - 2)
        return torch.minimum(index, 2 * side - 2 - index)
    index = index.remainder(2 * side)
    return torch.minimum(index, 2 * side - 1 - index)


def gaussian_blur(inputs: Tensor, sigma: float, *, truncate: float, border: Border) -> Tensor:
    """Blur with a Gaussian that is cut off after `truncate` standard deviations.

    The blur along a side is one matrix, so that the kernel may be wider than the image.

    Args:
        inputs: (n, c, h, w).
        sigma: standard deviation, pixels; 0 changes nothing.
        truncate: standard deviations until the cut.
        border: what lies outside of the image.

    Returns:
        (n, c, h, w).
    """
    rows, columns = (_gaussian_matrix(s, sigma, truncate, border) for s in inputs.shape[2:])
    return rows.to(inputs) @ inputs @ columns.to(inputs).T


def _gaussian_matrix(side: int, sigma: float, truncate: float, border: Border) -> Tensor:
    radius = int(truncate * sigma + 0.5)
    offsets = torch.arange(-radius, radius + 1)
    weights = torch.exp(-0.5 * (offsets.double() / max(sigma, 1e-12)) ** 2)
    places = folded(torch.arange(side)[:, None] + offsets, side, border)  # (side, 2 radius + 1)
    matrix = torch.zeros((side, side), dtype=torch.float64)
    return matrix.scatter_add_(1, places, (weights / weights.sum()).expand(side, -1))


def box_resize(inputs: Tensor, height: int, width: int) -> Tensor:
    """Make images smaller by averaging blocks, or larger by repeating pixels.

    Args:
        inputs: (n, c, h, w).
        height: of the result.
        width: of the result.

    Returns:
        (n, c, height, width), what Pillow's BOX filter gives before it rounds to 8 bits.
    """
    rows, columns = _box_matrix(inputs.shape[2], height), _box_matrix(inputs.shape[3], width)
    return rows.to(inputs) @ inputs @ columns.to(inputs).T


def _box_matrix(before: int, after: int) -> Tensor:
    scale = before / after
    width = max(scale, 1.0)
    centre = (torch.arange(after, dtype=torch.float64)[:, None] + 0.5) * scale
    offset = (torch.arange(before, dtype=torch.float64) + 0.5 - centre) / width
    matrix = ((offset > -0.5) & (offset <= 0.5)).double()
    return matrix / matrix.sum(1, keepdim=True)


def convolve(inputs: Tensor, kernel: Tensor) -> Tensor:
    """Filter every channel with one kernel of odd size; the border is mirrored.

    Args:
        inputs: (n, c, h, w); may be smaller than the kernel.
        kernel: (a, b), both odd.

    Returns:
        (n, c, h, w).
    """
    (n, c, h, w), (a, b) = inputs.shape, kernel.shape
    rows = folded(torch.arange(-(a // 2), h + a // 2, device=inputs.device), h, "mirror")
    columns = folded(torch.arange(-(b // 2), w + b // 2, device=inputs.device), w, "mirror")
    padded = inputs[:, :, rows][:, :, :, columns].reshape(n * c, 1, h + a - 1, w + b - 1)
    return functional.conv2d(padded, kernel.to(inputs)[None, None]).view(n, c, h, w)


def gather_pixels(inputs: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Read pixels at places of each image's own.

    Args:
        inputs: (n, c, h, w).
        rows: (n, ...), int64.
        columns: (n, ...), int64; broadcasts with rows to (n, a, b).

    Returns:
        (n, c, a, b).
    """
    places = rows * inputs.shape[3] + columns  # (n, a, b)
    channels = inputs.shape[1]
    flat = places.flatten(1)[:, None].expand(-1, channels, -1)
    return inputs.flatten(2).gather(2, flat).view(len(inputs), channels, *places.shape[1:])


def sample(inputs: Tensor, rows: Tensor, columns: Tensor, border: Border) -> Tensor:
    """Read images between their pixels, linearly.

    Args:
        inputs: (n, c, h, w).
        rows: (n, h, w), float, pixels; any values.
        columns: (n, h, w), float, pixels; any values.
        border: what lies outside.

    Returns:
        (n, c, h, w).
    """
    top, left = rows.floor(), columns.floor()
    down, right = (rows - top)[:, None], (columns - left)[:, None]  # (n, 1, h, w)

    def corner(below: int, beside: int) -> Tensor:
        y = folded(top.long() + below, inputs.shape[2], border)
        x = folded(left.long() + beside, inputs.shape[3], border)
        return gather_pixels(inputs, y, x)

    above = corner(0, 0) * (1 - right) + corner(0, 1) * right
    below = corner(1, 0) * (1 - right) + corner(1, 1) * right
    return above * (1 - down) + below * down


def clipped_zoom(inputs: Tensor, factor: float) -> Tensor:
    """Enlarge the middle of each image to its full size.

    Args:
        inputs: (n, c, h, w).
        factor: at least 1.

    Returns:
        (n, c, h, w).
    """
    sides = inputs.shape[2:]
    window = [math.ceil(side / factor) for side in sides]
    top, left = ((side - keep) // 2 for side, keep in zip(sides, window, strict=True))
    middle = inputs[:, :, top : top + window[0], left : left + window[1]]
    larger = [max(side, round(keep * factor)) for side, keep in zip(sides, window, strict=True)]
    zoomed = functional.interpolate(middle, larger, mode="bilinear", align_corners=True)
    top, left = ((big - side) // 2 for side, big in zip(sides, larger, strict=True))
    return zoomed[:, :, top : top + sides[0], left : left + sides[1]]


def motion_blur(inputs: Tensor, radius: int, sigma: float, degrees: Tensor) -> Tensor:
    """Drag each image along a direction of its own; the trail fades as half a Gaussian.

    Args:
        inputs: (n, c, h, w).
        radius: the trail has 2 * radius + 1 pixels.
        sigma: how fast it fades, pixels.
        degrees: (n,), the directions.

    Returns:
        (n, c, h, w).

    Source: MotionBlurImage of ImageMagick, which the reference code calls.
    """
    place = inputs.device
    steps = torch.arange(2 * radius + 1, dtype=torch.float64, device=place)
    weights = torch.exp(-0.5 * (steps / sigma) ** 2)
    angle = torch.deg2rad(degrees.double())
    down = torch.ceil(angle.sin()[:, None] * steps - 0.5).long()  # (n, 2 radius + 1)
    right = torch.ceil(angle.cos()[:, None] * steps - 0.5).long()
    h, w = inputs.shape[2:]
    y, x = torch.arange(h, device=place)[:, None], torch.arange(w, device=place)
    blurred = torch.zeros_like(inputs)
    for i, weight in enumerate((weights / weights.sum()).tolist()):
        rows = folded(y + down[:, i, None, None], h, "edge")  # (n, h, 1)
        columns = folded(x + right[:, i, None, None], w, "edge")  # (n, 1, w)
        blurred += weight * gather_pixels(inputs, rows, columns)
    return blurred


def tinted(grey: Tensor, colour: tuple[float, float, float], channels: int) -> Tensor:
    """Give a grey layer (n, 1, h, w) as many channels as the image; colour where those are 3."""
    if channels != len(colour):
        return grey.expand(-1, channels, -1, -1)
    return grey * per_row(grey.new_tensor(colour), grey).transpose(0, 1)
