"""What happens to images on their way to the model: printed and photographed, or stored."""

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor, nn

from epsball.errors import InvalidInput
from epsball.models.purifiers.camera import Camera, photograph
from epsball.models.purifiers.table import defence_named
from epsball.randomness import ImageStreams

Way: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""Maps images (n, c, h, w) in [0, 1] and their positions (n,) to images of the same shape."""


def way_through(text: str, seed: int) -> Way:
    """Return what a name stands for: a camera, or a preprocessing defence without chance.

    An image passes in the same way whenever it comes: under every attack, at every eps, and in
    every shard. What is drawn depends on seed and position alone.

    Args:
        text: "camera", "camera:severity=2", "jpeg:quality=50" ...
        seed: of the run.

    Raises:
        InvalidInput: no such step or setting, or one that draws numbers of its own.
    """
    step = defence_named(text)
    if isinstance(step, Camera):
        severity = step.severity

        def photographed(images: Tensor, positions: Tensor) -> Tensor:
            streams = ImageStreams.of(positions, seed=seed, purpose=f"through/{severity}")
            return photograph(images, severity=severity, generator=streams)

        return photographed
    if getattr(step, "remedy", "none") == "expectation":
        raise InvalidInput(
            f"through: {text} draws numbers of its own, so that images would pass differently each "
            "time; take camera, jpeg, bit-depth or smoothing, or audit with --defence"
        )
    return lambda images, _: _of(step, images)


def check_way(text: str, shape: tuple[int, int, int]) -> None:
    """Try a step on an image, before anything is written.

    Args:
        text: see `way_through`.
        shape: (c, h, w) of the images.

    Raises:
        InvalidInput: see `way_through`; or the step does not take such images, or a package that it
            needs is missing.
    """
    way_through(text, 0)(torch.zeros(1, *shape), torch.zeros(1, dtype=torch.int64))


def _of(step: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        passed: Tensor = step(images)
    return passed
