"""Names with settings as people type them: "pgd:steps=100,objective=margin". Imports no torch."""

import math
from collections.abc import Mapping
from typing import Any

from epsball.errors import InvalidInput, unknown_name

_CONSTANTS = {"true": True, "false": False, "none": None}


def split_named(text: str) -> tuple[str, dict[str, str]]:
    """Split a name from its settings.

    Args:
        text: "NAME" or "NAME:KEY=VALUE,KEY=VALUE".

    Returns:
        The name, and the text of each setting, "" where it has no value.

    Example:
        >>> split_named("pgd:steps=100, objective=margin")
        ('pgd', {'steps': '100', 'objective': 'margin'})
    """
    name, _, rest = text.partition(":")
    settings = {}
    for part in filter(None, rest.split(",")):
        key, _, value = (piece.strip() for piece in part.partition("="))
        settings[key] = value
    return name.strip(), settings


def read_settings(
    name: str, texts: Mapping[str, str], defaults: Mapping[str, Any], *, words: bool = False
) -> dict[str, Any]:
    """Read the settings of a name, each in the manner of its default.

    Args:
        name: whose settings they are, for messages.
        texts: the text of each setting.
        defaults: every setting that there is, with its default.
        words: whether a number may also be a word, and a word a number: gamma=scale.

    Returns:
        The value of each setting that was given. A default that is a bool, a whole number, a
        number or a word wants the same, and a number may be a fraction; any other default takes
        a number, true, false, none or a word.

    Raises:
        InvalidInput: no such setting, or a value of another kind.

    Example:
        >>> read_settings("pgd", {"step_size": "2/255"}, {"step_size": 0.1, "steps": 10})
        {'step_size': 0.00784313725490196}
        >>> read_settings("pgd", {"steps": "many"}, {"steps": 10})
        Traceback (most recent call last):
        epsball.errors.InvalidInput: pgd: steps must be a whole number, got 'many'
    """
    values = {}
    for key, text in texts.items():
        if key not in defaults:
            raise unknown_name(f"setting of {name}", key, defaults)
        if not text:
            raise InvalidInput(f"{name}: write settings as {name}:{key}=VALUE, got {key!r}")
        values[key] = _read(f"{name}: {key}", text, defaults[key], words=words)
    return values


def read_number(text: str) -> float:
    """Read a finite number or a fraction.

    Raises:
        ValueError: the text is neither.

    Example:
        >>> read_number("1/4"), read_number("0.5")
        (0.25, 0.5)
    """
    top, slash, bottom = text.partition("/")
    try:
        number = float(top) / float(bottom) if slash else float(text)
    except ZeroDivisionError:
        raise ValueError(f"{text!r} divides by zero") from None
    if not math.isfinite(number):
        raise ValueError(f"{text!r} is not finite")
    return number


def read_numbers(who: str, given: Any) -> tuple[float, ...] | None:  # noqa: ANN401 - see Args
    """Read one number or several, in whatever form they are held.

    Args:
        who: the argument, for messages.
        given: "0.4,0.5,0.6", "124/255", a number, or a sequence, an array or a tensor of them;
            None stays None.

    Raises:
        InvalidInput: one of them is no finite number.

    Example:
        >>> read_numbers("mean", "1/2,0.25"), read_numbers("mean", 0.5)
        ((0.5, 0.25), (0.5,))
    """
    if given is None:
        return None
    values = given.tolist() if hasattr(given, "tolist") else given
    several = values.split(",") if isinstance(values, str) else values
    several = several if isinstance(several, list | tuple) else [several]
    try:
        return tuple(read_number(str(value)) for value in several)
    except ValueError:
        raise InvalidInput(
            f"{who} must be numbers such as 0.5, 127/255 or 0.4,0.5,0.6, got {given!r}"
        ) from None


def _read(who: str, text: str, default: Any, *, words: bool) -> Any:  # noqa: ANN401 - a setting of any kind
    if isinstance(default, bool):
        if text.lower() not in ("true", "false"):
            raise InvalidInput(f"{who} must be true or false, got {text!r}")
        return text.lower() == "true"
    if isinstance(default, int):
        if not text.removeprefix("-").isdecimal():
            raise InvalidInput(f"{who} must be a whole number, got {text!r}")
        return int(text)
    if isinstance(default, float) and not words:
        try:
            return read_number(text)
        except ValueError:
            raise InvalidInput(f"{who} must be a number, got {text!r}") from None
    return text if isinstance(default, str) and not words else _read_freely(text)


def _read_freely(text: str) -> Any:  # noqa: ANN401 - a number, a constant or the text
    if text.lower() in _CONSTANTS:
        return _CONSTANTS[text.lower()]
    if text.removeprefix("-").isdecimal():
        return int(text)
    try:
        return read_number(text)
    except ValueError:
        return text
