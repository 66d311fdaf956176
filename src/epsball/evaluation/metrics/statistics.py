"""Intervals of rates and paired tests. Imports no torch."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, ndtri

from epsball.errors import InvalidInput


def wilson(successes: int, count: int, *, level: float = 0.95) -> tuple[float, float]:
    """Return the interval of a proportion that a sample of this size leaves open.

    Args:
        successes: how many of count, 0 to count.
        count: size of the sample, at least 1.
        level: share of samples whose interval covers the truth, in (0, 1).

    Returns:
        (low, high), in [0, 1].

    Raises:
        InvalidInput: count is below 1, or successes lies outside [0, count].

    Example:
        >>> low, high = wilson(90, 100)
        >>> round(low, 3), round(high, 3)
        (0.826, 0.945)

    Source: Wilson 1927, JASA 22, 209-212; no continuity correction.
    """
    if count < 1 or not 0 <= successes <= count:
        raise InvalidInput(
            f"wilson: needs 0 <= successes <= count and count >= 1, got {successes} of {count}"
        )
    low, high = wilson_intervals(np.array([successes]), np.array([count]), level=level)
    return float(low[0]), float(high[0])


def wilson_intervals(
    successes: NDArray[np.int64], counts: NDArray[np.int64], *, level: float = 0.95
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the Wilson intervals of many proportions; see `wilson`.

    `scipy.stats.binomtest(...).proportion_ci("wilson")` gives the same for one proportion, at
    about ten times the cost, since it computes a test as well: a risk curve has thousands.

    Args:
        successes: (n,), each in 0 to its count.
        counts: (n,), each at least 1.
        level: share of samples whose interval covers the truth, in (0, 1).

    Returns:
        (n,) lower ends and (n,) upper ends, in [0, 1].

    Example:
        >>> low, high = wilson_intervals(np.array([0, 90]), np.array([10, 100]))
        >>> low.round(3).tolist(), high.round(3).tolist()
        ([0.0, 0.826], [0.278, 0.945])
    """
    z = float(ndtri((1 + level) / 2))
    rates, weights = successes / counts, z * z / counts
    centres = (rates + weights / 2) / (1 + weights)
    halves = z / (1 + weights) * np.sqrt(rates * (1 - rates) / counts + weights / (4 * counts))
    # at 0 and n the formula gives 0 and 1 except for rounding
    low = np.where(successes == 0, 0.0, np.clip(centres - halves, 0, 1))
    return low, np.where(successes == counts, 1.0, np.clip(centres + halves, 0, 1))


def mcnemar(only_a: int, only_b: int) -> float:
    """Return the exact two-sided p-value of McNemar's test on paired differences.

    Args:
        only_a: images on which only the first succeeds.
        only_b: images on which only the second succeeds.

    Returns:
        The p-value, in (0, 1].

    Raises:
        InvalidInput: a count is negative.

    Example:
        >>> mcnemar(0, 6)
        0.03125

    Source: McNemar 1947, Psychometrika 12, 153-157; the exact binomial form, no mid-p correction.
    """
    if only_a < 0 or only_b < 0:
        raise InvalidInput(f"mcnemar: counts must be >= 0, got {only_a} and {only_b}")
    differing = only_a + only_b
    # twice the smaller tail of a fair coin, as scipy.stats.binomtest, which takes longer to import
    return min(1.0, 2 * float(bdtr(min(only_a, only_b), differing, 0.5)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for multiple tests.

    Args:
        p_values: of tests made together, each in [0, 1].

    Returns:
        The adjusted p-values, in the same order, each in [0, 1] and at least the original.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]

    Source: Holm 1979, Scandinavian Journal of Statistics 6, 65-70.
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p_values[i]))
        adjusted[i] = highest
    return adjusted
