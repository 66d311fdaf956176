"""From what a person types after `--data` to a data set, and to sensible radii for it."""

from pathlib import Path

from epsball.data.spec import SPLITS, Split
from epsball.data.table import DATASETS, GREY_EPS, LARGE_EPS, SMALL_EPS
from epsball.errors import InvalidInput, unknown_name
from epsball.types import Dataset, Norm

_GREY_SIDE = 32  # pixels: MNIST and what is padded to 32
_SMALL_SIDE = 64  # pixels: CIFAR, SVHN, Tiny ImageNet


def load_data(spec: str, *, split: Split = "test") -> Dataset:
    """Load labelled pictures by name or path.

    Args:
        spec: "digits", "mnist", "cifar10", "imagenet-sample", "folder:PATH", "folder:PATH@224"
            (each picture read with its shorter side scaled to 224, centre crop) or "npz:PATH".
        split: "train" or "test"; a folder or an npz file that is not split gives the same pictures
            for both.

    Returns:
        The data set. Its pixels are read when asked for, (m, c, h, w), uint8 or float32 in [0, 1].

    Raises:
        InvalidInput: unknown name, or data that are missing, damaged or break a rule.

    Example:
        >>> digits = load_data("digits")
        >>> len(digits), digits.shape, digits.labels[:3]
        (359, (1, 28, 28), array([2, 2, 0]))
    """
    if split not in SPLITS:
        raise unknown_name("split", split, SPLITS)
    name, colon, path = spec.partition(":")
    entry = DATASETS.get(name)
    if entry is None:
        raise _unknown(spec, name)
    if entry.takes_path != bool(path) or (colon and not entry.takes_path):
        raise InvalidInput(f"data {spec!r} must have the form {entry.form}")
    return entry.load(path, split) if entry.takes_path else entry.load(split)


def defaults_for(dataset: Dataset) -> tuple[Norm, tuple[float, ...]]:
    """Suggest the norm and the radii of an audit.

    Args:
        dataset: as `load_data` returns it.

    Returns:
        A norm, and increasing radii in units of [0, 1]: the table's where it has any for the name;
        else 0.1, 0.2, 0.3 for one channel of at most 32x32; 2/255, 4/255, 8/255 for other pictures
        of at most 64x64; 1/255, 4/255 for larger ones.

    Example:
        >>> defaults_for(load_data("digits"))
        ('linf', (0.1, 0.2, 0.3))
    """
    entry = DATASETS.get(dataset.name)
    if entry is not None and entry.eps:
        return entry.norm, entry.eps
    channels, *sides = dataset.shape
    if channels == 1 and max(sides) <= _GREY_SIDE:
        return "linf", GREY_EPS
    return "linf", SMALL_EPS if max(sides) <= _SMALL_SIDE else LARGE_EPS


def _unknown(spec: str, name: str) -> InvalidInput:
    """Build the error for an unknown source; a bare path that exists only lacks its prefix."""
    path = Path(spec).expanduser()
    prefix = "folder" if path.is_dir() else "npz" if path.suffix == ".npz" else None
    if prefix is not None:
        return InvalidInput(f"unknown data {spec!r}: did you mean '{prefix}:{spec}'?")
    return unknown_name("data", name, DATASETS)
