"""Thresholds: checked, turned into log-odds and back, and the images to set them on."""

import math

import torch
from torch import Tensor

from epsball.defences.base.checks import is_number
from epsball.errors import InvalidInput
from epsball.types import Gives

_EVERY = 10
_THETA = 0.9  # of the source, for probabilities
_SHARE = 0.05  # of false rejections, for scores: no number suits them all


def check_threshold(name: str, value: float, gives: Gives) -> None:
    """Refuse a threshold that is no probability in (0, 1), or, for a score, no number.

    Raises:
        InvalidInput: it is none.
    """
    if gives == "log-odds" and not (is_number(value) and 0 < value < 1):
        raise InvalidInput(f"{name}: threshold must be a probability in (0, 1), got {value!r}")
    if not is_number(value) or not math.isfinite(value):
        raise InvalidInput(f"{name}: threshold must be a finite number, got {value!r}")


def check_share(name: str, value: float) -> None:
    """Refuse a false-rejection rate outside (0, 1).

    Raises:
        InvalidInput: it is.
    """
    if not (is_number(value) and 0 < value < 1):
        raise InvalidInput(f"{name}: false_rejection must be in (0, 1), got {value!r}")


def check_request(
    name: str, threshold: float | None, false_rejection: float | None, gives: Gives
) -> None:
    """Refuse both ways to set a threshold at once, and a value that breaks its rule.

    Raises:
        InvalidInput: see above.
    """
    if threshold is not None and false_rejection is not None:
        raise InvalidInput(
            f"{name}: give threshold or false_rejection, one of the two, got {threshold} and "
            f"{false_rejection}"
        )
    if threshold is not None:
        check_threshold(name, threshold, gives)
    if false_rejection is not None:
        check_share(name, false_rejection)


def threshold_or_share(
    threshold: float | None, false_rejection: float | None, gives: Gives
) -> tuple[float | None, float]:
    """Return the threshold, or None and the share of false rejections that sets it."""
    if threshold is None and false_rejection is None and gives == "log-odds":
        return _THETA, _SHARE
    return threshold, _SHARE if false_rejection is None else false_rejection


def calibration_mask(labels: Tensor) -> Tensor:
    """Select the images that a fit leaves out to set a threshold on: every tenth of each class.

    Args:
        labels: (n,), int64, 0 or more.

    Returns:
        (n,), bool; every tenth image of a class, in the order they come in.

    Example:
        >>> calibration_mask(torch.arange(20) % 2).nonzero()[:, 0].tolist()
        [18, 19]
    """
    order = labels.argsort(stable=True)
    counts = labels.bincount()
    begins = counts.cumsum(0) - counts
    rank = torch.empty_like(labels)
    rank[order] = torch.arange(len(labels)) - begins[labels[order]]  # within the class
    return rank % _EVERY == _EVERY - 1


def log_odds(probability: float) -> float:
    """Return log(p / (1 - p)) of a probability in (0, 1)."""
    return math.log(probability) - math.log1p(-probability)


def probability(log_odds: float) -> float:
    """Return p from log(p / (1 - p)), without overflow; never 0 or 1, which are no thresholds."""
    if log_odds >= 0:
        return min(1 / (1 + math.exp(-log_odds)), math.nextafter(1, 0))
    return max(math.exp(log_odds) / (1 + math.exp(log_odds)), math.nextafter(0, 1))
