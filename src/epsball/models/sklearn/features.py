"""The steps of a pipeline before its classifier."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

# each works on single features, and keeps the order of their values
SCALERS = ("StandardScaler", "MinMaxScaler", "MaxAbsScaler", "RobustScaler")


def split_pipeline(estimator: Any) -> tuple[list[Any], Any]:  # noqa: ANN401 - untyped package
    """Return the steps before the classifier, and the classifier itself."""
    steps = getattr(estimator, "steps", None)
    if steps is None:
        return [], estimator
    parts = [step for _, step in steps if step not in (None, "passthrough")]
    return parts[:-1], parts[-1]


def transformed(steps: list[Any], rows: NDArray[Any]) -> NDArray[Any]:
    """Send rows through the steps."""
    for step in steps:
        rows = step.transform(rows)
    return rows


def are_scalers(steps: list[Any]) -> bool:
    """Say whether every step scales single features."""
    return all(
        type(step).__name__ in SCALERS and not getattr(step, "clip", False) for step in steps
    )


def linear_steps(steps: list[Any], features: int) -> nn.Module | None:
    """Return steps that are affine maps as one linear layer; None where one is none.

    Args:
        steps: of a pipeline.
        features: how many go in.
    """
    if not all(
        type(s).__name__ in (*SCALERS, "PCA") and not getattr(s, "clip", False) for s in steps
    ):
        return None
    if not steps:
        return nn.Identity()
    # an affine map is what it does to the origin and to the unit vectors
    origin = transformed(steps, np.zeros((1, features)))
    weight = transformed(steps, np.eye(features)) - origin
    return Affine(torch.from_numpy(weight.T), torch.from_numpy(origin[0]))


class Affine(nn.Module):
    """weight x + bias, computed in float64: an estimator does."""

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight.double().contiguous())
        self.register_buffer("bias", bias.double().contiguous())

    def forward(self, rows: Tensor) -> Tensor:
        """Map (n, d) to (n, m)."""
        return rows.double() @ self.weight.T + self.bias
