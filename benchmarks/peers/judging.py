"""One judge for all: float32 scores of the same model, distances in float64."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from epsball.geometry import size
from epsball.types import Norm

ROUNDING = 1e-6  # how far float32 may carry an image out of its ball
_AT_ONCE = 100  # images a pass, the same for every library


@dataclass(frozen=True)
class Verdict:
    """What came out.

    Args:
        clean: share of the images that the model gets right before the attack.
        robust: share that it gets right before and after.
        found: of the images right before, the share whose adversarial one is wrong.
        distance: median distance over the images right before; infinite where none was found,
            and so is the median where that holds for half of them; None: no image was right.
        outside_ball: images further than eps, by more than rounding; 0 where there is no ball.
        outside_box: images with a pixel outside [0, 1].
        broken: images that hold NaN or infinity; they count as not found.
    """

    clean: float
    robust: float
    found: float
    distance: float | None
    outside_ball: int
    outside_box: int
    broken: int


def judge(
    model: nn.Module,
    images: Tensor,
    made: Tensor,
    labels: Tensor,
    *,
    norm: Norm,
    eps: float,
    device: str = "cpu",
) -> Verdict:
    """Judge adversarial images.

    Args:
        model: the untouched model.
        images: (n, c, h, w), the clean images, on the CPU.
        made: (n, c, h, w), what a library returned.
        labels: (n,), int64.
        norm: geometry of ball and distance.
        eps: radius; 0 where there is no ball.
        device: where the model is.
    """
    made = made.float()
    finite = made.isfinite().flatten(1).all(1)
    right = predictions(model, images, device) == labels
    fooled = (predictions(model, made, device) != labels) & finite
    distances = size(made.double() - images.double(), norm)
    return Verdict(
        clean=_share(right),
        robust=_share(right & ~fooled),
        found=_share(fooled[right]),
        distance=_median(torch.where(fooled, distances, torch.inf)[right]),
        outside_ball=int((finite & (distances > eps + ROUNDING)).sum()) if eps else 0,
        outside_box=int((finite & ((made < 0) | (made > 1)).flatten(1).any(1)).sum()),
        broken=int((~finite).sum()),
    )


def predictions(model: nn.Module, images: Tensor, device: str = "cpu") -> Tensor:
    """Return the model's classes, (n,), on the CPU."""
    places = range(0, len(images), _AT_ONCE)
    with torch.no_grad():
        parts = [model(images[at : at + _AT_ONCE].to(device)).argmax(1).cpu() for at in places]
    return torch.cat(parts)


def _share(flags: Tensor) -> float:
    return float(flags.double().mean()) if len(flags) else 0.0


def _median(values: Tensor) -> float | None:
    """Return the middle value, of an even number the mean of both middle ones."""
    if not len(values):
        return None
    ranked = values.sort().values
    return float((ranked[(len(ranked) - 1) // 2] + ranked[len(ranked) // 2]) / 2)
