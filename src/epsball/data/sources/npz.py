"""Arrays of the user's own, from one npz file. Nothing is unpickled."""

from collections.abc import Container
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epsball.data.held import held
from epsball.data.spec import SPLITS, Split
from epsball.data.stored import list_arrays, read_arrays
from epsball.errors import InvalidInput
from epsball.types import Dataset, Pixels

_MOST_CLASSES = 100_000  # four times ImageNet-21k; a larger label is a mistake, not a class
_REMEDY = "save plain arrays with numpy.savez(file, images=..., labels=...)"
_BRIGHTEST = 255
_GREY_RANK, _RANK = 3, 4


def load(path: str, split: Split) -> Dataset:
    """Load `images` and `labels`, with `class_names` (k,) where the file has it.

    Where the file holds `train_images` and `train_labels`, or `test_...`, these are used for that
    split; else both splits are the same images. Without names there are max(label) + 1 classes,
    over all labels in the file.

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
    images = _pixels(f"{which}images of {file}", arrays[f"{which}images"])
    labels = {key: _labels(f"{key} of {file}", arrays[key]) for key in arrays if "labels" in key}
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
    return held(f"npz:{path}", images, own, names)


def _arrays(file: Path, split: Split) -> dict[str, NDArray[Any]]:
    """Read what the split needs: its images, and every array of labels."""
    found = list_arrays(file, _REMEDY)
    required = {f"{_prefix(found, split)}images", f"{_prefix(found, split)}labels"}
    optional = {"class_names", "labels", *(f"{other}_labels" for other in SPLITS)}
    names = sorted(required | optional.intersection(found))
    return dict(zip(names, read_arrays(file, names, _REMEDY), strict=True))


def _prefix(names: Container[str], split: Split) -> str:
    return f"{split}_" if f"{split}_images" in names else ""


def _pixels(what: str, images: NDArray[Any]) -> Pixels:
    """Return (n, c, h, w), uint8 or float32, after checking every value."""
    ordered = _channels_first(what, images)
    if not images.size:
        raise InvalidInput(f"{what} are empty, of shape {images.shape}: add images")
    is_float = np.issubdtype(images.dtype, np.floating)
    if not is_float and not np.issubdtype(images.dtype, np.integer):
        raise InvalidInput(
            f"{what} must be integers in [0, 255] or floats in [0, 1], found {images.dtype}"
        )
    top = 1 if is_float else _BRIGHTEST
    low, high = images.min(), images.max()
    if not (low >= 0 and high <= top):  # a NaN anywhere makes both NaN, and this true
        raise _out_of_range(what, ordered, top)
    return ordered.astype(np.float32 if is_float else np.uint8, copy=False)


def _out_of_range(what: str, images: NDArray[Any], top: int) -> InvalidInput:
    bad = ~((images >= 0) & (images <= top))
    place = tuple(int(axis[0]) for axis in np.nonzero(bad))
    kind = "floats in [0, 1]" if top == 1 else "integers in [0, 255]"
    remedy = "divide by 255, or undo the normalisation" if top == 1 else "rescale them"
    if not np.isfinite(images[place]):
        remedy = "mend or leave out that image"
    return InvalidInput(
        f"{what} must be {kind}, found {images[place]} in image {place[0]} (channel {place[1]}, "
        f"row {place[2]}, column {place[3]}): {remedy}"
    )


def _channels_first(what: str, images: NDArray[Any]) -> NDArray[Any]:
    if images.ndim == _GREY_RANK:
        return images[:, None]
    first, last = (images.ndim == _RANK and images.shape[axis] in (1, 3) for axis in (1, -1))
    if first and last:
        raise InvalidInput(
            f"{what} have shape {images.shape}, which may be channels first or last: save (n, h, "
            "w) for greys, or images of another size"
        )
    if not first and not last:
        raise InvalidInput(
            f"{what} must be (n, h, w), (n, h, w, c) or (n, c, h, w) with 1 or 3 channels, found "
            f"shape {images.shape}: transpose them"
        )
    return images if first else np.moveaxis(images, -1, 1)


def _labels(what: str, labels: NDArray[Any]) -> NDArray[np.int64]:
    flat = labels[:, 0] if labels.ndim > 1 and labels.shape[1:] == (1,) else labels
    if flat.ndim != 1 or not len(flat):
        raise InvalidInput(
            f"{what} must have one integer an image, found shape {labels.shape}: for one-hot rows "
            "take argmax(1)"
        )
    if not np.issubdtype(flat.dtype, np.integer):
        is_float = np.issubdtype(flat.dtype, np.floating)
        odd = int(np.argmax(flat != np.floor(flat))) if is_float else 0
        raise InvalidInput(
            f"{what} must be integers, found {flat.dtype}, number {odd} being {flat[odd]}: save "
            "them as int64"
        )
    bad = (flat < 0) | (flat >= _MOST_CLASSES)
    if bad.any():
        place = int(np.argmax(bad))
        raise InvalidInput(
            f"{what} must be integers from 0, below {_MOST_CLASSES}, number {place} is "
            f"{flat[place]}: count classes from 0"
        )
    return flat.astype(np.int64)


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
