"""Arrays of the user's own, from one npz file. Nothing is unpickled."""

from collections.abc import Container, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epsball.data.arrays import check_labels, check_pixels
from epsball.data.in_memory import in_memory_dataset
from epsball.data.spec import SPLITS, Split
from epsball.data.stored import list_arrays, read_arrays
from epsball.errors import InvalidInput
from epsball.types import Dataset

_LETTERS = {"x": "images", "y": "labels"}
_REMEDY = "save plain arrays with numpy.savez(file, images=..., labels=...)"


def load(path: str, split: Split) -> Dataset:
    """Load `images` and `labels`, with `class_names` (k,) where the file has it.

    Where the file holds `train_images` and `train_labels`, or `test_...`, these are used for that
    split, and so are `x_train` and `y_train` ... or `x` and `y`; else both splits are the same
    images. Without names there are max(label) + 1 classes, over all labels in the file.

    Args:
        path: an npz file. Images: (n, h, w), (n, h, w, c) or (n, c, h, w) with c 1 or 3; integers
            in [0, 255] or floats in [0, 1]. Labels: (n,) or (n, 1), integers from 0.
        split: "train" or "test".

    Returns:
        Images (c, h, w), uint8 or float32, held in memory.

    Raises:
        InvalidInput: the file is missing or damaged, or its arrays break a rule; the first
            offender's index is named.
    """
    file = Path(path).expanduser()
    arrays = _arrays(file, split)
    which = _prefix(arrays, split)
    images = check_pixels(f"{which}images of {file}", arrays[f"{which}images"])
    labels = {
        key: check_labels(f"{key} of {file}", arrays[key]) for key in arrays if "labels" in key
    }
    own = labels[f"{which}labels"]
    if len(own) != len(images):
        raise InvalidInput(
            f"{file} must hold one label an image, found {len(images)} {which}images and "
            f"{len(own)} {which}labels: save them together"
        )
    if "class_names" in arrays:
        names = _names(file, arrays["class_names"], labels)
    else:
        names = tuple(map(str, range(1 + max(int(some.max()) for some in labels.values()))))
    return in_memory_dataset(f"npz:{path}", images, own, names)


def _arrays(file: Path, split: Split) -> dict[str, NDArray[Any]]:
    """Read what the split needs: its images, and every array of labels."""
    stored = _renamed(list_arrays(file, _REMEDY))
    required = {f"{_prefix(stored, split)}images", f"{_prefix(stored, split)}labels"}
    optional = {"class_names", "labels", *(f"{other}_labels" for other in SPLITS)}
    names = sorted(required | optional.intersection(stored))
    kept = [stored.get(name, name) for name in names]
    return dict(zip(names, read_arrays(file, kept, _REMEDY), strict=True))


def _renamed(stored: Iterable[str]) -> dict[str, str]:
    """Return the array that each of our names stands for: x_test, as Keras has it, is test_images.

    Example:
        >>> _renamed(["x_test", "y_test", "class_names"])
        {'test_images': 'x_test', 'test_labels': 'y_test', 'class_names': 'class_names'}
    """
    names: dict[str, str] = {}
    for name in stored:
        letter, _, part = name.lower().partition("_")
        if letter in _LETTERS and part in ("", *SPLITS):
            names.setdefault(f"{part}_{_LETTERS[letter]}".lstrip("_"), name)
    return names | {name: name for name in stored if name not in names.values()}


def _prefix(names: Container[str], split: Split) -> str:
    return f"{split}_" if f"{split}_images" in names else ""


def _names(
    file: Path, names: NDArray[Any], labels: dict[str, NDArray[np.int64]]
) -> tuple[str, ...]:
    if names.ndim != 1 or names.dtype.kind != "U":
        raise InvalidInput(
            f"class_names of {file} must be text, one a class, found {names.dtype} of shape "
            f"{names.shape}: save numpy.array([...]) of str"
        )
    for key, some in labels.items():
        if some.max() >= len(names):
            place = int(np.argmax(some >= len(names)))
            raise InvalidInput(
                f"{key} of {file} must be below {len(names)}, the number of class_names, number "
                f"{place} is {some[place]}: name every class"
            )
    return tuple(names.tolist())
