"""Corruptions of the weather: snow, frost, fog, and the sun."""

import torch
from torch import Tensor

from epsball.attacks.unrestricted.corruptions.filters import clipped_zoom, motion_blur, tinted
from epsball.attacks.unrestricted.corruptions.levels import Levels, is_small
from epsball.geometry import per_row
from epsball.randomness import Randomness, normal, uniform

_SNOW = Levels(  # mean, spread, size, threshold of flakes; radius, fading of their fall; daylight
    (
        (0.1, 0.2, 1.0, 0.6, 8, 3.0, 0.95),
        (0.1, 0.2, 1.0, 0.5, 10, 4.0, 0.9),
        (0.15, 0.3, 1.75, 0.55, 10, 4.0, 0.9),
        (0.25, 0.3, 2.25, 0.6, 12, 6.0, 0.85),
        (0.3, 0.3, 1.25, 0.65, 14, 12.0, 0.8),
    ),
    (
        (0.1, 0.3, 3.0, 0.5, 10, 4.0, 0.8),
        (0.2, 0.3, 2.0, 0.5, 12, 4.0, 0.7),
        (0.55, 0.3, 4.0, 0.9, 12, 8.0, 0.7),
        (0.55, 0.3, 4.5, 0.85, 12, 8.0, 0.65),
        (0.55, 0.3, 2.5, 0.85, 12, 12.0, 0.55),
    ),
)
_FROST = Levels(  # share of the image, share of the frost
    ((1.0, 0.2), (1.0, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)),
    ((1.0, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75)),
)
_FOG = Levels(  # thickness, how fast the fog's detail fades
    ((0.2, 3.0), (0.5, 3.0), (0.75, 2.5), (1.0, 2.0), (1.5, 1.75)),
    ((1.5, 2.0), (2.0, 2.0), (2.5, 1.7), (2.5, 1.5), (3.0, 1.4)),
)
_BRIGHTER = Levels((0.05, 0.1, 0.15, 0.2, 0.3), (0.1, 0.2, 0.3, 0.4, 0.5))
_LUMA = (0.299, 0.587, 0.114)
_ICE = (0.93, 1.01, 1.06)  # red, green, blue: the mean tint of the reference code's photographs


def snow(inputs: Tensor, severity: int, generator: Randomness) -> Tensor:
    """Let it snow, on a paler scene."""
    mean, spread, size, least, radius, fading, light = _SNOW.at(inputs, severity)
    flakes = mean + spread * normal(inputs[:, :1], generator)  # (n, 1, h, w)
    flakes = clipped_zoom(flakes, size)
    flakes = torch.where(flakes < least, 0, flakes).clamp(0, 1)
    falling = -135 + 90 * uniform(inputs[:, 0, 0, 0], generator)
    flakes = motion_blur(flakes, radius, fading, falling)
    pale = torch.maximum(inputs, grey(inputs) * 1.5 + 0.5)
    return light * inputs + (1 - light) * pale + flakes + flakes.rot90(2, (2, 3))


def frost(inputs: Tensor, severity: int, generator: Randomness) -> Tensor:
    """Look through a frozen window."""
    scale, added = _FROST.at(inputs, severity)
    return scale * inputs + added * tinted(ice(inputs, generator), _ICE, inputs.shape[1])


def ice(inputs: Tensor, generator: Randomness) -> Tensor:
    """Grow ice on glass: a tone, clouds, and needles along three directions.

    Args:
        inputs: (n, c, h, w); gives size and place.
        generator: see `epsball.randomness.uniform`.

    Returns:
        (n, 1, h, w), at least 0, mostly below 1.

    Source: none; it stands for the five photographs that the reference code draws from, whose mean
    tones lie between 0.48 and 0.81, their standard deviations between 0.06 and 0.17.
    """
    n, _, h, w = inputs.shape
    tone, contrast, turn = uniform(inputs.new_empty((n, 3)), generator).T
    needles, length = torch.zeros_like(inputs[:, :1]), 4 if is_small(inputs) else 12
    beyond = 2 * length  # needles grow in from outside of the image
    for direction in range(3):
        wide = inputs.new_empty((n, 1, h + 2 * beyond, w + 2 * beyond))
        grains = (uniform(wide, generator) > 0.9).to(inputs)
        trails = motion_blur(grains, length, length, 180 * turn + 60 * direction)
        needles = torch.maximum(needles, trails[:, :, beyond:-beyond, beyond:-beyond])
    needles = needles - needles.mean((1, 2, 3), keepdim=True)
    spread = needles.square().mean((1, 2, 3), keepdim=True).sqrt().clamp_min(1e-6)
    clouds = plasma(inputs, 2.0, generator) - 0.5
    base, relief = per_row(0.5 + 0.3 * tone, inputs), per_row(0.04 + 0.1 * contrast, inputs)
    return (base + 0.25 * clouds + relief * needles / spread).clamp_min(0)


def fog(inputs: Tensor, severity: int, generator: Randomness) -> Tensor:
    """Let fog drift through the scene."""
    thickness, fading = _FOG.at(inputs, severity)
    brightest = inputs.amax((1, 2, 3), keepdim=True)
    veiled = inputs + thickness * plasma(inputs, fading, generator)
    return veiled * brightest / (brightest + thickness)


def brightness(inputs: Tensor, severity: int, generator: Randomness) -> Tensor:  # noqa: ARG001 - one signature
    """Let in more light: the value of hue, saturation and value grows."""
    value = inputs.amax(1, keepdim=True)
    brighter = (value + _BRIGHTER.at(inputs, severity)).clamp_max(1)
    # at one hue and saturation colours are proportional to the value; black has no hue
    return torch.where(value > 0, inputs * (brighter / value.clamp_min(1e-12)), brighter)


def grey(inputs: Tensor) -> Tensor:
    """Return the luma of colour images, the mean channel of others: (n, 1, h, w)."""
    if inputs.shape[1] != len(_LUMA):
        return inputs.mean(1, keepdim=True)
    return tinted(inputs, _LUMA, len(_LUMA)).sum(1, keepdim=True)


def plasma(inputs: Tensor, fading: float, generator: Randomness) -> Tensor:
    """Draw clouds: a random landscape by the diamond-square algorithm.

    Args:
        inputs: (n, c, h, w); gives size and place.
        fading: how much weaker each halving of the scale is.
        generator: see `epsball.randomness.uniform`.

    Returns:
        (n, 1, h, w), in [0, 1]; a corner of a square whose side is a power of two.
    """
    n, _, h, w = inputs.shape
    side = max(32 if is_small(inputs) else 256, 1 << (max(h, w) - 1).bit_length())
    field = inputs.new_zeros((n, side, side))
    step, wobble = side, 100.0
    while step >= 2:
        half = step // 2

        def wobbly(total: Tensor, wobble: float = wobble) -> Tensor:
            # squared in the reference code: the wobble scales its own range
            return total / 4 + wobble**2 * (2 * uniform(total, generator) - 1)

        corners = field[:, ::step, ::step]
        beside = corners + corners.roll(-1, 1)
        field[:, half::step, half::step] = wobbly(beside + beside.roll(-1, 2))
        middles = field[:, half::step, half::step]
        across = middles + middles.roll(1, 1) + corners + corners.roll(-1, 2)
        field[:, ::step, half::step] = wobbly(across)
        down = middles + middles.roll(1, 2) + corners + corners.roll(-1, 1)
        field[:, half::step, ::step] = wobbly(down)
        step, wobble = half, wobble / fading
    low, high = field.amin((1, 2), keepdim=True), field.amax((1, 2), keepdim=True)
    return ((field - low) / (high - low))[:, None, :h, :w]
