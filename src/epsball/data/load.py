"""From what a person types after `--data` to a data set, and to sensible radii for it."""

import math
from pathlib import Path

from epsball.data.sources.image_file import is_image_file
from epsball.data.sources.table_file import ENDINGS
from epsball.data.spec import SPLITS, Split
from epsball.data.table import DATASETS, DEFAULT_EPS
from epsball.errors import InvalidInput, unknown_name
from epsball.radii import widest
from epsball.types import NORMS, Dataset, Norm

_GREY_SIDE = 32  # pixels: MNIST and what is padded to 32
_SMALL_SIDE = 64  # pixels: CIFAR, SVHN, Tiny ImageNet


def load_data(spec: str, *, split: Split = "test", label: str | int | None = None) -> Dataset:
    """Load labelled images by name or path.

    Args:
        spec: "digits", "mnist", "cifar10", "imagenet-sample", "folder:PATH", "folder:PATH@224"
            (each image read with its shorter side scaled to 224, centre crop), "npz:PATH",
            "table:PATH", or the path of one image.
        split: "train" or "test"; a folder or an npz file that is not split gives the same images
            for both.
        label: class of a single image, a name or a number.

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
    if is_image_file(spec):
        spec = f"image:{spec}"
    name, colon, path = spec.partition(":")
    entry = DATASETS.get(name)
    if entry is None:
        raise _unknown(spec, name)
    if entry.takes_path != bool(path) or (colon and not entry.takes_path):
        raise InvalidInput(f"data {spec!r} must have the form {entry.form}")
    if entry.takes_label:
        return entry.load(path, split, label)
    if label is not None:
        raise InvalidInput(
            f"--label is for a single image file, and {spec} has its own labels: leave it out"
        )
    return entry.load(path, split) if entry.takes_path else entry.load(split)


def default_eps(dataset: Dataset, norm: Norm | str = "linf") -> tuple[float, ...]:
    """Suggest the radii of an audit.

    Args:
        dataset: as `load_data` returns it.
        norm: geometry of the ball.

    Returns:
        Increasing radii: in units of [0, 1], in l0 in entries. In linf the table's where it has any
        for the name; else those of `DEFAULT_EPS` for grey images of at most 32x32, other images of
        at most 64x64, or larger ones. Radii beyond the image itself are left out.

    Example:
        >>> default_eps(load_data("digits")), default_eps(load_data("digits"), "l0")
        ((0.1, 0.2, 0.3), (8.0, 24.0, 50.0))
    """
    channels, *sides = dataset.shape
    grey = channels == 1 and max(sides) <= _GREY_SIDE
    size = 0 if grey else 1 if max(sides) <= _SMALL_SIDE else 2
    entry = DATASETS.get(dataset.name)
    if norm == "linf" and entry is not None and entry.eps:
        return entry.eps
    if norm not in NORMS:
        raise unknown_name("norm", norm, NORMS)
    most = widest(norm, math.prod(dataset.shape))
    radii = DEFAULT_EPS[norm][size]
    return tuple(eps for eps in radii if eps <= most) or (1.0,)


def _unknown(spec: str, name: str) -> InvalidInput:
    """Build the error for an unknown source; a bare path that exists only lacks its prefix."""
    path = Path(spec).expanduser()
    suffixes = {".npz": "npz"} | dict.fromkeys(ENDINGS, "table")
    prefix = "folder" if path.is_dir() else suffixes.get(path.suffix.lower())
    if prefix is not None:
        return InvalidInput(f"unknown data {spec!r}: did you mean '{prefix}:{spec}'?")
    return unknown_name("data", name, DATASETS)
