"""The two networks of recipe `generator`, as functions of their weights.

No modules: their weights are part of what a run remembers, by name, and are handed in.
"""

import itertools
import math
from collections.abc import Mapping
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from epsball.geometry import per_row
from epsball.randomness import Randomness, normal
from epsball.tensors import Images
from epsball.types import Norm

Weights: TypeAlias = Mapping[str, Tensor]
Shapes: TypeAlias = dict[str, tuple[int, ...]]

_BLOCKS = 4  # residual ones, as in the source
_HALVINGS = 4  # height and width are halved twice, so they are filled up to a multiple of this
_SLOPE = 0.2  # of the discriminator's leaky ReLU below 0
_GAIN = 2.0  # linf: from half the root mean square on, an entry goes the whole way


def generator_shapes(channels: int, width: int) -> Shapes:
    """Return the generator's weights by name; the source's has a width of 8.

    Args:
        channels: of the images.
        width: filters of the first layer; the inner ones have twice and four times as many.
    """
    wide = 4 * width
    blocks = {f"block{n}{half}": (wide, wide) for n in range(_BLOCKS) for half in "ab"}
    ends = {"down1": (channels, width), "down2": (width, 2 * width), "down3": (2 * width, wide)}
    # an upward layer gives four pixels for one
    tops = {"up1": (wide, 8 * width), "up2": (2 * width, 4 * width), "up3": (width, channels)}
    return _convolutions(ends | blocks | tops)


def discriminator_shapes(channels: int, width: int) -> Shapes:
    """Return the discriminator's weights by name; arguments as for `generator_shapes`."""
    widths = (channels, width, 2 * width, 4 * width)
    layers = {f"down{n}": pair for n, pair in enumerate(itertools.pairwise(widths), 1)}
    return {**_convolutions(layers), "out.weight": (1, 4 * width), "out.bias": (1,)}


def drawn_weights(shapes: Shapes, like: Tensor, generator: Randomness) -> dict[str, Tensor]:
    """Draw first weights, as He et al. 2015 do for ReLU; biases are 0.

    Args:
        shapes: by name.
        like: gives dtype and place.
        generator: see `epsball.randomness.uniform`.
    """
    weights = {}
    for name, shape in shapes.items():
        weight = torch.zeros(shape, dtype=like.dtype, device=like.device)
        if weight.dim() >= 2:
            weight = normal(weight, generator) * math.sqrt(2 / math.prod(shape[1:]))
        weights[name] = weight
    return weights


def perturb(weights: Weights, images: Images, *, eps: float, norm: Norm) -> Tensor:
    """Return images moved to where a generator wants them, by one forward pass of it.

    What the network gives is a direction: it is brought to one size per image before it is
    bounded, so that no bound is met for good. (Behind a tanh of what the network gives, a generator
    in linf was stuck after one epoch: all entries at their bounds, and no gradient.)

    Args:
        weights: of a generator for images of so many channels, by name.
        images: (n, c, h, w), in [0, 1], of any height and width.
        eps: radius, in units of [0, 1].
        norm: "l2": the direction is eps long; "linf": it is bounded by eps entry by entry.

    Returns:
        (n, c, h, w) in [0, 1], within eps of the images; it carries a gradient to the weights.
    """
    raw = _decoded(weights, _encoded(weights, images)).to(images.dtype)
    raw = raw[..., : images.shape[2], : images.shape[3]]
    direction = _of_length_one(raw)
    if norm == "l2":
        delta = eps * direction
    else:
        delta = eps * (_GAIN * math.sqrt(direction[0].numel()) * direction).clamp(-1, 1)
    return (images + delta).clamp(0, 1)


def discern(weights: Weights, images: Images) -> Tensor:
    """Return how much more a discriminator takes images for clean than for perturbed ones.

    Args:
        weights: of a discriminator, by name.
        images: (n, c, h, w).

    Returns:
        (n,), log-odds, float32 at least.
    """
    state: Tensor = images
    for name in ("down1", "down2", "down3"):
        state = functional.leaky_relu(_convolve(weights, name, state, stride=2), _SLOPE)
    pooled = state.mean((2, 3))  # (n, 4 width)
    scores = functional.linear(pooled, weights["out.weight"], weights["out.bias"])
    return scores[:, 0].to(images.dtype)


def _of_length_one(raw: Tensor) -> Tensor:
    """Return (n, ...) over the length of each row; a row of zeros stays one, with a mild slope."""
    largest = raw.detach().flatten(1).abs().amax(1)
    # in units of the largest entry squares neither overflow nor vanish; their sum is at least 1
    raw = raw / per_row(torch.where(largest > 0, largest, torch.ones_like(largest)), raw)
    return raw * per_row(raw.flatten(1).square().sum(1).clamp_min(1).rsqrt(), raw)


def _encoded(weights: Weights, images: Images) -> Tensor:
    rest = [-side % _HALVINGS for side in images.shape[2:]]
    state = functional.pad(images, (0, rest[1], 0, rest[0]))
    state = _convolve(weights, "down1", state).relu()
    state = _convolve(weights, "down2", state, stride=2).relu()
    return _convolve(weights, "down3", state, stride=2).relu()  # (n, 4 width, h / 4, w / 4)


def _decoded(weights: Weights, state: Tensor) -> Tensor:
    for number in range(_BLOCKS):
        inner = _convolve(weights, f"block{number}a", state).relu()
        state = (state + _convolve(weights, f"block{number}b", inner)).relu()
    for name in ("up1", "up2"):
        state = functional.pixel_shuffle(_convolve(weights, name, state), 2).relu()
    return _convolve(weights, "up3", state)


def _convolve(weights: Weights, name: str, state: Tensor, *, stride: int = 1) -> Tensor:
    weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
    return functional.conv2d(state, weight, bias, stride=stride, padding=1)


def _convolutions(layers: Mapping[str, tuple[int, int]]) -> Shapes:
    shapes: Shapes = {}
    for name, (into, out) in layers.items():
        shapes |= {f"{name}.weight": (out, into, 3, 3), f"{name}.bias": (out,)}
    return shapes
