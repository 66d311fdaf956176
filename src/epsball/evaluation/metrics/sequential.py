"""Intervals of a rate that hold after every image at once. Imports no torch."""

import numpy as np

from epsball.errors import InvalidInput


def anytime_interval(
    successes: int, count: int, *, population: int | None = None, level: float = 0.95
) -> tuple[float, float]:
    """Return an interval of a rate that covers it at every number of images at once.

    An interval for a fixed number of images no longer holds its level where somebody looks after
    each image and stops when it suits. This one does: the chance that it misses the rate even
    once, however long the sampling lasts, is at most 1 - level. It holds every rate at which the
    probability of these successes is at least (1 - level) / (count + 1).

    Args:
        successes: how many of count, 0 to count.
        count: images in random order so far, 0 or more.
        population: how many images there are, when their own rate is asked for; then it is exact
            once all are in. None: that of the distribution which the images come from.
        level: chance that the interval covers the rate at all times, in (0, 1).

    Returns:
        (low, high), in [0, 1].

    Raises:
        InvalidInput: successes lies outside [0, count], or count above population.

    Example:
        >>> anytime_interval(0, 0)
        (0.0, 1.0)
        >>> low, high = anytime_interval(16, 16)  # low ** 16 is 0.05 / 17
        >>> round(low, 3), high
        (0.695, 1.0)
        >>> anytime_interval(3, 10, population=10)
        (0.3, 0.3)

    Source: Robbins 1970, Annals of Mathematical Statistics 41, 1397-1409, the mixture of all rates
    with equal weights; without replacement: Waudby-Smith and Ramdas 2020, arXiv:2006.04347, the
    ratio of prior to posterior, with a uniform prior.
    """
    from scipy.optimize import brentq
    from scipy.stats import binom, hypergeom

    if not 0 <= successes <= count or (population is not None and count > population):
        raise InvalidInput(
            "anytime_interval: needs 0 <= successes <= count <= population, got "
            f"{successes}, {count} and {population}"
        )
    floor = np.log((1 - level) / (count + 1))
    if population is not None:
        totals = np.arange(successes, population - (count - successes) + 1)
        within = totals[hypergeom.logpmf(successes, population, totals, count) >= floor]
        return float(within[0] / population), float(within[-1] / population)

    def above(rate: float) -> float:
        return float(binom.logpmf(successes, count, rate) - floor)

    middle = successes / max(1, count)
    low = 0.0 if above(0.0) >= 0 else float(brentq(above, 1e-300, middle))
    return low, 1.0 if above(1.0) >= 0 else float(brentq(above, middle, 1 - 1e-16))
