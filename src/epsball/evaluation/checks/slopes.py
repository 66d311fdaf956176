"""Whether gradients equal directional derivatives by finite differences."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from epsball.evaluation.checks.findings import finding
from epsball.types import Finding

_LENGTHS = (0.5 / 255, 2 / 255, 8 / 255)  # a pixel; rounding inside a model hides the short ones
_PATTERNS = 3
_GRID = 4  # cells a side of a pattern: coarse, so that compression and blur let it through
_APART = 0.35  # of the derivative's size; gradients of the whole model stay below a fifth
_ROUNDING = 1e-4  # of the largest score: a smaller change cannot be told from float32 rounding
_FEWEST = 4  # images with a clear change
_ASIDE = 1 / 255  # a pixel


def check_slopes(
    value: Callable[[Tensor], Tensor], slopes: Tensor, images: Tensor, scale: float
) -> list[Finding]:
    """Move images along a few directions and compare the change with the gradient's prediction.

    Args:
        value: images (n, c, h, w) to the value (n,) whose gradient is judged, the margin.
        slopes: (n, c, h, w), its gradient at the images.
        images: (n, c, h, w), in [0, 1].
        scale: largest score in size; what float32 rounds is a share of it.
    """
    looked, predicted, enough = torch.tensor([]), torch.tensor([]), False
    best = torch.full((len(images),), torch.inf, dtype=torch.float64)
    for length in _LENGTHS:
        changes = [_change(value, slopes, images, length * d) for d in _directions(slopes)]
        observed, predicted = (
            torch.stack(column).double() for column in zip(*changes, strict=True)
        )
        size = torch.maximum(observed.norm(dim=0), predicted.norm(dim=0))
        apart = (observed - predicted).norm(dim=0) / size
        clear = (size > _ROUNDING * scale) & (predicted != 0).any(
            0
        )  # without a slope: another finding
        best = torch.where(clear, torch.minimum(best, apart), best)
        looked = best[best.isfinite()]
        enough = len(looked) >= min(_FEWEST, len(images))
        if enough and float(looked.median()) <= _APART:
            return []
    if not enough:
        return []
    message = (
        f"moved along {len(predicted)} directions, the margin of {len(looked)} images changes "
        f"otherwise than its gradient says: by {float(looked.median()):.0%} of the change's size, "
        "in the median"
    )
    return [finding("foreign-gradient", message, apart=float(looked.median()), images=len(looked))]


def beside(images: Tensor) -> Tensor:
    """Move every pixel of images a little, each by another amount, towards the middle of its range.

    Where an image is flat, as a background is, pooling has ties and a network kinks: there is no
    gradient there that could agree with differences. Beside such an image there is one.
    """
    generator = torch.Generator().manual_seed(1)
    shift = _ASIDE * torch.rand(images.shape, generator=generator).to(images)
    return images + torch.where(images < 0.5, shift, -shift)


def _directions(slopes: Tensor) -> list[Tensor]:
    """Return the gradient's own direction and coarse random patterns, largest entry 1."""
    generator = torch.Generator().manual_seed(0)
    channels, *sides = slopes.shape[1:]
    largest = slopes.flatten(1).abs().amax(1).clamp_min(torch.finfo(slopes.dtype).tiny)
    patterns = torch.rand((_PATTERNS, 1, channels, _GRID, _GRID), generator=generator) - 0.5
    return [slopes / largest[:, None, None, None]] + [
        interpolate(pattern.sign(), size=tuple(sides)).expand_as(slopes) for pattern in patterns
    ]


def _change(
    value: Callable[[Tensor], Tensor], slopes: Tensor, images: Tensor, step: Tensor
) -> tuple[Tensor, Tensor]:
    """Return how much the value changes between two points, and what its gradient promises."""
    ahead, behind = (images + step).clamp(0, 1), (images - step).clamp(0, 1)
    promised = (slopes * (ahead - behind)).double().flatten(1).sum(1)
    return value(ahead).double() - value(behind).double(), promised
