"""Where a square patch lies on each image, and how it looks when put on a little askew."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from epsball.errors import InvalidInput
from epsball.randomness import Randomness, random_below, uniform
from epsball.tensors import Images


@dataclass(frozen=True)
class View:
    """How a patch is put on.

    Args:
        corners: (n, 2), row and column of the upright square's first pixel.
        turn: (n,), radians, counter-clockwise about its middle.
        size: (n,), length of its side over that of the upright square.
    """

    corners: Tensor
    turn: Tensor
    size: Tensor


@dataclass(frozen=True)
class Place:
    """The images of a call, and where each one's patch goes.

    Args:
        inputs: (n, c, h, w), the clean images.
        side: of the square, pixels.
        corners: (n, 2), int64, row and column of its first pixel.
        rotation: largest turn of a random view, degrees.
        scale: largest change of a random view's side, as a fraction.
        wanders: random views lie anywhere, not only where the patch does.
    """

    inputs: Tensor
    side: int
    corners: Tensor
    rotation: float
    scale: float
    wanders: bool = False

    @classmethod
    def of(
        cls,
        inputs: Images,
        side: int,
        position: tuple[int, int] | None,
        generator: Randomness,
        *,
        rotation: float,
        scale: float,
        wanders: bool,
    ) -> Self:
        """Put the square at a position, or at random places that hold the whole of it."""
        if position is None:
            corners = random_corners(inputs, side, generator)
        else:
            corners = torch.tensor(position, device=inputs.device).expand(len(inputs), 2)
        return cls(inputs, side, corners, rotation, scale, wanders)

    def views(self, count: int, generator: Randomness) -> Iterator[View]:
        """Give the patch as it is, then count - 1 random views; every row draws for itself."""
        straight = self.inputs.new_zeros(len(self.inputs))
        yield View(self.corners, straight, straight + 1)
        for _ in range(count - 1):
            corners = self.corners
            if self.wanders:
                corners = random_corners(self.inputs, self.side, generator)
            sample = 2 * uniform(self.inputs.new_empty((len(self.inputs), 2)), generator) - 1
            turn, size = math.radians(self.rotation) * sample[:, 0], 1 + self.scale * sample[:, 1]
            yield View(corners, turn, size)

    def wear(self, patches: Tensor, rows: Tensor, view: View | None = None) -> Tensor:
        """Put patches on images.

        Args:
            patches: (m, c, s, s), or (1, c, s, s) for all.
            rows: (m,), the images.
            view: of the whole batch; None: upright.

        Returns:
            (m, c, h, w); exactly the patch under an upright square, exactly the image elsewhere.
        """
        view = view or next(self.views(1, None))
        down, right = self._within(view, rows)  # (m, h, w), patch pixels
        top, left = down.floor(), right.floor()
        own = torch.arange(len(patches), device=patches.device)[:, None, None]
        colour, cover = torch.zeros_like(self.inputs[rows]), torch.zeros_like(down)
        for below in (0, 1):
            for beside in (0, 1):
                y, x = top + below, left + beside
                weight = (1 - (down - y).abs()) * (1 - (right - x).abs())
                weight = weight * ((y >= 0) & (y < self.side) & (x >= 0) & (x < self.side))
                # indexing, not gather: its gradient is summed in the same order on every device
                place = [at.long().clamp(0, self.side - 1) for at in (y, x)]
                read = patches[own, :, place[0], place[1]]  # (m, h, w, c)
                colour = colour + weight[:, None] * read.movedim(3, 1)
                cover = cover + weight
        return colour + (1 - cover)[:, None] * self.inputs[rows]

    def _within(self, view: View, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Say where each pixel of the images lies in its patch, (m, h, w) twice."""
        h, w = self.inputs.shape[2:]
        middle = (self.side - 1) / 2
        corners = view.corners[rows].to(self.inputs)[:, :, None, None]
        place = self.corners.device
        y = torch.arange(h, device=place)[:, None] - (corners[:, 0] + middle)  # (m, h, 1)
        x = torch.arange(w, device=place) - (corners[:, 1] + middle)  # (m, 1, w)
        turn, size = view.turn[rows][:, None, None], view.size[rows][:, None, None]
        cos, sin = turn.cos() / size, turn.sin() / size
        return cos * y + sin * x + middle, cos * x - sin * y + middle


def random_corners(inputs: Tensor, side: int, generator: Randomness) -> Tensor:
    """Draw where a square of that side lies wholly inside each image: (n, 2), int64."""
    room = [length - side + 1 for length in inputs.shape[2:]]
    rows = torch.zeros(len(inputs), dtype=torch.int64, device=inputs.device)
    return torch.stack([random_below(rows + limit, generator) for limit in room], 1)


def patch_side(inputs: Images, share: float) -> int:
    """Return the side, in pixels, of a square that covers a share of each image.

    Raises:
        InvalidInput: share is not above 0 and at most 1.
    """
    if not 0 < share <= 1:
        raise InvalidInput(f"patch: share must be above 0 and at most 1, got {share}")
    h, w = inputs.shape[2:]
    return max(1, min(h, w, round(math.sqrt(share * h * w))))


def check_views(samples: int, rotation: float, scale: float) -> None:
    """Raise InvalidInput unless random views can be made."""
    if samples < 1:
        raise InvalidInput(f"patch: samples must be >= 1, got {samples}")
    if not 0 <= rotation <= 180:
        raise InvalidInput(f"patch: rotation must be from 0 to 180 degrees, got {rotation}")
    if not 0 <= scale < 1:
        raise InvalidInput(f"patch: scale must be at least 0 and below 1, got {scale}")


def check_position(inputs: Images, side: int, position: tuple[int, int] | None) -> None:
    """Raise InvalidInput unless the whole square lies inside the images."""
    if position is None:
        return
    room = tuple(length - side for length in inputs.shape[2:])
    if not all(0 <= at <= most for at, most in zip(position, room, strict=True)):
        raise InvalidInput(
            f"patch: position must be from (0, 0) to {room} for a square of {side} pixels, "
            f"got {tuple(position)}"
        )
