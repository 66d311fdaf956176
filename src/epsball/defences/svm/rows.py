"""Features before they are learned from: what is refused, how they are scaled and cut to folds."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from epsball.defences.svm.settings import Gamma
from epsball.errors import InvalidInput

_SEED = 0  # of the folds: a layer's SVM and the combiner above it must cut alike


@dataclass(frozen=True)
class Scaling:
    """rows = (features - shift) * weight.

    Args:
        shift: (d,), the mean of the features. A kernel of differences does not see it, but rounding
            does: centred, |x|^2 + |y|^2 - 2 xy does not cancel.
        weight: (d,); ones, or one over the standard deviation. 0 leaves a feature out.
        variance: of all numbers of the scaled features together.
    """

    shift: Tensor
    weight: Tensor
    variance: float

    def __call__(self, features: Tensor) -> Tensor:
        """Return the scaled rows, (n, d)."""
        rows = features - self.shift
        return rows.mul_(self.weight)

    def gamma(self, gamma: Gamma) -> float:
        """Return gamma as a number; "scale" is scikit-learn's 1 / (d * variance)."""
        return 1 / (len(self.shift) * self.variance) if gamma == "scale" else float(gamma)


def check_rows(features: Tensor, labels: Tensor, name: str) -> None:
    """Refuse features no machine can be fitted on.

    Args:
        features: (n, d), float.
        labels: (n,), int64.
        name: what the features are, for the message: "layer 'layer5'".

    Raises:
        InvalidInput: another shape or dtype; NaN or infinite; the same for all images.
    """
    if features.dim() != 2 or not features.is_floating_point():
        raise InvalidInput(
            f"{name}: features must be float (n, d), got {features.dtype} of shape "
            f"{tuple(features.shape)}; flatten each image's"
        )
    if labels.dim() != 1 or len(labels) != len(features) or labels.is_floating_point():
        raise InvalidInput(
            f"{name}: labels must be integers, one for each of the {len(features)} rows, got "
            f"{labels.dtype} of shape {tuple(labels.shape)}"
        )
    broken = ~torch.stack([part.isfinite().all() for part in features])
    if bool(broken.any()):
        raise InvalidInput(
            f"{name}: features must be finite, got NaN or infinity in {int(broken.sum())} of "
            f"{len(features)} rows, first in row {int(broken.nonzero()[0])}; look at the images "
            "there, or choose another layer"
        )
    if bool((features.amax(0) == features.amin(0)).all()):
        raise InvalidInput(
            f"{name}: at least one feature must vary, got {features.shape[1]} that are the same in "
            f"all {len(features)} rows; choose another layer, or, where these are the inputs of "
            "the combiner, set combiner_gamma='scale'"
        )


def scaling_of(features: Tensor, *, standardise: bool) -> Scaling:
    """Measure mean and, if asked for, standard deviation of each feature.

    A feature that never varies has no standard deviation: under `standardise` it is left out.

    Args:
        features: (n, d), float, finite, not all constant.
        standardise: whether every feature gets variance 1.
    """
    mean = features.mean(0, dtype=torch.float64)
    shift = mean.to(features.dtype)
    spread = torch.linalg.vector_norm(features - shift, dim=0, dtype=torch.float64)
    spread = spread / len(features) ** 0.5
    if not standardise:
        # of all numbers together, as scikit-learn takes it: within and between the features
        variance = float(spread.square().mean() + (mean - mean.mean()).square().mean())
        return Scaling(shift, torch.ones_like(shift), variance)
    varies = features.amax(0) > features.amin(0)
    weight = torch.where(varies, 1 / spread, 0).to(features.dtype)
    return Scaling(shift, weight, float(varies.double().mean()))


def stratified_folds(labels: NDArray[np.int64], count: int, name: str) -> NDArray[np.int64]:
    """Deal the rows of each class out to folds, always in the same way for the same labels.

    Args:
        labels: (n,), from 0 to k - 1.
        count: of folds.
        name: whose labels they are, for the message.

    Returns:
        (n,), the number of each row's fold, from 0 to count - 1; every class is in every fold.

    Raises:
        InvalidInput: there are fewer than two classes, or a class has fewer rows than there are
            folds.

    Example:
        >>> folds = stratified_folds(np.array([0, 0, 1, 1]), 2, "features")
        >>> sorted(folds[:2].tolist()), sorted(folds[2:].tolist())
        ([0, 1], [0, 1])
    """
    from sklearn.model_selection import StratifiedKFold

    counts = np.bincount(labels, minlength=2)
    if counts.min() < count:
        raise InvalidInput(
            f"{name}: each class needs {count} images or more, one a fold, got "
            f"{int(counts.min())} of class {int(counts.argmin())}; give more of it"
        )
    folds = np.empty(len(labels), dtype=np.int64)
    dealt = StratifiedKFold(count, shuffle=True, random_state=_SEED).split(labels, labels)
    for number, (_, held_out) in enumerate(dealt):
        folds[held_out] = number
    return folds
