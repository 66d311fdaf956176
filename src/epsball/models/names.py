"""The class names that a model carries, if any."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from epsball.files import read_lines

ATTRIBUTE = "class_names"  # on a module: names in the order of its scores
_ATTRIBUTES = (
    *(ATTRIBUTE, "classes", "CLASSES", "categories"),
    *("idx_to_class", "id2label", "class_to_idx", "label2id"),
)
_PLACEHOLDER = re.compile(r"label_?\d+|class_?\d+|\d+", re.IGNORECASE)


def class_names_of(model: object) -> tuple[str, ...] | None:
    """Return the names of a model's classes, in the order of its scores.

    Looked at are attributes of the model and of the modules in it: lists (`class_names`, `classes`,
    `CLASSES`, `categories`), mappings of numbers to names (`idx_to_class`, `id2label`, also of a
    `config` of Hugging Face), and of names to numbers (`class_to_idx`, `label2id`).

    Args:
        model: a module, or anything else.

    Returns:
        k names; several names of one class are separated by commas. None if the model carries none.

    Example:
        >>> net = nn.Linear(2, 2)
        >>> net.class_names = ("cat", "dog")
        >>> class_names_of(nn.Sequential(nn.Flatten(), net))
        ('cat', 'dog')
    """
    for part in _parts(model):
        for value in (
            getattr(getattr(part, "config", None), "id2label", None),
            *(getattr(part, name, None) for name in _ATTRIBUTES),
        ):
            names = _as_names(value)
            if names is not None:
                return names
    return None


def read_names(file: Path) -> tuple[str, ...] | None:
    """Read one name a line; None where there is no such file."""
    if not file.is_file():
        return None
    return tuple(read_lines(file))


def _parts(model: object) -> Iterator[object]:
    yield model
    inner = getattr(model, "model", None)
    if isinstance(model, nn.Module):
        yield from model.modules()
    elif inner is not None:
        yield from _parts(inner)


def _as_names(value: Any) -> tuple[str, ...] | None:  # noqa: ANN401 - any attribute of a model
    if isinstance(value, Mapping):
        pairs = [*value.items()]
        if value and all(isinstance(key, str) and isinstance(n, int) for key, n in pairs):
            pairs = [(number, name) for name, number in pairs]
        try:
            rows = sorted((int(key), name) for key, name in pairs)
        except (TypeError, ValueError):
            return None
        value = [name for _, name in rows] if [n for n, _ in rows] == [*range(len(rows))] else None
    if not isinstance(value, list | tuple) or not value:
        return None
    if not all(isinstance(name, str) for name in value):
        return None
    return None if all(_PLACEHOLDER.fullmatch(name) for name in value) else tuple(value)
