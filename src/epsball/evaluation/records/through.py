"""Transformations that attacked images are judged after: a photograph, a JPEG file."""

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor, nn

from epsball.errors import InvalidInput
from epsball.models.purifiers.camera import Camera, photograph
from epsball.models.purifiers.table import defence_named
from epsball.randomness import ImageStreams

Transform: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""Maps images (n, c, h, w) in [0, 1] and their positions (n,) to images of the same shape."""


def transform_named(text: str, seed: int) -> Transform:
    """Return a transformation by its name: the camera, or a deterministic defence of the table.

    An image is transformed alike under every attack, at every eps and in every shard: random
    numbers depend on seed and position alone.

    Args:
        text: "camera", "camera:severity=2", "jpeg:quality=50" ...
        seed: of the run.

    Raises:
        InvalidInput: no such transformation or setting, or a random one other than the camera.
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
            f"through: {text} is random and takes no seed, so that no run could be repeated; take "
            "camera, jpeg, bit-depth or smoothing, or audit with --defence"
        )
    return lambda images, _: _of(step, images)


def check_transform(text: str, shape: tuple[int, int, int]) -> None:
    """Transform one image, before anything is written.

    Args:
        text: see `transform_named`.
        shape: (c, h, w) of the images.

    Raises:
        InvalidInput: see `transform_named`; or it does not take such images, or a package that it
            needs is missing.
    """
    transform_named(text, 0)(torch.zeros(1, *shape), torch.zeros(1, dtype=torch.int64))


def _of(step: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        passed: Tensor = step(images)
    return passed
