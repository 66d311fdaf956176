"""Platt's sigmoid: scikit-learn's, and the properties of a maximum."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import _sigmoid_calibration

from epsball.defences.svm.platt import _derivatives, fit_sigmoid

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
def test_it_is_a_maximum_at_any_scale(seed: int, scale: float) -> None:
    drawn = np.random.default_rng(seed)
    values = scale * drawn.normal(size=60)
    positive = values + scale * drawn.normal(size=60) > 0
    positive[:2] = [True, False]
    sigmoid = fit_sigmoid(values, positive)
    wanted = np.where(positive, (positive.sum() + 1) / (positive.sum() + 2), 0)
    wanted[~positive] = 1 / ((~positive).sum() + 2)
    gradient, hessian = _derivatives(values, wanted, np.array(sigmoid))
    # what another Newton step would still bring
    assert gradient @ np.linalg.solve(hessian, gradient) < 1e-6


def test_classes_that_are_apart_give_a_finite_sigmoid() -> None:
    values = np.array([-2.0] * 50 + [2.0] * 50)
    slope, offset = fit_sigmoid(values, values > 0)
    assert 1 / (1 + np.exp(2 * slope + offset)) == pytest.approx(51 / 52, abs=1e-4)


def test_few_positives_are_few_probable() -> None:
    values = np.zeros(100)
    values[0] = 1e-9
    offset = fit_sigmoid(values, values > 0).offset
    assert 1 / (1 + np.exp(offset)) == pytest.approx(0.026, abs=0.01)
