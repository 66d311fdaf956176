"""Settings of rejectors that are checked alike."""

import math
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any, TypeGuard

import numpy as np
from torch import Tensor

from epsball.errors import InvalidInput


def plain(value: Any) -> Any:  # noqa: ANN401 - a setting of any kind
    """Return a setting as Python has it, which JSON can hold: numpy's and torch's numbers as well.

    Example:
        >>> plain({"gamma": np.logspace(-2, 0, 3), "c": (np.int64(1), 10)})
        {'gamma': [0.01, 0.1, 1.0], 'c': [1, 10]}
    """
    if isinstance(value, np.ndarray | np.generic | Tensor):
        return value.tolist()
    if isinstance(value, Mapping):
        return {name: plain(one) for name, one in value.items()}
    several = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    return [plain(one) for one in value] if several else value


def is_number(value: object) -> TypeGuard[float]:
    """Say whether a value is a real number, of Python or numpy; True and False are none."""
    return isinstance(value, Real) and not isinstance(value, bool)


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
    if not is_number(value) or not 0 < float(value) < math.inf:
        hint = f" or {other!r}" if other else ""
        raise InvalidInput(f"{who}: {name} must be a number above 0{hint}, got {value!r}")


def check_count(who: str, name: str, value: object, least: int = 1) -> None:
    """Refuse what is no whole number of at least so many.

    Raises:
        InvalidInput: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < least:
        raise InvalidInput(f"{who}: {name} must be a whole number >= {least}, got {value!r}")
