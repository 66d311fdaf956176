"""Names of the classes of a data set, of a mapping, or of what lies behind a loader."""

from collections.abc import Mapping, Sequence
from typing import Any

from epsball.data.objects.labels import known_labels
from epsball.data.objects.rows import LABELS, as_array, key_among, same_label, split_row
from epsball.errors import InvalidInput

NAMES = ("class_names", "classes", "label_names", "names")
_MOST_READ = 100  # rows, one of each class, that show whether a wrapper changes labels


def names_of(data: Any) -> tuple[str, ...] | None:  # noqa: ANN401 - any supported object
    """Return the class names that a data set, or the one behind a loader or subset, has.

    Raises:
        InvalidInput: data sets that were joined number their classes differently.
    """
    if isinstance(data, Mapping):
        key = key_among(data, NAMES)
        names = None if key is None else as_array(data[key])
        is_list = names is not None and names.ndim == 1 and names.dtype.kind == "U"
        return tuple(names.tolist()) if names is not None and is_list else None
    while data is not None:
        if isinstance(parts := getattr(data, "datasets", None), list | tuple) and parts:
            return _joined_names([names_of(part) for part in parts])
        if getattr(data, "target_transform", None) is not None:
            return None  # its labels are others than those that it names
        features = getattr(data, "features", None)
        if isinstance(features, Mapping) and (key := key_among(features, LABELS)) is not None:
            names = getattr(features[key], "names", None)
        else:
            names = getattr(data, "classes", None)
        if isinstance(names, list | tuple) and all(isinstance(name, str) for name in names):
            return tuple(names)
        data = _labelled_inside(data)
    return None


def _labelled_inside(data: Any) -> Any:  # noqa: ANN401 - any supported object
    """Return the data set whose labels an object passes on; None where it changes them."""
    inner = getattr(data, "dataset", None)
    if inner is None or is_plain_loader(data) or _is_defined_by_torch(data, "__getitem__"):
        return inner
    if not _has_positions(data) or not _has_positions(inner):
        return None
    rows = [int(row) for row in getattr(data, "indices", range(len(inner)))]
    if len(data) != len(rows):
        return None
    stated = known_labels(inner)
    for place in _telling_places(rows, stated):
        row = rows[place]
        label = split_row(inner[row], row)[1] if stated is None else stated[row]
        if not same_label(split_row(data[place], place)[1], label):
            return None
    return inner


def _telling_places(rows: Sequence[int], stated: Sequence[Any] | None) -> list[int]:
    """Return the places of one row of each class, or where classes are unknown of some rows."""
    if stated is not None:
        places = {stated[row]: place for place, row in enumerate(rows)}
        return list(places.values())[:_MOST_READ]
    return list(range(0, len(rows), -(-len(rows) // _MOST_READ) or 1))


def _has_positions(data: Any) -> bool:  # noqa: ANN401 - any supported object
    return hasattr(data, "__getitem__") and hasattr(data, "__len__")


def is_plain_loader(data: Any) -> bool:  # noqa: ANN401 - any supported object
    """Say whether this is torch's DataLoader, and not a class that gives other batches than it."""
    return hasattr(data, "dataset") and _is_defined_by_torch(data, "__iter__")


def _is_defined_by_torch(data: Any, method: str) -> bool:  # noqa: ANN401 - any supported object
    module = getattr(getattr(type(data), method, None), "__module__", "")
    return module.startswith("torch.utils.data")


def _joined_names(parts: Sequence[tuple[str, ...] | None]) -> tuple[str, ...] | None:
    known = [names for names in parts if names is not None]
    longest = max(known, key=len, default=None)
    for names in known:
        for number, (name, other) in enumerate(zip(names, longest or (), strict=False)):
            if name != other:
                raise InvalidInput(
                    f"data sets that are joined must number their classes alike, found class "
                    f"{number} called {name!r} in one and {other!r} in another: give each a "
                    "target_transform that maps its classes to one list, or audit them one by one"
                )
    return longest
