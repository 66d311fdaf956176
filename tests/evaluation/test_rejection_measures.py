"""Measures of rejection: against scikit-learn, by hand, and what their intervals cover."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from epsball.defences.false_rejection import threshold_for
from epsball.errors import InvalidInput
from epsball.evaluation.metrics.acceptance import (
    auroc,
    auroc_interval,
    rates_at,
    risk_curve,
)
from epsball.evaluation.metrics.rejection import rejections
from epsball.evaluation.records.schema import SCHEMA

levels = st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=12)


@given(clean=levels, attacked=levels)
def test_auroc_is_that_of_scikit_learn_ties_included(
    clean: list[float], attacked: list[float]
) -> None:
    truth = [1] * len(clean) + [0] * len(attacked)
    assert auroc(clean, attacked) == pytest.approx(roc_auc_score(truth, clean + attacked))


@pytest.mark.parametrize("shift", [0.0, 1.0, 2.5])
def test_the_interval_covers_the_truth(shift: float) -> None:
    from scipy.stats import norm

    truth, draw = float(norm.cdf(shift / np.sqrt(2))), np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        area = auroc(draw.normal(shift, 1, 40), draw.normal(0, 1, 50))
        low, high = auroc_interval(area, 40, 50)
        covered += low <= truth <= high
    assert 0.92 <= covered / 300 <= 0.99


@given(area=st.floats(0, 1), n=st.integers(1, 500), m=st.integers(1, 500))
def test_the_interval_holds_its_area(area: float, n: int, m: int) -> None:
    low, high = auroc_interval(area, n, m)
    assert 0 <= low <= area <= high <= 1
    mirrored = auroc_interval(1 - area, n, m)
    assert (1 - high, 1 - low) == pytest.approx(mirrored, abs=1e-6)


def test_images_that_share_an_infinite_score_come_in_together() -> None:
    for right in ([True, False, True, True], [False, True, True, True]):
        curve = risk_curve([np.inf, np.inf, 1.0, -np.inf], right)
        assert curve.coverage.tolist() == [0.5, 0.75, 1.0]
        assert curve.risk.round(4).tolist() == [0.5, 0.3333, 0.25]


def test_risk_curve_by_hand() -> None:
    curve = risk_curve([3.0, 2.0, 2.0, 1.0], [True, False, True, False])
    assert curve.threshold.tolist() == [3, 2, 1]
    assert curve.coverage.tolist() == [0.25, 0.75, 1]
    assert curve.risk == pytest.approx([0, 1 / 3, 1 / 2])
    assert curve.area == pytest.approx(0 * 0.25 + 1 / 3 * 0.5 + 1 / 2 * 0.25)
    assert (curve.low <= curve.risk).all()
    assert (curve.risk <= curve.high).all()


@given(seed=st.integers(0, 50), count=st.integers(1, 60))
def test_no_order_is_better_than_right_ones_first(seed: int, count: int) -> None:
    draw = np.random.default_rng(seed)
    right = draw.random(count) < 0.7
    best = risk_curve(right + 0.5 * draw.random(count), right).area
    assert best <= risk_curve(draw.random(count), right).area + 1e-12
    assert risk_curve(np.zeros(count), right).area == pytest.approx(1 - right.mean())


@given(
    seed=st.integers(0, 50), count=st.integers(1, 200), share=st.sampled_from([0, 0.01, 0.05, 0.1])
)
def test_a_threshold_rejects_no_more_than_its_share(seed: int, count: int, share: float) -> None:
    scores = np.random.default_rng(seed).normal(size=count)
    rejected = int((scores < threshold_for(scores, share)).sum())
    assert rejected == int(share * count + 1e-9)


def test_ties_reject_fewer() -> None:
    assert threshold_for([1.0, 1.0, 1.0, 2.0], 0.5) == 1.0
    assert rates_at(1.0, [1.0, 1.0, 1.0, 2.0], [True] * 4)["rejected"] == 0


def test_rates_add_up() -> None:
    draw = np.random.default_rng(1)
    scores, right = draw.normal(size=200), draw.random(200) < 0.6
    result = rates_at(0.3, scores, right)
    assert result["safe"] == pytest.approx(result["accuracy"] + result["rejected"])
    accepted = 1 - result["rejected"]
    assert result["accuracy"] == pytest.approx(result["accepted_accuracy"] * accepted)
    assert result["rejected_ci"][0] < result["rejected"] < result["rejected_ci"][1]
    none = rates_at(np.inf, scores, right)
    assert none["accepted_accuracy"] is None
    assert none["safe"] == 1


def test_rejections_need_what_they_need() -> None:
    assert rejections(pl.DataFrame(schema=SCHEMA)) == []
    columns = {
        "variant": ["pgd"] * 4,
        "norm": ["l2"] * 4,
        "eps": [1.0] * 4,
        "label": [0, 0, 1, 1],
        "clean_top5": [[0], [0], [1], [0]],
        "top5": [[0], [1], [1], [0]],
        "clean_acceptance": [2.0, 1.0, 0.5, -1.0],
        "acceptance": [1.0, 3.0, -1.0, -2.0],
    }
    schema = {name: SCHEMA[name] for name in columns}
    (result,) = rejections(pl.DataFrame(columns, schema=schema), [0.4])
    assert result["n"] == 3  # the last is of another class before the attack
    assert result["auroc"] == pytest.approx((2 + 1 + 1) / 9 + 0.5 / 9)
    (at,) = result["at"]
    assert at["threshold"] == 1.0
    assert (at["clean_accuracy"], at["clean_rejected"]) == (0.5, 0.5)
    assert (at["safe"], at["rejected"], at["accepted_accuracy"]) == (0.75, 0.5, 0.5)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: auroc([], [1.0]), "at least one"),
        (lambda: auroc([1.0], [float("nan")]), "got NaN"),
        (lambda: auroc_interval(1.5, 3, 3), "an area in"),
        (lambda: auroc_interval(0.5, 0, 3), "samples of 1 or more"),
        (lambda: risk_curve([1.0, 2.0], [True]), "one length, got 2 and 1"),
        (lambda: threshold_for([1.0], 1.0), "in \\[0, 1\\), got 1.0"),
        (lambda: rates_at(0.0, [[1.0]], [True]), "got shape"),
    ],
)
def test_bad_input(call: object, says: str) -> None:
    assert callable(call)
    with pytest.raises(InvalidInput, match=says):
        call()
