"""Labels of data sets that have them without reading an image, and the names of the classes."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from epsball.data.arrays import check_labels
from epsball.data.objects.rows import LABELS, as_array, is_scalar_label, key_among, split_row
from epsball.errors import InvalidInput

Order: TypeAlias = Literal["stated", "names", "numbers"]
# where torchvision's data sets keep them
_ATTRIBUTES = ("targets", "labels", "_labels")


def known_labels(data: Any) -> list[Any] | None:  # noqa: ANN401 - any supported object
    """Return the label of every row of a data set, where it has them without reading images.

    Args:
        data: a list of rows, a data set of torchvision (or a subset, or several joined), a
            TensorDataset, or a split of Hugging Face.

    Returns:
        One label a row; None where they have to be read. Whether they are true has to be tried: a
        data set may change labels when it gives a row.
    """
    if isinstance(data, list | tuple):
        return _of_rows(data)
    if hasattr(data, "indices") and hasattr(data, "dataset"):
        inner = known_labels(data.dataset)
        return None if inner is None else [inner[int(row)] for row in data.indices]
    if isinstance(parts := getattr(data, "datasets", None), list | tuple):
        several = [known_labels(part) for part in parts]
        return None if None in several else [label for part in several for label in part or ()]
    return _stored(data)


def _of_rows(rows: Sequence[Any]) -> list[Any] | None:
    labels = []
    for number, row in enumerate(rows):
        label = split_row(row, number)[1]
        if not is_scalar_label(label):
            return None
        labels.append(label)
    return labels


def _stored(data: Any) -> list[Any] | None:  # noqa: ANN401 - any supported object
    stored: Any = None
    features = getattr(data, "features", None)
    if isinstance(features, Mapping) and (key := key_among(features, LABELS)) is not None:
        stored = data[key]
    elif isinstance(tensors := getattr(data, "tensors", None), tuple) and len(tensors) == 2:
        stored = tensors[1]
    else:
        candidates = (getattr(data, name, None) for name in _ATTRIBUTES)
        stored = next((value for value in candidates if value is not None), None)
    try:
        values = as_array(list(stored) if isinstance(stored, Sequence) else stored)
        transform = getattr(data, "target_transform", None)
        if values.shape != (len(data),) or values.dtype.kind not in "iuU":
            return None
        return [label if transform is None else transform(label) for label in values.tolist()]
    except Exception:  # an attribute of that name need not be labels: they are read with the images
        return None


def read_labels(
    labels: Sequence[Any], names: tuple[str, ...] | None
) -> tuple[NDArray[np.int64], tuple[str, ...], Order]:
    """Turn labels into numbers from 0.

    Args:
        labels: one an image: whole numbers, or names of classes.
        names: what the data call their classes, in label order; None: unknown.

    Returns:
        (n,) labels, k names, and where the order of the classes comes from: names stand in
        alphabetical order, and names that are numbers are those classes.

    Raises:
        InvalidInput: numbers and names are mixed, or a number is no class.
    """
    labels = [_known(label, place) for place, label in enumerate(labels)]
    texts = [isinstance(label, str) for label in labels]
    if not any(texts):
        whole = check_labels("labels", np.asarray([as_array(label) for label in labels]))
        return whole, _names_for(whole, names), "stated"
    if not all(texts):
        place = texts.index(not texts[0])
        raise InvalidInput(
            f"labels must be all numbers or all names, found {labels[0]!r} and, image {place}, "
            f"{labels[place]!r}: write them alike"
        )
    if names is not None and set(labels) <= set(names):
        return np.array([names.index(name) for name in labels], np.int64), names, "stated"
    if all(label.isdecimal() for label in labels):
        whole = check_labels("labels", np.array([int(label) for label in labels]))
        return whole, _names_for(whole, None), "numbers"
    classes = sorted(set(labels))
    places = {name: place for place, name in enumerate(classes)}
    return np.array([places[label] for label in labels], np.int64), tuple(classes), "names"


def flat_labels(labels: NDArray[Any]) -> list[Any]:
    """Return the labels of an array (n,), or of numbers (n, 1), as a list.

    Raises:
        InvalidInput: another shape or type, or a number that is no class.
    """
    if labels.ndim == 1 and labels.dtype.kind in "OS":  # text, or a column with gaps
        listed = [_known(label, place) for place, label in enumerate(labels.tolist())]
        labels = np.array(listed) if listed else labels
    whole = labels if labels.dtype.kind == "U" else check_labels("labels", labels)
    return list(whole.tolist())


def _known(label: Any, place: int) -> Any:  # noqa: ANN401 - a number or a name
    """Return a label, of bytes as text; refuse one that is missing."""
    if label is None or (isinstance(label, float) and math.isnan(label)):
        raise InvalidInput(f"image {place} of the data has no label: give one or leave it out")
    return label.decode("utf-8", "replace") if isinstance(label, bytes) else label


def _names_for(labels: NDArray[np.int64], names: tuple[str, ...] | None) -> tuple[str, ...]:
    count = 1 + int(labels.max())
    return names if names is not None and len(names) >= count else tuple(map(str, range(count)))


def stated_categories(column: Any) -> tuple[str, ...] | None:  # noqa: ANN401 - of pandas or polars
    """Return the categories of a column in their order, where that is not the alphabet's."""
    categories = getattr(getattr(column, "dtype", None), "categories", None)
    names = None if categories is None else list(categories)
    if not names or not all(isinstance(name, str) for name in names) or names == sorted(names):
        return None
    return tuple(names)
