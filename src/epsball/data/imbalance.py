"""Makes data sets imbalanced: chooses the images of each class that a profile keeps.

See `epsball.data.profiles`.
"""

import numpy as np
from numpy.typing import NDArray

from epsball.data.profiles import profile_counts
from epsball.types import Dataset, Positions


def class_counts(labels: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Count the images of each class.

    Args:
        labels: (n,), int64, in [0, classes).
        classes: k.

    Returns:
        (k,), int64.
    """
    return np.bincount(labels, minlength=classes).astype(np.int64)


def choose_imbalanced(
    labels: NDArray[np.int64], class_names: tuple[str, ...], imbalance: str, *, seed: int = 0
) -> Positions:
    """Choose the images that a profile keeps.

    Within each class the order is fixed by the seed, and the first of it are kept: the images of a
    stronger imbalance are among those of a weaker one, so that doses differ in nothing else.

    Args:
        labels: (n,), int64, in [0, k).
        class_names: k names, in label order.
        imbalance: the profile; see `epsball.data.profiles`.
        seed: 0 or more.

    Returns:
        (m,), int64, increasing.

    Raises:
        InvalidInput: as `profile_counts`.

    Example:
        >>> labels = np.array([0, 1, 0, 1, 0, 1])
        >>> labels[choose_imbalanced(labels, ("cat", "dog"), "under:dog=1")]
        array([0, 0, 0, 1])
    """
    available = class_counts(labels, len(class_names))
    counts = profile_counts(available, class_names, imbalance)
    chosen = []
    for label, count in enumerate(counts):
        members = np.flatnonzero(labels == label)
        order = np.random.default_rng([seed, label]).permutation(len(members))
        chosen.append(members[order[:count]])
    return np.sort(np.concatenate(chosen)).astype(np.int64)


def imbalanced(dataset: Dataset, imbalance: str, *, seed: int = 0) -> Dataset:
    """Return the part of a data set that a profile keeps; images are read when they are needed.

    Args:
        dataset: any, from a folder too.
        imbalance: the profile; see `epsball.data.profiles`.
        seed: 0 or more; which images of each class are kept.

    Returns:
        A data set of the same name, classes and shape.

    Raises:
        InvalidInput: as `profile_counts`.

    Example:
        >>> from epsball.data import load_data
        >>> rare = imbalanced(load_data("digits"), "under:3=5")
        >>> class_counts(rare.labels, 10)
        array([36, 36, 35,  5, 36, 36, 36, 36, 35, 36])
    """
    chosen = choose_imbalanced(dataset.labels, dataset.class_names, imbalance, seed=seed)
    read = dataset.read
    return Dataset(
        dataset.name,
        dataset.labels[chosen],
        dataset.class_names,
        dataset.shape,
        lambda rows: read(chosen[rows]),
    )
