"""Turns arrays, loaders, data frames and other objects into a data set."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epsball.data.in_memory import in_memory_dataset
from epsball.data.objects.in_place import read_in_place
from epsball.data.objects.labels import flat_labels, known_labels, read_labels, stated_categories
from epsball.data.objects.names import is_plain_loader, names_of
from epsball.data.objects.rows import (
    FORMS,
    IMAGES,
    LABELS,
    as_array,
    channels_leading,
    image_array,
    is_encoded,
    is_image_list,
    is_of_torch,
    key_among,
    rows_of,
    split_row,
)
from epsball.data.objects.spool import Spool
from epsball.data.sources.folder_tree import EXTENSIONS
from epsball.errors import InvalidInput
from epsball.types import Dataset


def from_object(data: Any, *, most: int | None = None) -> Dataset:  # noqa: ANN401 - any supported object
    """Take images and labels out of an object of any supported kind.

    Arrays are taken as they are. Images of a data set that has its labels (of torchvision or
    Hugging Face, a list of rows, a data frame of paths) are read when they are needed. Everything
    else is read once, in its own order: what does not fit 64 MiB waits in a temporary file.

    Args:
        data: a pair of images (n, c, h, w), (n, h, w, c) or (n, h, w) and labels (n,); a data frame
            of pandas or polars with a column of paths or images and one of labels; an iterable of
            batches of that kind; an iterable or a sequence of (image, label); rows may be mappings
            with an image and a label. Images are Pillow's, arrays, tensors, paths or bytes of
            files; integers in [0, 255] or floats. Labels are numbers or names.
        most: images that are taken from an iterable, at most; None: all.

    Returns:
        A data set of uint8 or float32. Its class names are those of the object, else the
        names in the labels, else the numbers.

    Raises:
        InvalidInput: no such object, or images of several shapes or types.

    Example:
        >>> grey = np.zeros((8, 8), np.uint8)
        >>> from_object([(grey, 0), (grey, 2)]).shape
        (1, 8, 8)
    """
    categories = None
    if _is_frame(data):
        data, categories = _pairs_of(data)
    if _is_pair(data):
        return _of_arrays(data[0], data[1], categories)
    if isinstance(data, Mapping):
        if key_among(data, IMAGES) and key_among(data, LABELS):
            return _of_arrays(*split_row(data), names_of(data))
        raise InvalidInput(
            f"data must be {FORMS}, got a mapping with {', '.join(map(str, data))}: name one "
            f"split, data[{next(iter(data), 'test')!r}]"
        )
    names = categories or names_of(data)
    data = _behind_loader(data)
    if hasattr(data, "__getitem__") and hasattr(data, "__len__") and len(data):
        labels = known_labels(data)
        in_place = None if labels is None else read_in_place(data, labels, names)
        if in_place is not None:
            return in_place
    return _streamed(data, names, most)


def _is_pair(data: Any) -> bool:  # noqa: ANN401 - any supported object
    """Say whether this is (images, labels) and not two rows of (image, label)."""
    if not isinstance(data, list | tuple) or len(data) != 2:
        return False
    return not any(isinstance(part, Mapping) for part in data) and not all(map(_is_row, data))


def _is_row(value: Any) -> bool:  # noqa: ANN401 - any supported object
    row = isinstance(value, list | tuple) and len(value) == 2
    return row and _is_image(value[0]) and not _is_image(value[1])


def _is_image(value: Any) -> bool:  # noqa: ANN401 - any supported object
    if isinstance(value, str):
        return Path(value).suffix.lower() in EXTENSIONS  # else the name of a class
    pillow = type(value).__module__.startswith("PIL.")
    return pillow or getattr(value, "ndim", 0) > 1 or is_encoded(value)


def _is_frame(data: Any) -> bool:  # noqa: ANN401 - any supported object
    return hasattr(data, "columns") and hasattr(data, "head") and not isinstance(data, Mapping)


def _pairs_of(
    frame: Any,  # noqa: ANN401 - of pandas or polars
) -> tuple[list[tuple[Any, Any]], tuple[str, ...] | None]:
    """Return the rows of a data frame, and the names of the classes where it states an order."""
    columns = list(frame.columns)
    image, label = key_among(columns, IMAGES), key_among(columns, LABELS)
    if image is None or label is None:
        raise InvalidInput(
            f"a data frame must have a column of images or paths ({', '.join(IMAGES)}) and one of "
            f"labels ({', '.join(LABELS)}), found {', '.join(map(str, columns))}: rename them"
        )
    if not len(frame):
        raise InvalidInput("data must hold at least one image, got an empty data frame")
    rows = list(zip(frame[image].to_list(), frame[label].to_list(), strict=True))
    return rows, stated_categories(frame[label])


def _of_arrays(images: Any, labels: Any, names: tuple[str, ...] | None) -> Dataset:  # noqa: ANN401
    if is_image_list(images):
        known = flat_labels(as_array(labels))
        if len(images) != len(known):
            raise _unlike((len(images),), (len(known),))
        dataset = read_in_place(list(zip(images, known, strict=True)), known, names)
        assert dataset is not None  # noqa: S101 - the labels are those of the rows
        return dataset
    pixels, classes = as_array(images), as_array(labels)
    if pixels.ndim not in (3, 4) or classes.ndim > 2 or classes.shape[:1] != pixels.shape[:1]:
        raise _unlike(pixels.shape, classes.shape)
    ordered = channels_leading(pixels, "images", first=is_of_torch(images))
    whole, shown, order = read_labels(flat_labels(classes), names)
    return in_memory_dataset("tensors", ordered, whole, shown, order)


def _unlike(images: tuple[int, ...], labels: tuple[int, ...]) -> InvalidInput:
    return InvalidInput(
        f"data given as a pair must be images (n, c, h, w) and labels (n,), got {images} and "
        f"{labels}"
    )


def _behind_loader(data: Any) -> Any:  # noqa: ANN401 - any supported object
    """Return the data set that a loader of torch reads in order and joins to batches, as it is."""
    if not is_plain_loader(data) or type(data.batch_sampler).__name__ != "BatchSampler":
        return data
    # a loader that was given its batches has a sampler too, which it does not use
    if data.batch_sampler.drop_last or data.batch_sampler.sampler is not data.sampler:
        return data
    in_order = type(data.sampler).__name__ == "SequentialSampler"
    joins = getattr(data.collate_fn, "__name__", "") == "default_collate"
    return data.dataset if in_order and joins else data


def _streamed(data: Any, names: tuple[str, ...] | None, most: int | None) -> Dataset:  # noqa: ANN401
    """Read everything once; rows may be single images or whole batches."""
    spool, labels = Spool(), list[Any]()
    for images, classes in _batches(data):
        room = len(images) if most is None else most - len(labels)
        spool.append(images[:room])
        labels += classes[:room]
        if most is not None and len(labels) >= most:
            break
    if not labels:
        raise InvalidInput("data must hold at least one image, got none: was it iterated before?")
    whole, shown, order = read_labels(labels, names)
    return Dataset("tensors", whole, shown, spool.shape, spool.read, order, in_memory=True)


def _batches(data: Any) -> Iterator[tuple[NDArray[Any], list[Any]]]:  # noqa: ANN401
    """Yield images (m, c, h, w) and their labels."""
    for number, row in enumerate(rows_of(data)):
        image, label = split_row(row, number)
        where = f"image {number} of the data"
        classes = list(label) if isinstance(label, list | tuple) else as_array(label)
        several = list(np.atleast_1d(np.asarray(classes)).tolist())
        if is_image_list(image):
            yield from _batches(zip(image, several, strict=True))
            continue
        pixels = image_array(image, where)
        batch = pixels[None] if len(several) == 1 and pixels.ndim < 4 else pixels
        if batch.ndim < 3 or len(batch) != len(several):
            _refuse_rows_of_numbers(np.asarray(classes), pixels)
            raise InvalidInput(
                f"{where} must be one image or a batch with one label an image, got images "
                f"{pixels.shape} and {len(several)} labels: give (image, label) or (images, labels)"
            )
        yield channels_leading(batch, where, first=is_of_torch(image)), several


def _refuse_rows_of_numbers(labels: NDArray[Any], pixels: NDArray[Any]) -> None:
    """Refuse the label of an image, or of each of a batch, that is several numbers."""
    one_image = pixels.ndim < 4 and labels.ndim == 1
    if (one_image or labels.ndim == 2) and labels.dtype.kind in "biuf":
        raise InvalidInput(
            f"labels must be one integer an image, found {labels.shape[-1]} numbers for the first: "
            "for one-hot rows give the place of the 1, label.argmax(-1)"
        )
