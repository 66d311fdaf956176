"""The scores of linear models, support vector machines and perceptrons in torch."""

from itertools import combinations
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from epsball.models.sklearn.features import Affine, linear_steps, split_pipeline

_TIE = 0.7  # more than two thirds, which confidences can make up, and less than a vote
_LINEAR = (
    "LogisticRegression",
    "LogisticRegressionCV",
    "LinearSVC",
    "SGDClassifier",
    "RidgeClassifier",
    "Perceptron",
    "LinearDiscriminantAnalysis",
)
_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "logistic": nn.Sigmoid,
    "identity": nn.Identity,
}


def smooth_scores(estimator: Any) -> nn.Module | None:  # noqa: ANN401 - untyped package
    """Return an estimator's scores as a torch module of rows (n, d); None where it has no gradient.

    The argmax is the estimator's own prediction.
    """
    steps, last = split_pipeline(estimator)
    before = linear_steps(steps, estimator.n_features_in_)
    if before is None:
        return None
    kind = type(last).__name__
    scores: nn.Module | None = None
    if kind in _LINEAR:
        scores = _linear(last)
    elif kind == "SVC" and last.kernel in ("linear", "rbf"):
        scores = MachineScores(last)
    elif kind == "MLPClassifier":
        scores = _perceptron(last)
    return None if scores is None else Scores(before, scores)


class Scores(nn.Module):
    """Scores behind the steps of a pipeline, in the dtype of the images."""

    def __init__(self, before: nn.Module, scores: nn.Module) -> None:
        super().__init__()
        self.before, self.scores = before, scores

    def forward(self, rows: Tensor) -> Tensor:
        """Return (n, k)."""
        scores: Tensor = self.scores(self.before(rows.double())).to(rows.dtype)
        return scores


def _linear(last: Any) -> nn.Module:  # noqa: ANN401 - untyped package
    weight, bias = np.atleast_2d(last.coef_), np.atleast_1d(last.intercept_)
    if len(weight) == 1:  # one score for two classes
        weight, bias = np.concatenate((-weight, weight)), np.concatenate((-bias, bias))
    return Affine(torch.from_numpy(weight), torch.from_numpy(bias))


def _perceptron(last: Any) -> nn.Module:  # noqa: ANN401 - untyped package
    layers: list[nn.Module] = []
    for weight, bias in zip(last.coefs_, last.intercepts_, strict=True):
        layers += [Affine(torch.from_numpy(weight.T), torch.from_numpy(bias))]
        layers += [_ACTIVATIONS[last.activation]()]
    layers.pop()  # the output is scored as it is
    if last.n_outputs_ == 1:
        layers.append(BothSides())
    return nn.Sequential(*layers)


class BothSides(nn.Module):
    """One score for two classes as two scores."""

    def forward(self, score: Tensor) -> Tensor:
        """Map (n, 1) to (n, 2)."""
        return torch.cat((-score, score), 1)


class MachineScores(nn.Module):
    """The scores of a support vector machine: votes of all pairs, and their confidences.

    Args:
        machine: a fitted `SVC` with kernel "linear" or "rbf".
    """

    vectors: Tensor
    duals: Tensor
    bias: Tensor

    def __init__(self, machine: Any) -> None:  # noqa: ANN401 - untyped package
        super().__init__()
        self.kernel, self.gamma = machine.kernel, float(machine._gamma)
        self.break_ties = bool(machine.break_ties)
        self.classes = len(machine.classes_)
        self.register_buffer("vectors", torch.from_numpy(machine.support_vectors_).double())
        duals = _dual_of_pairs(machine.dual_coef_, machine.n_support_)
        self.register_buffer("duals", torch.from_numpy(duals).double())
        self.register_buffer("bias", torch.from_numpy(machine.intercept_).double())

    def forward(self, rows: Tensor) -> Tensor:
        """Return (n, k)."""
        if self.kernel == "linear":
            similarity = rows @ self.vectors.T
        else:
            apart = rows.square().sum(1)[:, None] + self.vectors.square().sum(1)
            similarity = (-self.gamma * (apart - 2 * rows @ self.vectors.T).clamp_min(0)).exp()
        pairs = similarity @ self.duals.T + self.bias  # (n, pairs), positive: the first class
        if self.classes == 2:
            # the intercept of two classes has the sign of the second
            return torch.cat((-pairs, pairs), 1)
        confidence = torch.zeros_like(pairs[:, :1]).expand(-1, self.classes).clone()
        votes = torch.zeros_like(confidence)
        for number, (first, second) in enumerate(combinations(range(self.classes), 2)):
            confidence[:, first] += pairs[:, number]
            confidence[:, second] -= pairs[:, number]
            votes[:, first] += (pairs[:, number] > 0).to(votes)
            votes[:, second] += (pairs[:, number] <= 0).to(votes)
        if not self.break_ties:  # predict() takes the first of the classes with the most votes
            votes = votes + _TIE * one_hot(votes.argmax(1), self.classes)
        # below a third: it only decides between classes with as many votes
        return votes + confidence / (3 * (confidence.abs() + 1))


def _dual_of_pairs(dual: Any, counts: Any) -> Any:  # noqa: ANN401 - arrays
    """Spread libsvm's coefficients, (k - 1, vectors), over pairs of classes, (pairs, vectors)."""
    classes, ends = len(counts), np.concatenate(([0], np.cumsum(counts)))
    if classes == 2:
        return dual
    spread = np.zeros((classes * (classes - 1) // 2, dual.shape[1]))
    for number, (first, second) in enumerate(combinations(range(classes), 2)):
        one, other = slice(*ends[first : first + 2]), slice(*ends[second : second + 2])
        spread[number, one] = dual[second - 1, one]
        spread[number, other] = dual[first, other]
    return spread
