"""Platt's sigmoid: from a decision value of an SVM to a probability."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_ROUNDING = 1e-13  # a spread below this share of the mean is rounding


class Sigmoid(NamedTuple):
    """P(positive | f) = 1 / (1 + exp(slope * f + offset)); the slope is usually below 0."""

    slope: float
    offset: float


def fit_sigmoid(values: NDArray[np.float64], positive: NDArray[np.bool_]) -> Sigmoid:
    """Fit the probability that a decision value belongs to the positive class.

    Args:
        values: (n,), decision values of images that the machine was not fitted on.
        positive: (n,), whether each of them is of the class.

    Returns:
        The sigmoid of the greatest likelihood under Platt's targets, (n+ + 1) / (n+ + 2) and
        1 / (n- + 2), which keep it finite where the classes are separable.

    Source: Platt 1999, Probabilistic outputs for support vector machines. Soft targets are fitted
        as a logistic regression on doubled rows with the targets as weights.

    Example:
        >>> sigmoid = fit_sigmoid(np.array([-1.0, -0.5, 0.5, 1.0]), np.array([0, 0, 1, 1]) > 0)
        >>> sigmoid.slope < 0, abs(sigmoid.offset) < 1e-9
        (True, True)
    """
    from sklearn.linear_model import LogisticRegression

    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    targets = np.where(positive, (n_positive + 1) / (n_positive + 2), 1 / (n_negative + 2))
    centre, scale = float(values.mean()), float(values.std())
    if scale <= _ROUNDING * abs(
        centre
    ):  # constant values carry no information: the mean of the targets is best
        mean = float(targets.mean())
        return Sigmoid(0.0, float(np.log1p(-mean) - np.log(mean)))
    doubled = np.tile(((values - centre) / scale)[:, None], (2, 1))
    answers = np.repeat([1, 0], len(values))
    weights = np.concatenate((targets, 1 - targets))
    model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-8, max_iter=200)
    model.fit(doubled, answers, sample_weight=weights)
    slope = -float(model.coef_[0, 0]) / scale
    return Sigmoid(slope, -float(model.intercept_[0]) - slope * centre)
