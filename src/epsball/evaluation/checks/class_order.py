"""Are labels and scores in the same order of classes?"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import pdtrc

from epsball.evaluation.checks.findings import finding
from epsball.evaluation.metrics.statistics import mcnemar, wilson
from epsball.types import Dataset, Finding, Severity

_SURPRISE = 1e-4  # p below which a better order is no chance
_LEAST_GAIN = 0.05  # of all images
_FACTOR = 2  # times as many right: the number is another model's
_SLACK = 0.9  # a simple order that reaches this share of the best one's gain is named
_USEFUL = 0.4  # of the way from guessing to being right always
_LUCK = 1e-3  # p of so many classes in another order by chance, shared by the orders tried


def check_order(data: Dataset) -> list[Finding]:
    """Say where class folders could be ordered in two ways, and which was taken."""
    names = list(data.class_names)
    by_text, by_number = sorted(names), sorted(names, key=_natural)
    if data.order == "stated" or by_text == by_number:
        return []
    text, number = next(
        (a, b) for a, b in zip(by_text, by_number, strict=True) if a != b
    )  # each stands before the other in its own order
    if data.order == "numbers":
        message = (
            f"class folders are taken as class numbers, {number!r} before {text!r}; as text, which "
            f"is how torchvision's ImageFolder sorts, {text!r} would come before {number!r}"
        )
    else:
        message = (
            f"class folders are taken in the order of the alphabet, {text!r} before {number!r}; "
            f"sorted by their numbers, {number!r} would come before {text!r}"
        )
    return [finding("class-order-assumed", message, first=names[:5])]


def _natural(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts numbers within names by their value."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


@dataclass(frozen=True)
class _Order:
    """Another way to read labels.

    Args:
        what: in words.
        remedy: what to do if it is the right one.
        right: (n,), bool, which images are right under it.
    """

    what: str
    remedy: str
    right: NDArray[np.bool_]


def check_class_order(
    labels: NDArray[np.int64],
    predictions: NDArray[np.int64],
    class_names: Sequence[str],
    classes: int,
) -> list[Finding]:
    """Look for an order of the classes under which the model is right far more often.

    Tried are labels moved by one, other ways to sort the names, and the best one-to-one match of
    predictions to labels, which is fitted on one half of the images and counted on the other.

    Args:
        labels: (n,), of the data.
        predictions: (n,), of the clean images.
        class_names: of the labels, in their order.
        classes: k, of the model.

    Returns:
        A finding where another order beats the labels' own beyond chance; blocking where it is
        right on twice as many images.
    """
    own = labels == predictions
    orders = [*_moved(labels, predictions, classes), *_sorted(labels, predictions, class_names)]
    orders.append(_matched(labels, predictions, classes))
    best = max(orders, key=lambda order: int(order.right.sum()))
    simple = [o for o in orders[:-1] if o.right.sum() >= _SLACK * best.right.sum()]
    best = max(simple, key=lambda order: int(order.right.sum()), default=best)
    more, fewer = int((best.right & ~own).sum()), int((own & ~best.right).sum())
    count, before, after = len(labels), int(own.sum()), int(best.right.sum())
    common = int(np.bincount(labels).max())  # who names one class always is right so often
    if (
        after - before < max(1, _LEAST_GAIN * count)
        or mcnemar(more, fewer) >= _SURPRISE / len(orders)
        or wilson(after, count)[0] <= common / count
        or not _useful(best, labels, classes, simple=bool(simple), attempts=len(orders))
    ):
        return []
    severity: Severity = "blocking" if after >= _FACTOR * before else "warning"
    message = (
        f"clean accuracy is {before / count:.1%} on {count} images; {best.what} it would be "
        f"{after / count:.1%}: {best.remedy}"
    )
    evidence = {"accuracy": before / count, "otherwise": after / count, "order": best.what}
    return [replace(finding("class-order", message, **evidence), severity=severity)]


def _useful(
    order: _Order, labels: NDArray[np.int64], classes: int, *, simple: bool, attempts: int
) -> bool:
    """Say whether an order makes the model useful, which an untrained one is under none.

    The images of a class are often predicted alike, whatever the model has learnt: some classes
    then fit another order by chance, one in the mean. A match that was fitted fits them all.
    """
    if float(order.right.mean()) >= 1 / classes + _USEFUL * (1 - 1 / classes):
        return True
    shares = [order.right[labels == label].mean() for label in np.unique(labels)]
    fitting = sum(share > 0.5 for share in shares)
    return simple and fitting > 0 and float(pdtrc(fitting - 1, 1)) < _LUCK / attempts


def _moved(labels: NDArray[np.int64], predictions: NDArray[np.int64], classes: int) -> list[_Order]:
    orders = []
    for step in (1, -1):
        what = f"with all labels moved by {step:+d}"
        moved = labels + step
        remedy = f"add --label-offset {step}"
        if bool(((moved < 0) | (moved >= classes)).any()):
            moved, what = moved % classes, f"{what}, the last beside the first,"
            remedy = "list the classes in the model's order in --classes FILE"
        orders.append(_Order(what, remedy, moved == predictions))
    return orders


def _sorted(
    labels: NDArray[np.int64], predictions: NDArray[np.int64], class_names: Sequence[str]
) -> list[_Order]:
    """Try names in the order of text, of small letters, and of the numbers in them."""
    ways = {
        "as text": sorted(class_names),
        "in small letters": sorted(class_names, key=str.casefold),
        "by the numbers in them": sorted(class_names, key=_natural),
    }
    orders = []
    for way, names in ways.items():
        place = {name: number for number, name in enumerate(names)}
        moved = np.array([place[name] for name in class_names], dtype=np.int64)
        if len(place) < len(names) or bool((moved == np.arange(len(moved))).all()):
            continue
        what = f"with class names sorted {way} ({', '.join(names[:4])} ...)"
        remedy = "list them in that order in --classes FILE"
        orders.append(_Order(what, remedy, moved[labels] == predictions))
    return orders


def _matched(labels: NDArray[np.int64], predictions: NDArray[np.int64], classes: int) -> _Order:
    """Match predictions to labels one to one: fitted on each half, counted on the other."""
    from scipy.optimize import linear_sum_assignment

    right = np.zeros(len(labels), dtype=bool)
    rank = _rank_in_class(labels)
    examples: list[str] = []
    for half in (0, 1):
        fit = rank % 2 == half
        counts = np.zeros((classes, classes), dtype=np.int64)
        np.add.at(counts, (labels[fit], predictions[fit]), 1)
        counts = 2 * counts + np.eye(classes, dtype=np.int64)  # of equal matches the usual one
        match = linear_sum_assignment(counts, maximize=True)[1]
        right[~fit] = match[labels[~fit]] == predictions[~fit]
        swapped = [n for n in np.unique(labels).tolist() if match[n] != n]
        examples = [f"{n} as {match[n]}" for n in swapped[:4]]
    what = f"with labels matched one to one to predictions ({', '.join(examples)} ...)"
    return _Order(what, "look up the model's order of classes and list it in --classes FILE", right)


def _rank_in_class(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number the images of each class from 0, in order."""
    order = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[order], labels[order])
    ranks = np.empty_like(labels)
    ranks[order] = np.arange(len(labels)) - starts
    return ranks
