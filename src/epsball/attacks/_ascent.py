"""The loop under every iterative attack. An attack states its step; the loop walks and scores."""

from collections.abc import Callable
from typing import Literal, Protocol

import torch
from torch import Tensor

from epsball.errors import BrokenContract, InvalidInput
from epsball.geometry import per_row
from epsball.tensors import Classifier, Images
from epsball.types import ModelInfo

Step = Callable[[Tensor, Tensor, int], Tensor]  # point, gradient, number of the step -> next point
Keep = Literal["best", "last"]


class Goal(Protocol):
    """What an attack climbs and when it has won; both read the scores of the points it visits."""

    def value(self, logits: Tensor, /) -> Tensor:
        """Return (n,), climbed along its gradient."""
        ...

    def won(self, logits: Tensor, /) -> Tensor:
        """Return (n,), bool."""
        ...


def ascend(
    model: Classifier,
    start: Images,
    *,
    goal: Goal,
    step: Step,
    steps: int,
    keep: Keep,
) -> Images:
    """Walk uphill from start and return a point of the walk.

    Args:
        model: the classifier.
        start: (n, c, h, w), the first points.
        goal: what is climbed.
        step: makes the next point; keeps it inside ball and box.
        steps: gradient evaluations an image.
        keep: "best": of the steps + 1 points, the one that ranks highest by (won, value), which
            costs one more forward pass; "last": where the walk ends.

    Returns:
        (n, c, h, w), without gradient.

    Raises:
        BrokenContract: the model gives no gradient, or not one row of scores a picture.
    """
    point = start.detach()
    best = BestSeen(point)
    for i in range(steps):
        point.requires_grad_()
        with torch.enable_grad():
            logits = scores(model, point)
            value = goal.value(logits)
        if keep == "best":
            best.update(point, logits, value, goal)
        point = step(point.detach(), input_gradient(value, point), i).detach()
    if keep == "last":
        return point
    with torch.no_grad():
        logits = scores(model, point)
        best.update(point, logits, goal.value(logits), goal)
    return best.points


class BestSeen:
    """For each row, the highest-ranking point so far, by (won, value)."""

    def __init__(self, points: Tensor) -> None:
        """Start with points of no rank at all."""
        self.points = points.detach().clone()
        self.won = torch.zeros(len(points), dtype=torch.bool, device=points.device)
        self.value = points.new_full((len(points),), -torch.inf)

    def update(self, points: Tensor, logits: Tensor, value: Tensor, goal: Goal) -> None:
        """Take the rows of points that rank above what is held."""
        logits, value = logits.detach(), value.detach()
        won = goal.won(logits)
        better = (won & ~self.won) | ((won == self.won) & (value > self.value))
        self.points = torch.where(per_row(better, points), points.detach(), self.points)
        self.value = torch.where(better, value.to(self.value), self.value)
        self.won = self.won | won


def scores(model: Classifier, points: Tensor) -> Tensor:
    """Ask the model, and check that it answers with one row of scores a picture."""
    logits = model(points)
    if logits.dim() != 2 or len(logits) != len(points):  # noqa: PLR2004 - rows and columns
        raise BrokenContract(
            f"the model must return scores (n, k), got {tuple(logits.shape)} "
            f"for pictures {tuple(points.shape)}"
        )
    return logits


def input_gradient(value: Tensor, point: Tensor) -> Tensor:
    """Return the gradient of each row's value with respect to that row's picture.

    Raises:
        InvalidInput: no gradient reaches the picture.
    """
    gradient = None
    if value.requires_grad:
        (gradient,) = torch.autograd.grad(value, point, torch.ones_like(value), allow_unused=True)
    if gradient is None:
        raise InvalidInput(
            "the model gives no gradient with respect to its input, and this attack needs one: "
            "remove torch.no_grad(), .detach() or numpy from its forward, "
            "or use an attack that needs none (noise)"
        )
    return gradient


def class_count(model: Classifier, logits: Tensor) -> int:
    """Return k: the columns that are classes. A rejecting model's last column is not one."""
    info = getattr(model, "info", None)
    return info.classes if isinstance(info, ModelInfo) and info.rejects else logits.shape[1]
