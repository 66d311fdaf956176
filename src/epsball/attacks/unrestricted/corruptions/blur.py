"""Corruptions that blur: out of focus, through glass, in motion, while zooming."""

import math

import numpy as np
import torch
from torch import Tensor

from epsball.attacks.unrestricted.corruptions.filters import (
    clipped_zoom,
    convolve,
    gather_pixels,
    gaussian_blur,
    motion_blur,
)
from epsball.attacks.unrestricted.corruptions.levels import Levels
from epsball.randomness import Randomness, uniform

_DISK = Levels(  # radius, softness of the edge; pixels
    ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
    ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)),
)
_GLASS = Levels(  # blur, reach of the shuffle, rounds
    ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)),
    ((0.7, 1, 2), (0.9, 2, 1), (1.0, 2, 3), (1.1, 3, 2), (1.5, 4, 2)),
)
_MOTION = Levels(  # radius, fading
    ((6, 1.0), (6, 1.5), (6, 2.0), (8, 2.0), (9, 2.5)),
    ((10, 3.0), (15, 5.0), (15, 8.0), (15, 12.0), (20, 15.0)),
)
_ZOOM = Levels(  # end (not reached, but for rounding) and step of the zoom factors
    ((1.06, 0.01), (1.11, 0.01), (1.16, 0.01), (1.21, 0.01), (1.26, 0.01)),
    ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03)),
)
_WIDE = 8  # pixels; disks beyond it get a larger field and a softer edge
_TURN = 45.0  # degrees to either side of the horizontal


def defocus_blur(inputs: Tensor, severity: int, generator: Randomness) -> Tensor:  # noqa: ARG001 - one signature
    """Put the image out of focus: every point becomes a disk."""
    return convolve(inputs, _disk(*_DISK.at(inputs, severity)))


def _disk(radius: float, softness: float) -> Tensor:
    reach, edge = (_WIDE, 1) if radius <= _WIDE else (math.ceil(radius), 2)
    line = torch.arange(-reach, reach + 1, dtype=torch.float64)
    disk = ((line[:, None] ** 2 + line**2) <= radius**2).double()
    bell = torch.exp(-0.5 * (torch.arange(-edge, edge + 1).double() / softness) ** 2)
    bell = bell / bell.sum()
    # as in the reference code, a disk that fills its field gains up to 1.3 % where it is softened
    return convolve((disk / disk.sum())[None, None], bell[:, None] * bell)[0, 0]


def glass_blur(inputs: Tensor, severity: int, generator: Randomness) -> Tensor:
    """Look through frosted glass: pixels are taken from nearby, between two blurs."""
    sigma, reach, rounds = _GLASS.at(inputs, severity)
    blurred = gaussian_blur(inputs, sigma, truncate=4, border="edge")
    for _ in range(rounds):
        blurred = shuffled(blurred, reach, generator)
    return gaussian_blur(blurred, sigma, truncate=4, border="edge")


def shuffled(inputs: Tensor, reach: int, generator: Randomness) -> Tensor:
    """Replace each pixel by a near one, from the last pixel to the first, in place.

    The reference code loops over pixels. A pixel that was replaced earlier in the loop hands on
    what it was given: those chains are followed here by doubling, for all pixels at once.
    """
    n, _, h, w = inputs.shape
    sample = uniform(inputs.new_empty((n, 2, h, w)), generator)
    away = (sample * (2 * reach)).long() - reach  # [-reach, reach)
    place = torch.arange(h * w, device=inputs.device).view(h, w)
    y, x = place // w, place % w
    inside = (y > reach) & (y <= h - reach) & (x > reach) & (x <= w - reach)
    source = torch.where(inside, place + away[:, 0] * w + away[:, 1], place)  # (n, h, w)
    # a source already replaced is a later place that is itself inside; ends point to themselves
    moved = (source > place) & inside.flatten()[source]
    follow = torch.where(moved, source, place).flatten(1)
    for _ in range((h * w).bit_length()):
        follow = follow.gather(1, follow)
    origin = source.flatten(1).gather(1, follow).view(n, h, w)
    return gather_pixels(inputs, origin // w, origin % w)


def motion(inputs: Tensor, severity: int, generator: Randomness) -> Tensor:
    """Move the camera along a random direction, at most 45 degrees from the horizontal."""
    radius, sigma = _MOTION.at(inputs, severity)
    degrees = _TURN * (2 * uniform(inputs[:, 0, 0, 0], generator) - 1)
    return motion_blur(inputs, radius, sigma, degrees)


def zoom_blur(inputs: Tensor, severity: int, generator: Randomness) -> Tensor:  # noqa: ARG001 - one signature
    """Move the camera towards the middle of the scene."""
    end, step = _ZOOM.at(inputs, severity)
    factors = np.arange(1, end, step).tolist()  # as the reference code rounds them
    total = inputs.clone()
    for factor in factors:
        total += clipped_zoom(inputs, factor)
    return total / (len(factors) + 1)
