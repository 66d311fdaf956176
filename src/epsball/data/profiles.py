"""Profiles of class imbalance: how many images of each class to keep.

A profile is a text, so that it can be typed, compared and written into a manifest:

    under:CLASS=AMOUNT            CLASS cut to AMOUNT, all other classes whole
    over:CLASS=AMOUNT             CLASS whole, every other class cut to AMOUNT
    counts:CLASS=AMOUNT,...       these classes cut, the others whole
    long-tail:RATIO[:CLASS]       counts fall exponentially by class, CLASS (or the first)
                                  having RATIO times as many as the last

AMOUNT is a count (1000) or a share of what the class has (1/5, 0.2); CLASS a name or a number.
"""

from collections.abc import Mapping
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from epsball.errors import InvalidInput, unknown_name

FORMS = "under:CLASS=AMOUNT, over:CLASS=AMOUNT, counts:CLASS=AMOUNT,... or long-tail:RATIO[:CLASS]"


def profile_counts(
    available: NDArray[np.int64], class_names: tuple[str, ...], imbalance: str
) -> NDArray[np.int64]:
    """Return how many images of each class a profile keeps.

    Args:
        available: (k,), images of each class.
        class_names: k names, in label order.
        imbalance: the profile; see the head of this file.

    Returns:
        (k,), int64, each from 1 to what is available where that is 1 or more.

    Raises:
        InvalidInput: no profile, no such class, an amount that is more than there are, or one that
            leaves no image.

    Source: the exponential profile is that of Cui et al. 2019, arXiv:1901.05555, section 5.1, as
        Cao et al. 2019, arXiv:1906.07413, use it. Departure: the largest profile that the data can
        fill is taken, so that the ratio is kept where classes differ in size.

    Example:
        >>> names = ("cat", "dog", "ship")
        >>> profile_counts(np.array([100, 100, 100]), names, "under:cat=1/5")
        array([ 20, 100, 100])
        >>> profile_counts(np.array([100, 100, 100]), names, "long-tail:4:dog")
        array([ 25, 100,  50])
    """
    form, _, rest = imbalance.partition(":")
    if form == "long-tail":
        counts = _long_tail(available, class_names, rest, imbalance)
    elif form in ("under", "over", "counts"):
        amounts = _amounts(available, class_names, rest, imbalance)
        if form != "counts" and len(amounts) > 1:
            raise _malformed(imbalance)
        if form == "over":
            amounts = _others(available, class_names, amounts, rest, imbalance)
        counts = available.copy()
        counts[list(amounts)] = list(amounts.values())
    else:
        raise _malformed(imbalance)
    _check(counts, available, class_names, imbalance)
    return counts


def class_index(name: str, class_names: tuple[str, ...], what: str = "class") -> int:
    """Return the label of a class given by name or by number.

    Raises:
        InvalidInput: there is no such class.
    """
    if name in class_names:
        return class_names.index(name)
    if name.isdecimal() and int(name) < len(class_names):
        return int(name)
    raise unknown_name(what, name, class_names)


def _amounts(
    available: NDArray[np.int64], class_names: tuple[str, ...], rest: str, imbalance: str
) -> dict[int, int]:
    """Read CLASS=AMOUNT,... as label -> count."""
    amounts: dict[int, int] = {}
    for part in rest.split(","):
        name, equals, amount = (piece.strip() for piece in part.rpartition("="))
        if not equals:
            raise _malformed(imbalance)
        label = class_index(name, class_names)
        amounts[label] = _count(amount, int(available[label]), imbalance)
    return amounts


def _others(
    available: NDArray[np.int64],
    class_names: tuple[str, ...],
    amounts: Mapping[int, int],
    rest: str,
    imbalance: str,
) -> dict[int, int]:
    """Return label -> count for all classes but the one that is named, which stays whole."""
    (whole,) = amounts
    amount = rest.rpartition("=")[2].strip()
    return {
        label: _count(amount, int(available[label]), imbalance)
        for label in range(len(class_names))
        if label != whole and available[label] > 0
    }


def _long_tail(
    available: NDArray[np.int64], class_names: tuple[str, ...], rest: str, imbalance: str
) -> NDArray[np.int64]:
    text, _, name = rest.partition(":")
    ratio = _number(text, imbalance)
    if ratio < 1:
        raise InvalidInput(
            f"imbalance {imbalance!r}: the ratio of the most frequent class to the rarest must be "
            f"1 or more, got {text}"
        )
    classes = len(class_names)
    first = class_index(name.strip(), class_names) if name else 0
    rank = (np.arange(classes) - first) % classes
    shares = float(ratio) ** (-rank / max(1, classes - 1))
    largest = float((available / shares).min())  # of the most frequent class, so that all suffice
    return np.floor(largest * shares + 1e-9).astype(np.int64)


def _count(text: str, available: int, imbalance: str) -> int:
    """Read an amount: a count, or a share of what is available."""
    number = _number(text, imbalance)
    if number.denominator == 1 and number != 0:
        return int(number)
    if not 0 < number < 1:
        raise InvalidInput(
            f"imbalance {imbalance!r}: an amount is a whole number of images or a share between 0 "
            f"and 1, got {text}"
        )
    return round(number * available)


def _number(text: str, imbalance: str) -> Fraction:
    try:
        number = Fraction(text.strip())
    except (ValueError, ZeroDivisionError):
        raise InvalidInput(
            f"imbalance {imbalance!r}: {text!r} is no number; write a count (1000) or a share (1/5)"
        ) from None
    return number


def _check(
    counts: NDArray[np.int64],
    available: NDArray[np.int64],
    class_names: tuple[str, ...],
    imbalance: str,
) -> None:
    for name, count, there in zip(class_names, counts.tolist(), available.tolist(), strict=True):
        if count > there:
            raise InvalidInput(
                f"imbalance {imbalance!r} asks for {count} images of class {name!r}, and there are "
                f"{there}: ask for {there} at most"
            )
        if count < 1 and (there > 0 or imbalance.startswith("long-tail")):
            raise InvalidInput(
                f"imbalance {imbalance!r} leaves no image of class {name!r}, of which there are "
                f"{there}: ask for more"
            )


def _malformed(imbalance: str) -> InvalidInput:
    return InvalidInput(f"imbalance {imbalance!r} is no profile: write {FORMS}")
