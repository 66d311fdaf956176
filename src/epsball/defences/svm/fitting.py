"""Fitting an RBF-SVM: one kernel matrix for all machines, all folds and the whole grid."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from epsball.defences.svm.kernel_source import kernel_source
from epsball.defences.svm.platt import Sigmoid, fit_sigmoid
from epsball.defences.svm.rows import Scaling, check_rows, scaling_of, stratified_folds
from epsball.defences.svm.settings import SvmSettings
from epsball.defences.svm.solvers import Machine, cross_validated, decision, fit_all


@dataclass(frozen=True)
class Learned:
    """All that fitting finds out.

    Args:
        scaling: of the features.
        gamma: of the kernel.
        c: the penalty.
        machines: k, one against the rest.
        sigmoids: k, fitted on values of machines that had not seen the rows.
        out_of_fold: (n, k), float64, log-odds of each row by machines that had not seen it.
        in_sample: (n, k), float64, log-odds of each row by the machines themselves.
        searched: the points of the grid, {gamma, c, accuracy}; empty where there was none.
    """

    scaling: Scaling
    gamma: float
    c: float
    machines: list[Machine]
    sigmoids: list[Sigmoid]
    out_of_fold: Tensor
    in_sample: Tensor
    searched: list[dict[str, float]]


@dataclass(frozen=True)
class _Point:
    """A point of the grid, its accuracy, and the decision values (n, k) of its folds."""

    gamma: float
    c: float
    accuracy: float
    values: Tensor

    def as_dict(self) -> dict[str, float]:
        return {"gamma": self.gamma, "c": self.c, "accuracy": self.accuracy}


def fit_machines(features: Tensor, labels: Tensor, settings: SvmSettings, name: str) -> Learned:
    """Fit one machine a class, Platt's sigmoids on folds, and a grid search where one is asked for.

    The folds of the best point of the grid serve the sigmoids too: nothing is fitted twice.

    Args:
        features: (n, d), float32 or float64, on the CPU.
        labels: (n,), int64, all of 0 to k - 1.
        settings: gamma, c, grid, folds ...
        name: what the features are, for messages: "layer 'layer5'".

    Returns:
        What was learned.

    Raises:
        InvalidInput: features or labels cannot be learned from, or do not fit into memory.
    """
    check_rows(features, labels, name)
    classes = labels.numpy()
    folds = stratified_folds(classes, settings.folds, name)
    scaling = scaling_of(features, standardise=settings.standardise)
    gammas = [scaling.gamma(one) for one in settings.gammas]
    source = kernel_source(scaling(features), settings, name)
    points = []
    for gamma in gammas:
        solver = source.at(gamma)
        for c in settings.penalties:
            values = cross_validated(solver, classes, folds, c, settings.tolerance)
            accuracy = float(np.mean(values.argmax(1).numpy() == classes))
            points.append(_Point(gamma, c, accuracy, values))
    best = max(points, key=lambda point: point.accuracy)  # of equals the first
    solver = source.at(best.gamma)
    machines = fit_all(solver, classes, best.c, settings.tolerance)
    sigmoids = [fit_sigmoid(f, classes == one) for one, f in enumerate(best.values.T.numpy())]
    decisions = decision(solver, machines, np.arange(len(classes)))
    return Learned(
        scaling=scaling,
        gamma=best.gamma,
        c=best.c,
        machines=machines,
        sigmoids=sigmoids,
        out_of_fold=log_odds(best.values, sigmoids),
        in_sample=log_odds(decisions, sigmoids),
        searched=[point.as_dict() for point in points] if settings.search else [],
    )


def log_odds(values: Tensor, sigmoids: list[Sigmoid]) -> Tensor:
    """Return -(A f + B) for decision values (n, k): log(p / (1 - p)), which does not saturate."""
    curves = torch.tensor(sigmoids, dtype=values.dtype)  # (k, 2)
    return -(curves[:, 0] * values + curves[:, 1])
