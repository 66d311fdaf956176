"""Scores and gradients of some rows of a batch, with the rows named so that passes are counted."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from epsball.answers import scores_like
from epsball.errors import InvalidInput
from epsball.tensors import Classifier, RowScorer
from epsball.types import ModelInfo, Search


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
    """A classifier for some rows of a batch; passes are counted for the rows of the whole batch.

    Args:
        model: the classifier of the whole batch.
        whole: (m,), the rows of the batch that are rows 0 to m - 1 here.
    """

    model: Classifier
    whole: Tensor

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return the model's scores of all rows, in order."""
        rows = self.whole if len(inputs) == len(self.whole) else None
        return call_model(self.model, inputs, rows)

    def score_rows(self, inputs: Tensor, rows: Tensor) -> Tensor:
        """Return the model's scores of some of these rows."""
        return call_model(self.model, inputs, self.whole[rows])

    @property
    def info(self) -> Any:  # noqa: ANN401 - a ModelInfo, where the model has one
        """Return what is known of the model."""
        return getattr(self.model, "info", None)

    def relaxed(self) -> "Part | None":
        """Return the model's differentiable version of itself, if it has one."""
        relaxed = relaxed_of(self.model)
        return None if relaxed is None else Part(relaxed, self.whole)


def search_part(search: Search | None, whole: Tensor) -> Search | None:
    """Return the search of some rows of a batch."""
    if search is None or search.confirm is None:
        return search
    return replace(search, confirm=Part(search.confirm, whole))


def relaxed_of(model: Classifier) -> Classifier | None:
    """Return the differentiable version of a model that hides its gradients, or None.

    A model offers one by a method `relaxed()`.
    """
    method = getattr(model, "relaxed", None)
    relaxed: Classifier | None = method() if callable(method) else None
    return relaxed


def call_model(model: Classifier, points: Tensor, rows: Tensor | None) -> Tensor:
    """Call a model, and name the rows to one that counts passes row by row."""
    if rows is not None and isinstance(model, RowScorer):
        return model.score_rows(points, rows)
    return model(points)


def scores(model: Classifier, points: Tensor, rows: Tensor | None = None) -> Tensor:
    """Call the model, and check that it returns one row of scores an image.

    Args:
        model: the classifier.
        points: (m, c, h, w).
        rows: (m,), int64, the rows of the attack's batch that the points belong to; None: points
            are the whole batch, in order. It makes the counts of a row right.

    Returns:
        (m, k), in the type of the points.

    Raises:
        BrokenContract: the model returns anything else.
    """
    return scores_like(call_model(model, points, rows), points)


def input_gradient(value: Tensor, point: Tensor) -> Tensor:
    """Return the gradient of each row's value with respect to that row's image.

    Raises:
        InvalidInput: no gradient reaches the image.
    """
    gradient = None
    if value.requires_grad:
        # of the sum: torch imports sympy, which takes a second, where it is given grad_outputs
        with torch.enable_grad():  # the caller may be inside no_grad
            total = value.sum()
        (gradient,) = torch.autograd.grad(total, point, allow_unused=True)
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
