"""Whether a name gives other images to test on than to train on."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from epsball.types import Dataset, Positions

_READ = 500  # images at once
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


def unseen_rows(seen: Dataset, other: Dataset) -> Positions:
    """Return the positions of the images of a data set that another one does not hold.

    Args:
        seen: a data set; every image of it is read.
        other: likewise. Images are the same where all pixels are equal, whatever their labels.

    Example:
        >>> from epsball.data import load_data
        >>> train, test = load_data("digits", split="train"), load_data("digits", split="test")
        >>> len(unseen_rows(train, test)), len(unseen_rows(test, test))
        (359, 0)
    """
    known = set(_digests(seen))
    return np.flatnonzero([digest not in known for digest in _digests(other)])


def part_of(data: Dataset, rows: Positions) -> Dataset:
    """Return the images of a data set at some positions, as a data set.

    Example:
        >>> from epsball.data import load_data
        >>> digits = load_data("digits")
        >>> part_of(digits, np.array([4, 2])).labels.tolist(), digits.labels[:5].tolist()
        ([7, 0], [2, 2, 0, 8, 7])
    """
    return replace(data, labels=data.labels[rows], read=lambda places: data.read(rows[places]))


def _digests(data: Dataset) -> Iterator[bytes]:
    for rows in np.array_split(np.arange(len(data)), -(-len(data) // _READ)):
        for image in np.ascontiguousarray(data.read(rows)):
            yield hashlib.blake2b(image.tobytes(), digest_size=16).digest()
