"""Settings of rejectors that are checked alike."""

import math

from epsball.errors import InvalidInput


def check_above_zero(who: str, name: str, value: object, other: str = "") -> None:
    """Refuse what is no finite number above 0.

    Args:
        who: the rejector's name, for the message.
        name: of the setting.
        value: of the setting.
        other: a word that would do as well, for the message.

    Raises:
        InvalidInput: it is none.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 < float(value) < math.inf:  # type: ignore[arg-type]  # just asked
        hint = f" or {other!r}" if other else ""
        raise InvalidInput(f"{who}: {name} must be a number above 0{hint}, got {value!r}")


def check_count(who: str, name: str, value: object, least: int = 1) -> None:
    """Refuse what is no whole number of at least so many.

    Raises:
        InvalidInput: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InvalidInput(f"{who}: {name} must be a whole number >= {least}, got {value!r}")
