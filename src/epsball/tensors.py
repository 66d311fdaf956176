"""Shapes of the tensors that cross borders. Checked by beartype in tests, free at run time."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

from jaxtyping import Float, Int64
from torch import Tensor

Images: TypeAlias = Float[Tensor, "n c h w"]  # in [0, 1]
Labels: TypeAlias = Int64[Tensor, " n"]
Logits: TypeAlias = Float[Tensor, "n k"]
Values: TypeAlias = Float[Tensor, " n"]
# (n, k) scores and (n,) classes to (n,) values; an untargeted attack climbs them
Objective: TypeAlias = Callable[[Tensor, Tensor], Tensor]


@runtime_checkable
class Classifier(Protocol):
    """Anything that maps images (n, c, h, w) in [0, 1] to scores (n, k)."""

    def __call__(self, inputs: Tensor, /) -> Tensor:
        """Return scores, one row an image."""
        ...


@runtime_checkable
class RowScorer(Protocol):
    """A classifier that counts its passes for each row of the batch under attack."""

    def score_rows(self, inputs: Tensor, rows: Tensor, /) -> Tensor:
        """Return the scores of inputs (m, c, h, w), which belong to rows (m,) of the batch."""
        ...


@dataclass(frozen=True)
class Boxes:
    """A classifier that is constant in boxes of grey levels, as a decision tree is.

    Args:
        low: (m, d), int64; the lowest level of each value inside a box.
        high: (m, d), int64; the highest.
        labels: (m,), int64; the class of each box.
        levels: (l,), float32, rising; the values of the levels in [0, 1].
    """

    low: Tensor
    high: Tensor
    labels: Tensor
    levels: Tensor
