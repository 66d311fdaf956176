"""Asking a model about some rows of a batch, so that what each row costs can be counted."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from epsball.errors import BrokenContract, InvalidInput
from epsball.tensors import Classifier
from epsball.types import ModelInfo, Search

_PAIR = 2  # the fewest classes of which one can be wrong


def read(model: Classifier, points: Tensor, rows: Tensor, micro_batch: int | None = None) -> Tensor:
    """Return the scores (m, k) of points, without gradient, in batches of a size."""
    with torch.no_grad():
        parts = cut(len(points), micro_batch)
        return torch.cat([scores(model, points[part], rows[part]) for part in parts])


def all_rows(batch: Tensor) -> Tensor:
    """Return the numbers of a batch's rows, (n,)."""
    return torch.arange(len(batch), device=batch.device)


def cut(count: int, size: int | None) -> Iterator[slice]:
    """Yield slices of a size that cover a count, the last one smaller."""
    size = size or max(1, count)
    for at in range(0, count, size):
        yield slice(at, min(at + size, count))


@dataclass(frozen=True)
class Part:
    """A classifier that is asked about some rows of a batch, and says which, for the counting.

    Args:
        model: the classifier of the whole batch.
        whole: (m,), the rows of the batch that are rows 0 to m - 1 here.
    """

    model: Classifier
    whole: Tensor
    told: list[bool] = field(default_factory=list, repr=False)

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return the model's scores; unless told otherwise they are about all rows, in order."""
        if not self.told and len(inputs) == len(self.whole):
            tell(self.model, self.whole)
        self.told.clear()
        return self.model(inputs)

    @property
    def info(self) -> Any:  # noqa: ANN401 - a ModelInfo, where the model has one
        """Return what is known of the model."""
        return getattr(self.model, "info", None)

    def relaxed(self) -> "Part | None":
        """Return the model's differentiable stand-in for itself, if it has one."""
        held = relaxed_of(self.model)
        return None if held is None else Part(held, self.whole)

    def about(self, rows: Tensor) -> None:
        """Pass on which rows the next question is about."""
        self.told.append(True)
        tell(self.model, self.whole[rows])


def search_part(search: Search | None, whole: Tensor) -> Search | None:
    """Return the search of some rows of a batch."""
    if search is None or search.confirm is None:
        return search
    return replace(search, confirm=Part(search.confirm, whole))


def relaxed_of(model: Classifier) -> Classifier | None:
    """Return a differentiable stand-in for a model that hides its gradients, where it has one.

    A model says so by a method `relaxed()`.
    """
    relaxed = getattr(model, "relaxed", None)
    held: Classifier | None = relaxed() if callable(relaxed) else None
    return held


def tell(model: Classifier, rows: Tensor) -> None:
    """Say which rows of the batch the next question is about, to a model that counts them."""
    about = getattr(model, "about", None)
    if about is not None:
        about(rows)


def scores(model: Classifier, points: Tensor, rows: Tensor | None = None) -> Tensor:
    """Ask the model, and check that it answers with one row of scores an image.

    Args:
        model: the classifier.
        points: (m, c, h, w).
        rows: (m,), int64, the rows of the attack's batch that the points belong to; None: points
            are the whole batch, in order. It makes the counts of a row right.

    Returns:
        (m, k).

    Raises:
        BrokenContract: the model answers otherwise.
    """
    if rows is not None:
        tell(model, rows)
    logits = model(points)
    if logits.dim() != 2 or len(logits) != len(points):
        raise BrokenContract(
            f"the model must return scores (n, k), got {tuple(logits.shape)} "
            f"for images {tuple(points.shape)}"
        )
    if logits.shape[1] < _PAIR:
        raise InvalidInput(
            f"an attack needs a model of two classes or more, got {logits.shape[1]} score a "
            "image; give one score for each class"
        )
    return logits


def input_gradient(value: Tensor, point: Tensor) -> Tensor:
    """Return the gradient of each row's value with respect to that row's image.

    Raises:
        InvalidInput: no gradient reaches the image.
    """
    gradient = None
    if value.requires_grad:
        (gradient,) = torch.autograd.grad(value, point, torch.ones_like(value), allow_unused=True)
    if gradient is None:
        raise InvalidInput(
            "the model gives no gradient with respect to its input, and this attack needs one: "
            "remove torch.no_grad(), .detach() or numpy from its forward, "
            "or use an attack that needs none (square, spsa, hopskipjump)"
        )
    return gradient


def class_count(model: Classifier, logits: Tensor) -> int:
    """Return k: the columns that are classes. A rejecting model's last column is not one."""
    info = getattr(model, "info", None)
    return info.classes if isinstance(info, ModelInfo) and info.rejects else logits.shape[1]
