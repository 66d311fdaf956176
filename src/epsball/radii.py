"""Radii: how they are written, and whether a ball of one leaves any room in the box [0, 1]."""

import math
from typing import Any

from epsball.errors import InvalidInput
from epsball.types import Norm

_LEVELS = 255  # of an 8-bit image
_ROOM = 1e-6  # relative: the ball that just holds the box is allowed, whatever it was rounded to


def parse_eps(text: Any) -> float:  # noqa: ANN401 - text, or a number of any library
    """Read a radius: a number, or a fraction such as 8/255.

    Args:
        text: what was typed, or a number: Python's, numpy's or a tensor of one value.

    Returns:
        The radius, in input units.

    Raises:
        InvalidInput: not a number, not finite, negative, or over zero.

    Example:
        >>> parse_eps("4/255") == 4 / 255
        True
    """
    rule = "eps must be a number >= 0 such as 0.1 or 8/255"
    try:
        number = text.item() if hasattr(text, "item") else text
        above, _, below = str(number).partition("/")
        value = float(above) / float(below or 1)
    except (ValueError, RuntimeError, ZeroDivisionError):
        raise InvalidInput(f"{rule}, got {text!r}") from None
    if isinstance(text, bool) or not (math.isfinite(value) and value >= 0):
        raise InvalidInput(f"{rule}, got {text!r}")
    return value


def check_eps(attack: str, eps: float) -> None:
    """Raise InvalidInput unless eps is a finite number of at least zero."""
    if not (math.isfinite(eps) and eps >= 0):
        raise InvalidInput(
            f"{attack}: eps must be a finite number >= 0, got {eps}; "
            "images are in [0, 1], so write 8/255, not 8"
        )


def widest(norm: Norm, entries: int) -> float:
    """Return the largest distance between two images in [0, 1].

    Args:
        norm: geometry of the distance.
        entries: c * h * w of an image.

    Example:
        >>> widest("linf", 48), widest("l2", 16), widest("l0", 48)
        (1.0, 4.0, 48.0)
    """
    return {"linf": 1.0, "l2": math.sqrt(entries)}.get(norm, float(entries))


def check_room(who: str, eps: float, norm: Norm, entries: int) -> None:
    """Refuse a radius with which the ball is every image there is, or in l0 no other image.

    Args:
        who: the attack or the argument, for the message.
        eps: the radius.
        norm: geometry of the ball.
        entries: c * h * w of an image.

    Raises:
        InvalidInput: eps is larger than the largest distance between two images, or, in l0,
            between 0 and 1.
    """
    if norm == "l0" and 0 < eps < 1:
        raise InvalidInput(
            f"{who}: in l0 eps counts the entries that may change, so 1 or more, got {eps:g}; "
            "write 10, say, or choose another norm"
        )
    most = widest(norm, entries)
    if eps <= most * (1 + _ROOM):
        return
    if norm == "l0":
        remedy = f"an image has {entries} entries in all; write fewer"
    else:
        written = f"{eps:g}/255" if eps <= _LEVELS else "eps / 255"
        remedy = f"pixels are in [0, 1], not 0 to 255, so write {written}"
    raise InvalidInput(
        f"{who}: eps must be at most {most:g}, the largest distance between two images of "
        f"{entries} entries in {norm}, got {eps:g}; {remedy}"
    )
