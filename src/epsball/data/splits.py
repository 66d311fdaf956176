"""Whether a name gives other images to test on than to train on."""

import numpy as np

from epsball.types import Dataset

_COMPARED = 64  # images; those of two splits differ in the first one


def same_images(one: Dataset, other: Dataset) -> bool:
    """Say whether two data sets hold the same images, by all labels and the pixels of some.

    Args:
        one: a data set, such as `load_data(name, split="train")`.
        other: another, such as `load_data(name, split="test")`.

    Example:
        >>> from epsball.data import load_data
        >>> train, test = load_data("digits", split="train"), load_data("digits", split="test")
        >>> same_images(train, test), same_images(test, test)
        (False, True)
    """
    if one.shape != other.shape or not np.array_equal(one.labels, other.labels):
        return False
    rows = np.unique(np.linspace(0, len(one) - 1, min(_COMPARED, len(one))).astype(np.int64))
    return bool(np.array_equal(one.read(rows), other.read(rows)))
