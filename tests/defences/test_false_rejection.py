"""How far a threshold set on so many images may be from the share that was asked for."""

import numpy as np
import pytest

from epsball.defences.false_rejection import images_needed, rejection_interval, threshold_for


@pytest.mark.parametrize(("count", "share"), [(30, 0.05), (100, 0.05), (200, 0.2), (60, 0.5)])
def test_the_interval_holds_in_nineteen_of_twenty_draws(count: int, share: float) -> None:
    random = np.random.default_rng(0)
    low, high = rejection_interval(count, share)
    inside = 0
    for _ in range(2000):
        cut = threshold_for(random.random(count), share)  # of a uniform score: the share below it
        inside += low <= cut <= high
    assert 0.93 < inside / 2000 < 0.97


def test_rarer_rejections_take_more_images() -> None:
    needed = [images_needed(share) for share in (0.01, 0.05, 0.1, 0.2, 0.5)]
    assert needed == sorted(needed, reverse=True)
    for share, count in zip((0.01, 0.05, 0.1, 0.2, 0.5), needed, strict=True):
        assert rejection_interval(count, share)[1] <= 2 * share
    assert rejection_interval(30, 0.05)[1] > 0.1
