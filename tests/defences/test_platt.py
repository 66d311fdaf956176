"""Platt's sigmoid: scikit-learn's, and the properties of a maximum."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import _sigmoid_calibration

from epsball.defences.svm.platt import fit_sigmoid

SEEDS = st.integers(0, 10**6)


@given(seed=SEEDS, noise=st.floats(0.05, 3), share=st.floats(0.05, 0.95))
@settings(deadline=None, max_examples=40)
def test_it_is_scikit_learns(seed: int, noise: float, share: float) -> None:
    drawn = np.random.default_rng(seed)
    positive = drawn.random(200) < share
    positive[:2] = [True, False]
    values = np.where(positive, 1.0, -1.0) + noise * drawn.normal(size=200)
    slope, offset = fit_sigmoid(values, positive)
    theirs = _sigmoid_calibration(values, positive)
    ours = 1 / (1 + np.exp(slope * values + offset))
    assert np.abs(ours - 1 / (1 + np.exp(theirs[0] * values + theirs[1]))).max() < 2e-3


@given(seed=SEEDS, scale=st.floats(1e-3, 1e3))
@settings(deadline=None, max_examples=40)
def test_the_likelihood_has_no_slope_at_any_scale(seed: int, scale: float) -> None:
    drawn = np.random.default_rng(seed)
    values = scale * drawn.normal(size=60)
    positive = values + scale * drawn.normal(size=60) > 0
    positive[:2] = [True, False]
    slope, offset = fit_sigmoid(values, positive)
    targets = np.where(positive, (positive.sum() + 1) / (positive.sum() + 2), 0)
    targets[~positive] = 1 / ((~positive).sum() + 2)
    off = targets - 1 / (1 + np.exp(slope * values + offset))
    assert abs(off.sum()) < 1e-5
    assert abs((off * values).sum()) < 1e-5 * scale


def test_values_that_are_all_equal_give_the_share_of_the_class() -> None:
    positive = np.arange(98) < 49
    assert fit_sigmoid(np.full(98, 3.0), positive) == pytest.approx((0.0, 0.0), abs=1e-12)


def test_classes_that_are_apart_give_a_finite_sigmoid() -> None:
    values = np.array([-2.0] * 50 + [2.0] * 50)
    slope, offset = fit_sigmoid(values, values > 0)
    assert 1 / (1 + np.exp(2 * slope + offset)) == pytest.approx(51 / 52, abs=1e-4)


def test_few_positives_are_improbable_however_small_the_values_are() -> None:
    values = np.zeros(100)
    values[0] = 1e-9
    slope, offset = fit_sigmoid(values, values > 0)
    assert 1 / (1 + np.exp(offset)) == pytest.approx(1 / 101, abs=1e-4)
    assert 1 / (1 + np.exp(1e-9 * slope + offset)) == pytest.approx(2 / 3, abs=1e-4)
