"""The leaves of a decision tree as boxes of grey levels."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from epsball.models.sklearn.features import are_scalers, transformed
from epsball.tensors import Boxes


def tree_boxes(
    last: Any,  # noqa: ANN401 - untyped package
    scalers: list[Any],
    grid: NDArray[Any],
    levels: Tensor,
) -> Boxes | None:
    """Return the boxes of a fitted `DecisionTreeClassifier`; None for another estimator.

    Thresholds are compared with the grey levels themselves, as the tree compares them: 47 % of the
    thresholds of a tree on MNIST lie exactly on a grey level, where a rounded bound would decide
    wrongly.

    Args:
        last: the estimator.
        scalers: the steps before it; None is returned unless each works on single features.
        grid: (levels, d), rising values of every feature, before the scalers, in the type of the
            rows that the estimator was fitted on.
        levels: (levels,), the same levels as values of images, in [0, 1].
    """
    if type(last).__name__ != "DecisionTreeClassifier" or not are_scalers(scalers):
        return None
    values = np.asarray(transformed(scalers, grid)).astype(np.float32)
    tree = last.tree_
    top = len(grid) - 1
    low = np.zeros((tree.node_count, grid.shape[1]), np.int16)
    high = np.full((tree.node_count, grid.shape[1]), top, np.int16)
    for node in range(tree.node_count):  # parents come before their children
        left, right = tree.children_left[node], tree.children_right[node]
        if left < 0:
            continue
        feature, threshold = tree.feature[node], tree.threshold[node]
        # levels 0 to below - 1 go left: value <= threshold
        below = int(np.searchsorted(values[:, feature].astype(np.float64), threshold, side="right"))
        for child in (left, right):
            low[child], high[child] = low[node], high[node]
        high[left, feature] = min(high[node, feature], below - 1)
        low[right, feature] = max(low[node, feature], below)
    leaves = (tree.children_left < 0) & (low <= high).all(1)
    labels = tree.value[leaves, 0].argmax(1)
    return Boxes(
        low=torch.from_numpy(low[leaves].astype(np.int64)),
        high=torch.from_numpy(high[leaves].astype(np.int64)),
        labels=torch.from_numpy(labels.astype(np.int64)),
        levels=levels,
    )
