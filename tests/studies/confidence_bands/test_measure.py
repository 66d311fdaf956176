import numpy as np
import pytest

from epsball.studies.confidence_bands.statistics import calibration, logistic, risk_coverage


def test_the_logistic_fit_finds_a_known_slope() -> None:
    rng = np.random.default_rng(0)
    sure = rng.uniform(size=20_000)
    fooled = rng.uniform(size=20_000) < 1 / (1 + np.exp(-(1 - 3 * sure)))
    fit = logistic(sure, fooled)
    assert fit is not None
    assert abs(fit.slope + 3) < 3 * fit.slope_error < 0.3
    truth = 1 / (1 + np.exp(-(1 - 3 * fit.x)))
    assert ((fit.low <= truth) & (truth <= fit.high)).mean() > 0.8
    assert (fit.high - fit.low).max() < 0.05


@pytest.mark.parametrize("fooled", [[True] * 4, [False] * 4, [True, True, False, False]])
def test_without_a_finite_fit_there_is_none(fooled: list[bool]) -> None:
    assert logistic(np.array([0.1, 0.2, 0.8, 0.9]), np.array(fooled)) is None


def test_risk_coverage_of_a_perfect_and_a_useless_order() -> None:
    wrong = np.array([False] * 50 + [True] * 50)
    falling = np.linspace(1, 0, 100)
    curve, area = risk_coverage(falling, wrong)
    assert dict(curve)[0.5] == 0
    assert dict(curve)[1.0] == 0.5
    assert area < risk_coverage(1 - falling, wrong)[1]


def test_calibration_weighs_bins_by_their_images() -> None:
    sure = np.array([0.95] * 3 + [0.55])
    bins, gap = calibration(sure, np.array([True, True, True, False]))
    assert [count for _, _, count in bins] == [1, 3]
    assert gap == pytest.approx((1 * 0.55 + 3 * 0.05) / 4)
