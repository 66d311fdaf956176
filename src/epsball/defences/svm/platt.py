"""Platt's sigmoid: from a machine's decision value to a probability."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_STEPS = 100
_SHORTEST = 1e-10  # of a Newton step that still goes down
_RIDGE = 1e-12  # keeps the Hessian invertible
_FLAT = 1e-5  # of the gradient, where the search ends
_ENOUGH = 1e-4  # share of the promised descent a step has to bring


class Sigmoid(NamedTuple):
    """P(positive | f) = 1 / (1 + exp(slope * f + offset)); the slope is usually below 0."""

    slope: float
    offset: float


def fit_sigmoid(values: NDArray[np.float64], positive: NDArray[np.bool_]) -> Sigmoid:
    """Fit the probability that a decision value belongs to the positive class.

    Args:
        values: (n,), decision values of images that the machine has not seen.
        positive: (n,), whether each of them is of the class.

    Returns:
        The sigmoid of the greatest likelihood under Platt's targets, (n+ + 1) / (n+ + 2) and
        1 / (n- + 2), which keep it finite where the classes are apart.

    Source: Platt 1999, Probabilistic outputs for support vector machines; Newton's method with
        backtracking after Lin, Lin and Weng 2007, A note on Platt's probabilistic outputs for
        support vector machines, algorithm 1.

    Example:
        >>> sigmoid = fit_sigmoid(np.array([-1.0, -0.5, 0.5, 1.0]), np.array([0, 0, 1, 1]) > 0)
        >>> sigmoid.slope < 0, abs(sigmoid.offset) < 1e-9
        (True, True)
    """
    many, few = int(positive.sum()), int((~positive).sum())
    wanted = np.where(positive, (many + 1) / (many + 2), 1 / (few + 2))
    point = np.array([0.0, np.log((few + 1) / (many + 1))])
    loss = _loss(values, wanted, point)
    for _ in range(_STEPS):
        gradient, hessian = _derivatives(values, wanted, point)
        if np.abs(gradient).max() < _FLAT:
            break
        step = -np.linalg.solve(hessian, gradient)
        length = 1.0
        while length >= _SHORTEST:
            tried = point + length * step
            lower = _loss(values, wanted, tried)
            if lower < loss + _ENOUGH * length * float(gradient @ step):
                point, loss = tried, lower
                break
            length /= 2
        else:
            break  # as low as rounding allows
    return Sigmoid(float(point[0]), float(point[1]))


def _loss(
    values: NDArray[np.float64], wanted: NDArray[np.float64], point: NDArray[np.float64]
) -> float:
    """Return the cross-entropy, in the form that does not overflow."""
    odds_against = values * point[0] + point[1]  # log((1 - p) / p)
    return float((wanted * odds_against + np.logaddexp(0, -odds_against)).sum())


def _derivatives(
    values: NDArray[np.float64], wanted: NDArray[np.float64], point: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    odds_against = values * point[0] + point[1]
    share = np.exp(-np.logaddexp(0, odds_against))  # p
    weight = share * np.exp(-np.logaddexp(0, -odds_against))  # p (1 - p)
    off = wanted - share
    gradient = np.array([(off * values).sum(), off.sum()])
    cross = (weight * values).sum()
    hessian = np.array([[(weight * values * values).sum(), cross], [cross, weight.sum()]])
    return gradient, hessian + _RIDGE * np.eye(2)
