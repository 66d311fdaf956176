"""The threshold that rejects a share of clean images, for fits and for measures. No torch."""

import math

import numpy as np
from numpy.typing import ArrayLike

from epsball.errors import InvalidInput

_WIDEST = 2.0  # times the share that was asked for
_ROUNDING = 1e-9  # 0.29 * 100 is one unit in the last place below 29


def threshold_for(acceptance: ArrayLike, false_rejection: float) -> float:
    """Return the threshold that rejects a share of clean images.

    The rule: of n scores in rising order it is the one of number floor(share * n), counted from 0:
    at most that many lie below it and are rejected; fewer only where scores are equal.

    Args:
        acceptance: (n,), scores of clean images whose class is right.
        false_rejection: the share of them that may be rejected, in [0, 1).

    Returns:
        A score; images below it are rejected.

    Raises:
        InvalidInput: no scores, NaN, or a share outside [0, 1).

    Example:
        >>> threshold_for([1.0, 2.0, 3.0, 4.0], 0.25), threshold_for(range(100), 0.29)
        (2.0, 29.0)
    """
    scores = np.sort(np.asarray(acceptance, dtype=np.float64))
    if scores.ndim != 1 or not len(scores) or np.isnan(scores).any():
        raise InvalidInput(
            "threshold_for: needs one score per image, at least one and none NaN, got "
            f"shape {scores.shape} with {int(np.isnan(scores).sum())} NaN; leave those images out"
        )
    if not 0 <= false_rejection < 1:
        raise InvalidInput(
            f"threshold_for: false_rejection must be in [0, 1), got {false_rejection}"
        )
    return float(scores[math.floor(false_rejection * len(scores) + _ROUNDING)])


def rejection_interval(count: int, false_rejection: float) -> tuple[float, float]:
    """Return what share of other clean images a threshold rejects, with 95 % confidence.

    Args:
        count: n, images that the threshold is set on by `threshold_for`.
        false_rejection: the share that was asked for, in [0, 1).

    Returns:
        Its quantiles at 2.5 and 97.5 %: below the score of number k = floor(share * n), counted
        from 0, lies a share of all images that has the distribution Beta(k + 1, n - k), whatever
        that of the scores is.

    Source: David and Nagaraja 2003, "Order Statistics", section 2.1.

    Example:
        >>> [round(bound, 3) for bound in rejection_interval(30, 0.05)]
        [0.008, 0.172]
    """
    from scipy.stats import beta

    rank = math.floor(false_rejection * count + _ROUNDING)
    low, high = beta(rank + 1, count - rank).ppf([0.025, 0.975])
    return float(low), float(high)


def images_needed(false_rejection: float) -> int:
    """Return on how many images a threshold has to be set, so that at most twice as many fall.

    Example:
        >>> images_needed(0.05) > images_needed(0.2) > 10
        True
    """
    count = 1
    while rejection_interval(count, false_rejection)[1] > _WIDEST * false_rejection:
        count = math.ceil(1.1 * count)
    return count
