"""Data sets whose decoded pixels fit in memory."""

from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from epsball.types import Dataset, Pixels, Positions


def in_memory_dataset(
    name: str,
    images: Pixels,
    labels: NDArray[np.integer],
    class_names: tuple[str, ...],
    order: Literal["stated", "names", "numbers"] = "stated",
) -> Dataset:
    """Make a data set of arrays.

    Args:
        name: as a person asks for it.
        images: (n, c, h, w), uint8 or float32 in [0, 1]; may be a view of another layout.
        labels: (n,), any integers.
        class_names: k names, in label order.
        order: where the labels come from; see `Dataset`.

    Returns:
        A data set; what it reads is a copy.
    """
    channels, height, width = images.shape[1:]
    return Dataset(
        name,
        np.asarray(labels, dtype=np.int64),
        class_names,
        (channels, height, width),
        partial(_rows, images),
        order,
        in_memory=True,
    )


def _rows(images: Pixels, positions: Positions) -> Pixels:
    return np.ascontiguousarray(images[positions])
