"""Intervals and tests against other implementations and brute force."""

import math
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from epsball.errors import InvalidInput
from epsball.evaluation.metrics.statistics import holm, mcnemar, wilson


@given(count=st.integers(1, 500), share=st.floats(0, 1))
def test_wilson_is_scipys(count: int, share: float) -> None:
    successes = round(share * count)
    theirs = binomtest(successes, count).proportion_ci(0.95, method="wilson")
    low, high = wilson(successes, count)
    assert math.isclose(low, theirs.low, abs_tol=1e-12)
    assert math.isclose(high, theirs.high, abs_tol=1e-12)
    assert 0 <= low <= successes / count <= high <= 1


def test_wilson_covers_as_often_as_it_says() -> None:
    for p in (0.1, 0.5, 0.97):
        covered = sum(
            math.comb(200, k) * p**k * (1 - p) ** (200 - k)
            for k in range(201)
            if wilson(k, 200)[0] <= p <= wilson(k, 200)[1]
        )
        assert 0.93 < covered < 0.98


@pytest.mark.parametrize(("successes", "count"), [(0, 0), (-1, 5), (6, 5)])
def test_wilson_refuses(successes: int, count: int) -> None:
    with pytest.raises(InvalidInput, match="wilson: needs"):
        wilson(successes, count)


@given(a=st.integers(0, 40), b=st.integers(0, 40))
def test_mcnemar_is_the_exact_sign_test(a: int, b: int) -> None:
    expected = 1.0 if a + b == 0 else binomtest(a, a + b, 0.5).pvalue
    assert math.isclose(mcnemar(a, b), expected, rel_tol=1e-9)
    assert mcnemar(a, b) == mcnemar(b, a)


def test_mcnemar_by_counting() -> None:
    outcomes = [sum(flips) for flips in product((0, 1), repeat=6)]
    as_far = sum(abs(heads - 3) >= 2 for heads in outcomes) / len(outcomes)
    assert math.isclose(mcnemar(1, 5), as_far)


def test_mcnemar_refuses() -> None:
    with pytest.raises(InvalidInput, match="counts must be >= 0, got -1 and 2"):
        mcnemar(-1, 2)


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_properties(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    assert all(a >= p for a, p in zip(adjusted, p_values, strict=True))
    assert all(
        a <= min(1, len(p_values) * p) + 1e-12 for a, p in zip(adjusted, p_values, strict=True)
    )
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    assert [adjusted[i] for i in order] == sorted(adjusted)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
