"""A logistic fit, risk-coverage and calibration of confidences. Imports no torch."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_MOST = 50.0  # a steeper slope than this is a separation of the images, no fit
_BINS = 10
_COVERAGES = 20


@dataclass(frozen=True)
class Fit:
    """A logistic regression of "fooled" on the clean confidence.

    Args:
        slope: change of the log-odds for a confidence that is higher by 1.
        slope_error: its standard error.
        x: (m,), confidences.
        y: (m,), probability of being fooled.
        low: (m,), lower end of the 95 % band.
        high: (m,), upper end.
        images: how many were fitted.
    """

    slope: float
    slope_error: float
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    images: int


def logistic(confidence: NDArray[np.float64], fooled: NDArray[np.bool_]) -> Fit | None:
    """Fit how the chance of being fooled depends on the clean confidence.

    Args:
        confidence: (n,), in [0, 1].
        fooled: (n,), bool.

    Returns:
        The fit; None where no image or every image is fooled, or confidence separates the two.

    Source: maximum likelihood; the band is the delta method's, from the inverse of the Fisher
        information.
    """
    from sklearn.linear_model import LogisticRegression

    if fooled.all() or not fooled.any():
        return None
    design = np.column_stack([np.ones_like(confidence), confidence])
    model = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000).fit(design[:, 1:], fooled)
    weights = np.array([model.intercept_[0], model.coef_[0, 0]])
    chance = _sigmoid(design @ weights)
    information = design.T @ (design * (chance * (1 - chance))[:, None])
    if abs(weights[1]) > _MOST or np.linalg.cond(information) > 1 / np.finfo(float).eps:
        return None
    covariance = np.linalg.inv(information)
    x = np.linspace(confidence.min(), confidence.max(), 25)
    at = np.column_stack([np.ones_like(x), x])
    centre, half = at @ weights, 1.96 * np.sqrt(np.einsum("ij,jk,ik->i", at, covariance, at))
    return Fit(
        slope=float(weights[1]),
        slope_error=float(np.sqrt(covariance[1, 1])),
        x=x,
        y=_sigmoid(centre),
        low=_sigmoid(centre - half),
        high=_sigmoid(centre + half),
        images=len(confidence),
    )


def risk_coverage(
    confidence: NDArray[np.float64], wrong: NDArray[np.bool_]
) -> tuple[list[tuple[float, float]], float]:
    """Return the error among the images of which the model is most certain.

    Args:
        confidence: (n,), in [0, 1].
        wrong: (n,), bool.

    Returns:
        Pairs of coverage and risk, and the area under the curve (the mean risk over all coverages).

    Example:
        >>> curve, area = risk_coverage(np.array([0.9, 0.8]), np.array([False, True]))
        >>> curve[-1], area
        ((1.0, 0.5), 0.25)

    Source: Geifman and El-Yaniv 2017, arXiv:1705.08500.
    """
    ordered = wrong[np.argsort(-confidence, kind="stable")]
    risks = np.cumsum(ordered) / np.arange(1, len(wrong) + 1)
    counts = np.unique(np.ceil(np.linspace(0.05, 1, _COVERAGES) * len(wrong)).astype(int)) - 1
    return [(float((i + 1) / len(wrong)), float(risks[i])) for i in counts], float(risks.mean())


def calibration(
    confidence: NDArray[np.float64], right: NDArray[np.bool_]
) -> tuple[list[tuple[float, float, int]], float]:
    """Compare confidence and accuracy in ten bins of equal width.

    Args:
        confidence: (n,), in [0, 1].
        right: (n,), bool.

    Returns:
        Mean confidence, accuracy and number of images of each bin that holds any; and the expected
        calibration error.

    Example:
        >>> calibration(np.array([0.75, 0.75]), np.array([True, False]))
        ([(0.75, 0.5, 2)], 0.25)

    Source: Guo et al. 2017, arXiv:1706.04599.
    """
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    filled = []
    for number in np.unique(bins):
        inside = bins == number
        filled.append(
            (float(confidence[inside].mean()), float(right[inside].mean()), int(inside.sum()))
        )
    gap = sum(
        count * abs(mean_confidence - accuracy) for mean_confidence, accuracy, count in filled
    )
    return filled, gap / len(confidence)


def _sigmoid(value: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-value)))
