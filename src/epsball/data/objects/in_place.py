"""Data sets with positions and known labels: their images are read when they are needed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from epsball.data.objects.labels import read_labels
from epsball.data.objects.rows import (
    channels_leading,
    image_array,
    is_encoded,
    is_of_torch,
    same_label,
    split_row,
)
from epsball.data.objects.spool import differing_shapes, differing_types
from epsball.errors import InvalidInput
from epsball.types import Dataset, Pixels, Positions

_PROBED, _AGAIN = 32, 16  # images that are read, and read again, evenly over all


def read_in_place(
    data: Any,  # noqa: ANN401 - any supported object
    labels: Sequence[Any],
    names: tuple[str, ...] | None,
) -> Dataset | None:
    """Return a data set that reads rows when they are needed.

    Args:
        data: has `__getitem__` and a length.
        labels: of every row, as the data set states them.
        names: of the classes; None: unknown.

    Returns:
        The data set; None where the labels of some rows are others than stated.

    Raises:
        InvalidInput: the images differ in shape or type, or a row is another image each time.
    """
    probed = np.unique(np.linspace(0, len(labels) - 1, _PROBED).astype(np.int64))
    images = []
    for position in probed.tolist():
        image, label = _read_row(data, position)
        if not same_label(label, labels[position]):
            return None
        images.append(image)
    # several again: a flip at random leaves half of the images as they were
    for position, image in list(zip(probed.tolist(), images, strict=True))[
        :: len(images) // _AGAIN or 1
    ]:
        if not np.array_equal(image, _read_row(data, position)[0]):
            raise InvalidInput(
                f"image {position} of the data is another one when it is read again: leave random "
                "steps (crops, flips, noise) out of the transform, an audit needs the same images "
                "each time"
            )
    first = images[0]
    shape = (max(image.shape[0] for image in images), *first.shape[1:])
    whole, shown, order = read_labels(labels, names)
    reader = _Reader(data, labels, shape, first.dtype)
    for position, image in zip(probed.tolist(), images, strict=True):
        reader.check(image, position)
    in_memory = isinstance(data, list | tuple) and not is_encoded(split_row(data[0])[0])
    return Dataset("tensors", whole, shown, shape, reader, order, in_memory)


@dataclass
class _Reader:
    """Reads rows, and checks that each is what was stated."""

    data: Any
    labels: Sequence[Any]
    shape: tuple[int, int, int]
    dtype: Any

    def __call__(self, positions: Positions) -> Pixels:
        images = np.empty((len(positions), *self.shape), self.dtype)
        for slot, position in enumerate(positions.tolist()):
            image, label = _read_row(self.data, position)
            if not same_label(label, self.labels[position]):
                raise InvalidInput(
                    f"image {position} of the data has label {label}, and the data set states "
                    f"{self.labels[position]} for it: mend its list of labels"
                )
            self.check(image, position)
            images[slot] = image
        return images

    def check(self, image: Pixels, position: int) -> None:
        """Refuse an image of another shape or type than the others."""
        grey = image.shape[0] == 1 and self.shape[0] == 3
        if image.shape[1:] != self.shape[1:] or not (grey or image.shape[0] == self.shape[0]):
            raise differing_shapes(self.shape, image.shape, position)
        if image.dtype != self.dtype:
            raise differing_types(self.dtype, image.dtype, position)


def _read_row(data: Any, position: int) -> tuple[Pixels, Any]:  # noqa: ANN401 - as `data` is
    image, label = split_row(data[position], position)
    where = f"image {position} of the data"
    pixels = image_array(image, where)[None]
    return channels_leading(pixels, where, first=is_of_torch(image))[0], label
