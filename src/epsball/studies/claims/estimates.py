"""A number over repetitions, with the interval that it leaves open. Imports no torch."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Literal

from scipy.stats import t

from epsball.errors import InvalidInput
from epsball.evaluation.metrics.statistics import wilson

Kind = Literal["seeds", "images"]


@dataclass(frozen=True)
class Estimate:
    """A mean and its 95 % interval.

    Args:
        value: the mean over seeds.
        low: lower end.
        high: upper end.
        seeds: how many.
        kind: "seeds": Student's t over the seeds' values; "images": Wilson's, of the sample of
            images, because there is one seed only.
    """

    value: float
    low: float
    high: float
    seeds: int
    kind: Kind

    @property
    def interval(self) -> tuple[float, float]:
        """Return both ends."""
        return self.low, self.high

    def holds(self, value: float) -> bool:
        """Say whether a value lies inside."""
        return self.low <= value <= self.high


def over_seeds(values: Sequence[float], images: int) -> Estimate:
    """Estimate a share from one value a seed.

    With one seed the interval is Wilson's over the images. For a mean of confidences, which vary
    less than right or wrong does, it is wider than need be.

    Args:
        values: in [0, 1], one a seed, at least one.
        images: on how many each was measured.

    Raises:
        InvalidInput: there is no value.

    Example:
        >>> estimate = over_seeds([0.9, 0.92, 0.94], 1000)
        >>> round(estimate.value, 3), round(estimate.low, 3), round(estimate.high, 3)
        (0.92, 0.87, 0.97)

    Source: Student 1908, Biometrika 6, 1-25; ends are cut to [0, 1].
    """
    if not values:
        raise InvalidInput("over_seeds: needs at least one value, got none")
    mean = fmean(values)
    if len(values) == 1:
        low, high = wilson(round(mean * images), images)
        return Estimate(mean, low, high, 1, "images")
    half = _half(values)
    return Estimate(mean, max(0.0, mean - half), min(1.0, mean + half), len(values), "seeds")


def difference(more: Sequence[float], less: Sequence[float], images: int) -> Estimate:
    """Estimate the difference of two shares whose seeds belong together in pairs.

    Args:
        more: one value a seed.
        less: likewise, in the same order of seeds.
        images: on how many each was measured.

    Returns:
        The mean of more - less; with one seed the interval is Newcombe's, of two Wilson intervals.

    Raises:
        InvalidInput: there is no value, or not one for one.

    Source: Newcombe 1998, Statistics in Medicine 17, 873-890, method 10, as if the two samples
        were independent: they are the same images, so it is wider than need be.
    """
    if not more or len(more) != len(less):
        raise InvalidInput(f"difference: needs pairs of values, got {len(more)} and {len(less)}")
    gaps = [a - b for a, b in zip(more, less, strict=True)]
    mean = fmean(gaps)
    if len(gaps) > 1:
        half = _half(gaps)
        return Estimate(mean, mean - half, mean + half, len(gaps), "seeds")
    one, other = over_seeds(more, images), over_seeds(less, images)
    below = math.hypot(one.value - one.low, other.high - other.value)
    above = math.hypot(one.high - one.value, other.value - other.low)
    return Estimate(mean, mean - below, mean + above, 1, "images")


def _half(values: Sequence[float]) -> float:
    count = len(values)
    return float(t.ppf(0.975, count - 1)) * stdev(values) / math.sqrt(count)
