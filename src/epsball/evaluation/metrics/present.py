"""How numbers are written for people, the same everywhere. Imports no torch."""

import math
from collections.abc import Sequence

_ROUNDING = 1e-9


def percent(share: float, *, digits: int = 1) -> str:
    """Write a share as people do.

    Example:
        >>> percent(0.98913)
        '98.9 %'
    """
    return f"{100 * share:.{digits}f} %"


def interval(bounds: Sequence[float]) -> str:
    """Write an interval of shares.

    Example:
        >>> interval([0.1, 0.25])
        '10.0 to 25.0 %'
    """
    low, high = bounds
    return f"{100 * low:.1f} to {100 * high:.1f} %"


def counted(count: int, thing: str, plural: str = "") -> str:
    """Write a number of things.

    Example:
        >>> counted(1, "image"), counted(1200, "image"), counted(2, "class", "classes")
        ('1 image', '1,200 images', '2 classes')
    """
    return f"{count:,} {thing if count == 1 else plural or thing + 's'}"


def eps_text(eps: float | None) -> str:
    """Write a radius: 8/255 where it is one, else a short decimal; a dash where there is no ball.

    Example:
        >>> eps_text(8 / 255), eps_text(0.1), eps_text(0.2)
        ('8/255', '0.1', '0.2')
    """
    if eps is None or math.isinf(eps):
        return "-"
    levels = round(eps * 255)
    # 0.2 is 51/255 too, which is not how it is written
    if levels > 0 and abs(eps * 255 - levels) < _ROUNDING and eps != round(eps, 4):
        return f"{levels}/255"
    return f"{eps:.4g}"


def ball_words(norm: str, eps: float) -> str:
    """Say in words what an attacker may change.

    Example:
        >>> ball_words("linf", 2 / 255)
        'no pixel moves by more than 2 of 255 levels'
        >>> ball_words("l0", 8.0)
        'at most 8 values of pixels change'
    """
    if norm == "linf":
        return f"no pixel moves by more than {eps * 255:.4g} of 255 levels"
    if norm == "l0":
        return f"at most {eps:g} values of pixels change"
    if norm == "l1":
        return f"all changes together add up to at most {eps:.4g}, where black to white is 1"
    return f"the root of the sum of all squared changes is at most {eps:.4g}, black to white is 1"


def rejection_note(clean_rejected: float | None) -> str:
    """Explain how a rejected image counts, beside any table with both kinds of accuracy.

    Args:
        clean_rejected: share of the untouched images that are rejected; None: not known.

    Example:
        >>> rejection_note(0.25)[:69]
        'Rejection counts as wrong for an untouched image (25.0 % of them) and'
    """
    share = "" if clean_rejected is None else f" ({percent(clean_rejected)} of them)"
    return (
        f"Rejection counts as wrong for an untouched image{share} and as safe for an attacked "
        "one, so accuracy under attack can be above the one without: changed images that are "
        "rejected then outweigh those that fool. The worst case of all attacks counts an image "
        "only where it is right untouched as well"
    )
