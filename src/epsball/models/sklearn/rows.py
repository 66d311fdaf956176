"""Images as the rows that an estimator was fitted on, to the last bit.

Thresholds of trees and of histogram boosting lie between grey levels that occur in the training
set, and often exactly on a third one. There float32(k / 255) and float64(k / 255), which differ by
1e-9, fall on different sides.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from epsball.models.sklearn.features import are_scalers, split_pipeline, transformed

_WHITE = 255
_DEPTH = 3  # of estimators inside estimators
_EXAMINED = 64  # thresholds


def as_rows(images: Tensor, dtype: DTypeLike) -> NDArray[Any]:
    """Flatten images, (n, d); in float64 a value k / 255 is the quotient in float64.

    Args:
        images: (n, c, h, w), float, in [0, 1] or scaled.
        dtype: float32 or float64, the type of the rows that the estimator was fitted on.
    """
    values = images.detach().flatten(1).cpu().numpy()
    if dtype == np.float32:
        return values.astype(np.float32)
    exact = np.rint(values.astype(np.float64) * _WHITE) / _WHITE
    on_grid = exact.astype(values.dtype) == values
    return np.where(on_grid, exact, values.astype(np.float64))


def fitted_dtype(estimator: Any) -> type[np.float32] | type[np.float64]:  # noqa: ANN401 - untyped package
    """Return the type of the rows that an estimator was fitted on, as far as that can be read off.

    Returns:
        float32 where a fitted array is of that type (scikit-learn keeps the type of its input), or
        where the thresholds of trees are means of two grey levels in float32 and not in float64;
        float64 otherwise, which is what images / 255 of numpy is.
    """
    if any(array.dtype == np.float32 for array in _arrays(estimator, _DEPTH)):
        return np.float32
    steps, last = split_pipeline(estimator)
    if not are_scalers(steps):
        return np.float64
    thresholds = list(islice(_thresholds(last), _EXAMINED))
    single, double = (_explained(thresholds, steps, kind) for kind in (np.float32, np.float64))
    return np.float32 if single > double else np.float64


def _arrays(estimator: Any, depth: int) -> Iterator[NDArray[Any]]:  # noqa: ANN401 - untyped package
    """Yield the fitted arrays of an estimator and of those inside it."""
    for value in vars(estimator).values() if hasattr(estimator, "__dict__") else ():
        for part in value if isinstance(value, list | tuple) else (value,):
            if isinstance(part, np.ndarray):
                yield part
            elif isinstance(part, tuple) and part and hasattr(part[-1], "get_params"):
                part = part[-1]  # (name, step)
            if depth and hasattr(part, "get_params"):
                yield from _arrays(part, depth - 1)


def _thresholds(last: Any) -> Iterator[tuple[int, float, bool]]:  # noqa: ANN401 - untyped package
    """Yield (feature, threshold, whether values are rounded to float32 before)."""
    tree = getattr(last, "tree_", None)
    if tree is not None:
        for feature, threshold in zip(tree.feature, tree.threshold, strict=True):
            if feature >= 0:
                yield int(feature), float(threshold), True
    for predictors in getattr(last, "_predictors", ()):
        nodes = predictors[0].nodes
        for node in nodes[nodes["is_leaf"] == 0]:
            yield int(node["feature_idx"]), float(node["num_threshold"]), False
    inner = getattr(last, "estimators_", None)
    for one in np.ravel(np.asarray(inner, dtype=object)) if inner is not None else ():
        if not hasattr(last, "estimators_features_"):
            yield from _thresholds(one)


def _explained(
    thresholds: list[tuple[int, float, bool]], steps: list[Any], dtype: type[np.floating[Any]]
) -> int:
    """Count the thresholds that are means of two grey levels, scaled in a type."""
    if not thresholds:
        return 0
    width = steps[0].n_features_in_ if steps else max(one[0] for one in thresholds) + 1
    levels = np.arange(_WHITE + 1).astype(dtype)
    levels = np.concatenate((levels / dtype(_WHITE), levels))
    values = np.asarray(transformed(steps, np.repeat(levels[:, None], width, axis=1)))
    hits = 0
    for feature, threshold, rounded in thresholds:
        own = values[:, feature]
        own = (own.astype(np.float32) if rounded else own).astype(np.float64)
        hits += bool(((own[:, None] + own) / 2 == threshold).any())
    return hits
