"""Data as Python objects: pairs of arrays, data sets and loaders of torch, of Hugging Face, lists.

torch is not imported here: tensors are known by what they can do.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from epsball.data.arrays import check_labels, check_pixels
from epsball.data.held import held
from epsball.data.images import pixels_of
from epsball.errors import InvalidInput
from epsball.types import Dataset

_IMAGES = ("image", "img", "images", "pixel_values", "x")
_LABELS = ("label", "labels", "fine_label", "target", "targets", "y")
_FORMS = (
    "a name such as 'mnist', a pair (images, labels), a data set or DataLoader of torch, a split "
    "of a Hugging Face data set, or a list of (image, label)"
)
_CHANNELS = (1, 3)


def from_object(data: Any) -> Dataset:  # noqa: ANN401 - whatever people have
    """Take images and labels out of the objects in which people have them.

    Everything is read once, in the order in which the object gives it, and held in memory.

    Args:
        data: a pair of images (n, c, h, w), (n, h, w, c) or (n, h, w) and labels (n,); an iterable
            of batches of that kind; an iterable or a sequence of (image, label); rows may be
            mappings with an image and a label. Images are Pillow's, arrays or tensors, integers
            in [0, 255] or floats.

    Returns:
        A data set of uint8 or float32. Its class names are those that the object knows, else the
        numbers.

    Raises:
        InvalidInput: no such object, or images of several shapes.

    Example:
        >>> grey = np.zeros((8, 8), np.uint8)
        >>> from_object([(grey, 0), (grey, 2)]).shape
        (1, 8, 8)
    """
    if _is_pair(data):
        images, labels = (as_array(part) for part in data)
    elif isinstance(data, Mapping) and _key(data, _IMAGES) and _key(data, _LABELS):
        images, labels = (as_array(part) for part in _parts(data))
    elif isinstance(data, Mapping):
        raise InvalidInput(
            f"data must be {_FORMS}, got a mapping with {', '.join(map(str, data))}: name one "
            f"split, data[{next(iter(data), 'test')!r}]"
        )
    else:
        images, labels = _gathered(data)
    if images.ndim not in (3, 4) or labels.ndim > 2 or labels.shape[:1] != images.shape[:1]:
        raise InvalidInput(
            "data given as a pair must be images (n, c, h, w) and labels (n,), "
            f"got {images.shape} and {labels.shape}"
        )
    return _dataset(images, labels, _names_of(data))


def as_array(part: Any) -> NDArray[Any]:  # noqa: ANN401 - tensors, arrays, lists
    """Return an array of what a tensor, an array or a list of them holds."""
    if isinstance(part, list | tuple) and part and hasattr(part[0], "detach"):
        return np.stack([as_array(one) for one in part])
    if not hasattr(part, "detach"):
        return np.asarray(part)
    tensor = part.detach().cpu()
    # numpy has no bfloat16
    array: NDArray[Any] = (tensor.float() if tensor.is_floating_point() else tensor).numpy()
    return array


def _dataset(images: NDArray[Any], labels: NDArray[Any], names: tuple[str, ...] | None) -> Dataset:
    if images.ndim == 3:
        images = images[:, None]
    first, last = (images.shape[axis] in _CHANNELS for axis in (1, -1))
    if last and not first:
        images = np.moveaxis(images, -1, 1)
    if np.issubdtype(images.dtype, np.floating):
        pixels = np.asarray(images, dtype=np.float32)  # the range is looked at when all is read
    else:
        pixels = check_pixels("images", images.astype(np.uint8) if images.dtype == bool else images)
    whole = check_labels("labels", labels)
    count = 1 + int(whole.max())
    known = names is not None and len(names) >= count
    shown = names if known and names is not None else tuple(map(str, range(count)))
    return held("tensors", pixels, whole, shown)


def _is_pair(data: Any) -> bool:  # noqa: ANN401 - whatever people have
    """Say whether this is (images, labels) and not two rows of (image, label)."""
    if not isinstance(data, list | tuple) or len(data) != 2:
        return False
    labels = data[1]
    return not isinstance(labels, list | tuple | Mapping) or not any(map(_is_image, labels))


def _is_image(value: Any) -> bool:  # noqa: ANN401 - whatever people have
    return isinstance(value, Image.Image) or getattr(value, "ndim", 0) > 1


def _gathered(data: Any) -> tuple[NDArray[Any], NDArray[Any]]:  # noqa: ANN401
    """Read everything once; rows may be single images or whole batches."""
    images: list[NDArray[Any]] = []
    labels: list[NDArray[Any]] = []
    for number, row in enumerate(_rows(data)):
        image, label = _parts(row, number)
        where = f"image {number} of the data"
        if isinstance(image, Image.Image):
            image = pixels_of(image, where)
        pixels, classes = as_array(image), np.atleast_1d(as_array(label))
        images.append(_batch(pixels, classes, where))
        labels.append(classes)
    if not images:
        raise InvalidInput("data must hold at least one image, got none: was it iterated before?")
    return np.concatenate(_alike(images)), np.concatenate(labels)


def _alike(batches: list[NDArray[Any]]) -> list[NDArray[Any]]:
    """Give greys among colours three equal channels; refuse images of several sizes."""
    shapes = {batch.shape[1:] for batch in batches}
    if len(shapes) == 1:
        return batches
    colours = {(3, *shape[-2:]) for shape in shapes}
    if len(colours) == 1 and all(shape[0] in _CHANNELS and len(shape) == 3 for shape in shapes):
        return [np.broadcast_to(batch, (len(batch), *min(colours))) for batch in batches]
    first, other = sorted(shapes)[:2]
    raise InvalidInput(
        f"images of the data must have one shape, found {first} and {other}: scale and crop them "
        "alike in its transform"
    )


def _batch(pixels: NDArray[Any], labels: NDArray[Any], where: str) -> NDArray[Any]:
    """Return (m, ...) of one image or of a batch of as many as there are labels."""
    batch = pixels[None] if len(labels) == 1 and pixels.ndim < 4 else pixels
    if batch.ndim < 3 or len(batch) != len(labels):
        raise InvalidInput(
            f"{where} must be one image or a batch with one label an image, got images "
            f"{pixels.shape} and {len(labels)} labels: give (image, label) or (images, labels)"
        )
    return batch


def _rows(data: Any) -> Iterator[Any]:  # noqa: ANN401 - whatever people have
    if isinstance(data, Iterable):
        yield from data
    elif hasattr(data, "__getitem__") and hasattr(data, "__len__"):
        # torch's data sets need not end an iteration by IndexError
        yield from (data[number] for number in range(len(data)))
    else:
        raise InvalidInput(f"data must be {_FORMS}, got {type(data).__name__}")


def _parts(row: Any, number: int = 0) -> tuple[Any, Any]:  # noqa: ANN401 - whatever people have
    """Split a row or a batch into image and label."""
    if isinstance(row, Mapping):
        image, label = _key(row, _IMAGES), _key(row, _LABELS)
        if image is not None and label is not None:
            return row[image], row[label]
        held_keys = ", ".join(map(str, row))
        raise InvalidInput(
            f"row {number} of the data must have an image ({', '.join(_IMAGES)}) and a label "
            f"({', '.join(_LABELS)}), found {held_keys}: rename its columns, or give pairs"
        )
    if isinstance(row, Sequence) and not isinstance(row, str) and len(row) == 2:
        return row[0], row[1]
    found = f"{len(row)} values" if isinstance(row, Sequence) else type(row).__name__
    raise InvalidInput(
        f"row {number} of the data must be (image, label), found {found}: data must be {_FORMS}"
    )


def _key(row: Mapping[Any, Any], names: Sequence[str]) -> str | None:
    return next((name for name in names if name in row), None)


def _names_of(data: Any) -> tuple[str, ...] | None:  # noqa: ANN401 - whatever people have
    """Return the class names that a data set, or the one behind a loader or subset, knows."""
    while data is not None:
        features = getattr(data, "features", None)
        if isinstance(features, Mapping) and (key := _key(features, _LABELS)) is not None:
            names = getattr(features[key], "names", None)
        else:
            names = getattr(data, "classes", None)
        if isinstance(names, list | tuple) and all(isinstance(name, str) for name in names):
            return tuple(names)
        data = getattr(data, "dataset", None)
    return None
