"""Labelled images as a person has them, turned into batches when they are needed."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from epsball.errors import InvalidInput

Stored: TypeAlias = Tensor | NDArray[Any]  # (n, c, h, w), uint8, or float in [0, 1]
Marks: TypeAlias = Tensor | NDArray[Any]  # (n,), integers
_BRIGHTEST = 255
_SINGLE = 4  # bytes
_CHECKED_IMAGES = 8


@dataclass(frozen=True)
class ImageSet:
    """Images and labels; the images are converted batch by batch, never all at once.

    Args:
        images: (n, c, h, w), uint8 or float.
        rows: (m,), int64, the chosen ones, on the CPU.
        place: device of the batches.
        dtype: of the batches.
        size: images a batch.
    """

    images: Stored
    rows: Tensor
    place: torch.device
    dtype: torch.dtype
    size: int

    def __iter__(self) -> Iterator[Tensor]:
        """Give batches (size, c, h, w), float in [0, 1].

        Raises:
            InvalidInput: a float image leaves [0, 1] or is not finite.
        """
        for at in range(0, len(self.rows), self.size):
            yield self._batch(self.rows[at : at + self.size])

    def example(self) -> Tensor:
        """Return the first image, (1, c, h, w)."""
        return self._batch(self.rows[:1])

    def few(self) -> Tensor:
        """Return the first images, (m, c, h, w), eight at most."""
        return self._batch(self.rows[:_CHECKED_IMAGES])

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.rows)

    def part(self, chosen: Tensor) -> "ImageSet":
        """Return some of the images, by position (m,)."""
        return replace(self, rows=self.rows[chosen])

    def _batch(self, rows: Tensor) -> Tensor:
        if isinstance(self.images, Tensor):
            pixels = self.images[rows.to(self.images.device)]
        else:
            chosen = self.images[rows.numpy()]
            # whatever its strides, the order of its bytes and how many there are
            wide = np.float64 if chosen.dtype.itemsize > _SINGLE else np.float32
            kind = np.uint8 if chosen.dtype == np.uint8 else wide
            pixels = torch.from_numpy(np.ascontiguousarray(chosen, dtype=kind))
        whole = pixels.dtype == torch.uint8
        batch = pixels.to(self.place, self.dtype)
        if whole:
            return batch / _BRIGHTEST
        # written so that NaN is refused too
        if not bool(((batch >= 0) & (batch <= 1)).all()):
            raise InvalidInput(
                f"float images must be in [0, 1], got {float(batch.min()):.4g} to "
                f"{float(batch.max()):.4g}; divide by 255, or give uint8"
            )
        return batch


def read_images(images: Stored, *, place: torch.device, dtype: torch.dtype, size: int) -> ImageSet:
    """Check the form of images and give them in batches.

    Args:
        images: (n, c, h, w), tensor or array, uint8, or float in [0, 1].
        place: device of the batches.
        dtype: of the batches.
        size: images a batch.

    Raises:
        InvalidInput: another shape or dtype, or no image.
    """
    if not isinstance(images, Tensor | np.ndarray):
        raise InvalidInput(
            f"images must be a tensor or an array (n, c, h, w), got a {type(images).__name__}"
        )
    if images.ndim != 4 or not len(images):
        raise InvalidInput(
            f"images must be (n, c, h, w), one image or more, got {tuple(images.shape)}"
        )
    fine = (
        images.dtype == torch.uint8 or images.dtype.is_floating_point
        if isinstance(images, Tensor)
        else images.dtype == np.uint8 or images.dtype.kind == "f"
    )
    if not fine:
        raise InvalidInput(f"images must be uint8 or float in [0, 1], got {images.dtype}")
    return ImageSet(images, torch.arange(len(images)), place, dtype, size)


def read_labels(labels: Marks, count: int) -> Tensor:
    """Return labels as int64 (n,) on the CPU.

    Raises:
        InvalidInput: they are no integers, or not one an image, or negative.
    """
    array = np.asarray(labels.detach().cpu() if isinstance(labels, Tensor) else labels)
    if array.dtype.kind not in "iub" or array.shape != (count,):
        raise InvalidInput(
            f"labels must be integers of shape ({count},), got {array.dtype} of shape {array.shape}"
        )
    if count and array.min() < 0:
        raise InvalidInput(f"labels must be 0 or more, got {int(array.min())}")
    return torch.from_numpy(array.astype(np.int64))
