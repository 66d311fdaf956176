"""Means over seeds and their intervals, against closed forms and published numbers."""

import math

import pytest

from epsball.errors import InvalidInput
from epsball.evaluation.metrics.statistics import wilson
from epsball.studies.claims.estimates import difference, over_seeds

T2 = 4.302652729911275  # Student's t at 0.975, two degrees of freedom


def test_the_interval_over_seeds_is_students() -> None:
    result = over_seeds([0.50, 0.52, 0.54], images=10)
    half = T2 * 0.02 / math.sqrt(3)
    assert result.value == pytest.approx(0.52)
    assert result.interval == pytest.approx((0.52 - half, 0.52 + half))
    assert (result.seeds, result.kind) == (3, "seeds")


def test_a_share_stays_a_share() -> None:
    assert over_seeds([0.0, 0.01], 10).low == 0
    assert over_seeds([1.0, 0.9], 10).high == 1


def test_one_seed_has_the_interval_of_its_images_and_says_so() -> None:
    result = over_seeds([0.9], images=100)
    assert result.interval == wilson(90, 100)
    assert result.kind == "images"


def test_nothing_measured_is_refused() -> None:
    with pytest.raises(InvalidInput, match="at least one"):
        over_seeds([], 10)
    with pytest.raises(InvalidInput, match="pairs"):
        difference([0.1], [0.1, 0.2], 10)


def test_a_difference_is_taken_seed_by_seed() -> None:
    # the seeds differ much, the pairs always by 0.1
    result = difference([0.9, 0.5, 0.2], [0.8, 0.4, 0.1], 10)
    assert result.value == pytest.approx(0.1)
    assert result.interval == pytest.approx((0.1, 0.1))


def test_the_difference_of_one_seed_is_newcombes() -> None:
    # 48 of 80 against 64 of 80, by hand from the two Wilson intervals
    (one_low, one_high), (other_low, other_high) = wilson(64, 80), wilson(48, 80)
    result = difference([0.8], [0.6], 80)
    assert result.value == pytest.approx(0.2)
    assert result.low == pytest.approx(0.2 - math.hypot(0.8 - one_low, other_high - 0.6))
    assert result.high == pytest.approx(0.2 + math.hypot(one_high - 0.8, 0.6 - other_low))
    assert result.kind == "images"
