"""How labels are read out of an HTTP response."""

import json
from collections.abc import Sequence
from typing import Any

from epsball.errors import BrokenContract

_SHOWN = 60  # characters of a body in a message


def labels_at(body: bytes, path: str, count: int) -> list[str]:
    """Return the labels of a JSON response, each as JSON text.

    Args:
        body: of the response.
        path: keys and positions separated by dots, "predictions.0.label"; "*" goes through a list;
            "" is the whole response.
        count: how many labels there must be; one may stand alone, without a list.

    Raises:
        BrokenContract: no JSON, nothing at the path, or another number of labels.

    Example:
        >>> labels_at(b'{"predictions": [{"label": 3}, {"label": 5}]}', "predictions.*.label", 2)
        ['3', '5']
    """
    try:
        value = json.loads(body)
    except ValueError:
        start = body[:_SHOWN].decode(errors="replace").strip()
        raise BrokenContract(
            f"oracle: the response must be JSON, it begins with {start!r}: check the URL and the "
            "request template"
        ) from None
    values = _walk(value, path.split(".") if path else [], path)
    labels = values if isinstance(values, list) else [values]
    if len(labels) != count:
        raise BrokenContract(
            f"oracle: the response must hold {count} labels at {path!r}, it holds {len(labels)}: "
            "check --response"
        )
    return [json.dumps(label) for label in labels]


def class_of(label: str, names: Sequence[str], classes: int) -> int:
    """Return the class that a label means.

    Args:
        label: JSON text: an integer, or a string, which must be one of names.
        names: of the classes, in order; empty where labels are integers.
        classes: k.

    Raises:
        BrokenContract: a label that is no class.
    """
    value: Any = json.loads(label)
    if isinstance(value, str):
        if value in names:
            return list(names).index(value)
        hint = f"known names: {', '.join(names)}" if names else "give their names with --names"
        raise BrokenContract(f"oracle: the label {value!r} is a name: {hint}")
    if isinstance(value, bool) or not isinstance(value, int):
        raise BrokenContract(
            f"oracle: a label must be an integer or a name, got {label}: let --response point at it"
        )
    if not 0 <= value < classes:
        raise BrokenContract(
            f"oracle: label {value} is outside [0, {classes}), the classes of the data: give "
            "--data with the oracle's classes, or in Python their number to HttpSettings"
        )
    return value


def _walk(value: Any, keys: list[str], path: str) -> Any:  # noqa: ANN401 - any JSON
    if not keys:
        return value
    key, rest = keys[0], keys[1:]
    if key == "*" and isinstance(value, list):
        return [_walk(part, rest, path) for part in value]
    try:
        inner = value[int(key)] if isinstance(value, list) else value[key]
    except (KeyError, IndexError, TypeError, ValueError):
        known = ", ".join(value) if isinstance(value, dict) else f"a {type(value).__name__}"
        raise BrokenContract(
            f"oracle: the response has nothing at {key!r} of {path!r}; there is {known}: "
            "check --response"
        ) from None
    return _walk(inner, rest, path)
