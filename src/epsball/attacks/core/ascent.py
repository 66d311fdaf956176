"""The loop under every iterative attack. An attack states its step; the loop walks and scores.

Everything that belongs to a row of the batch (a goal, a step, random streams) has `rows(chosen)`,
which gives the same for some rows only: that is how images retire and how batches are cut.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, Self

import torch
from torch import Tensor

from epsball.attacks.core.asking import all_rows, cut, input_gradient, read, scores
from epsball.attacks.core.best_seen import BestSeen as BestSeen
from epsball.tensors import Classifier, Images
from epsball.types import Search

Keep = Literal["best", "last"]
# float32 scores of the same image differ in their last bits from batch to batch; a lead smaller
# than this share of the largest score is no reason to stop looking for a larger one
_TIE_TOLERANCE = 1e-5
_FINISH = 40  # in low precision the last of so many steps is made on the model itself
_FULL = Search(retire=False)


class Goal(Protocol):
    """What an attack climbs and when it succeeds; both read the scores of the points it visits."""

    def value(self, logits: Tensor, /) -> Tensor:
        """Return (n,), climbed along its gradient."""
        ...

    def success(self, logits: Tensor, /) -> Tensor:
        """Return (n,), bool."""
        ...

    def rows(self, chosen: Tensor, /) -> Self:
        """Return the goal of some rows."""
        ...


@dataclass(frozen=True)
class Visit:
    """Point, gradient and value at one step of the ascent.

    Args:
        point: (n, c, h, w).
        slope: (n, c, h, w), the gradient of value.
        value: (n,), what is climbed.
        number: of the step, from 0.
    """

    point: Tensor
    slope: Tensor
    value: Tensor
    number: int

    def rows(self, chosen: Tensor) -> "Visit":
        """Return the visit of some rows."""
        return Visit(self.point[chosen], self.slope[chosen], self.value[chosen], self.number)


class Step(Protocol):
    """Computes the next point of an ascent, inside ball and box.

    One that may end a row's walk before its last step has `ended`, (n,) bool or None: rows for
    which the points just returned are where the walk ends, points that were visited already.
    """

    def __call__(self, visit: Visit, /) -> Tensor:
        """Return the next points."""
        ...

    def rows(self, chosen: Tensor, /) -> Self:
        """Return the step of some rows."""
        ...


def ascend(
    model: Classifier,
    start: Images,
    *,
    goal: Goal,
    step: Step,
    steps: int,
    keep: Keep,
    search: Search | None = None,
    best: BestSeen | None = None,
    inside: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> Images:
    """Ascend from the starting points and return one of the points visited.

    Args:
        model: the classifier; with a search in low precision, its cheaper twin.
        start: (n, c, h, w), the first points.
        goal: what is climbed.
        step: makes the next point.
        steps: gradient evaluations an image; a row whose step says `ended` is given no more.
        keep: "best": of the steps + 1 points, the one that ranks highest by (success, value), which
            costs one more forward pass; "last": where the walk ends.
        search: what may be saved. A fooled image ends its walk where it was fooled. In low
            precision the last fortieth of the steps is made on the caller's own model.
        best: what earlier walks of the same images have seen.
        inside: (points, rows) -> (m,) bool, for a walk that leaves the ball on its way: which
            points may be returned. None: all.

    Returns:
        (n, c, h, w), without gradient.

    Raises:
        BrokenContract: the model gives no gradient, or not one row of scores an image.
    """
    search = search or _FULL
    best, point = best or BestSeen(start), start.detach()
    rows, ends = all_rows(start), _Ends(search.confirm or model, best, keep, search, inside)
    for i in range(steps):
        exact = is_exact(search, i, steps, finish=_FINISH)
        scorer = search.confirm or model if exact else model
        visit, logits = value_and_slope(
            scorer, point, rows, goal, number=i, micro_batch=search.micro_batch
        )
        success, clear_success = judge(search, goal, point, logits, rows, exact=exact)
        if keep == "best" or search.retire:
            best.update(point, visit.value, success, rows, inside)
        if search.retire and bool(clear_success.any()):
            going = (~clear_success).nonzero()[:, 0]
            rows, goal, step = rows[going], goal.rows(going), step.rows(going)
            visit = visit.rows(going)
            if not len(rows):
                return best.points
        point = step(visit).detach()
        ended = getattr(step, "ended", None)
        if ended is not None and bool(ended.any()):
            done = ended.nonzero()[:, 0]
            ends.take(point[done], rows[done], goal.rows(done))
            going = (~ended).nonzero()[:, 0]
            rows, goal, step, point = rows[going], goal.rows(going), step.rows(going), point[going]
            if not len(rows):
                return best.points
    ends.take(point, rows, goal)
    return best.points


def is_exact(search: Search, number: int, steps: int, *, finish: int) -> bool:
    """Say whether a step is one of the last, which are made on the caller's own model.

    One in `finish` is, and at least one. Without another model to search on, every step is.
    """
    return search.confirm is None or number >= steps - max(1, steps // finish)


@dataclass(frozen=True)
class _Ends:
    """The last points of ascents, returned as they are or ranked by the model itself."""

    exact: Classifier
    best: BestSeen
    keep: Keep
    search: Search
    inside: Callable[[Tensor, Tensor], Tensor] | None

    def take(self, points: Tensor, rows: Tensor, goal: Goal) -> None:
        """Take the last points, (m, c, h, w), of some rows; goal is of these rows."""
        if self.keep == "last":
            self.best.points[rows] = points
            return
        logits = read(self.exact, points, rows, self.search.micro_batch)
        self.best.update(points, goal.value(logits), goal.success(logits), rows, self.inside)


def value_and_slope(
    model: Classifier,
    point: Tensor,
    rows: Tensor,
    goal: Goal,
    *,
    number: int = 0,
    micro_batch: int | None = None,
) -> tuple[Visit, Tensor]:
    """Compute value, gradient and scores at points, in batches of a size.

    Args:
        model: the classifier.
        point: (m, c, h, w).
        rows: (m,), which rows of the attack's batch they belong to.
        goal: of these rows.
        number: of the step.
        micro_batch: rows a pass; None: all.

    Returns:
        The visit, and the scores (m, k).
    """
    parts = []
    for part in cut(len(point), micro_batch):
        aim = goal if part.stop - part.start == len(point) else goal.rows(all_rows(point)[part])
        here = point[part].detach().requires_grad_()
        with torch.enable_grad():
            logits = scores(model, here, rows[part])
            value = aim.value(logits)
        parts.append((input_gradient(value, here), value.detach(), logits.detach()))
    slope, value, logits = (torch.cat(column) for column in zip(*parts, strict=True))
    return Visit(point.detach(), slope, value, number), logits


def judge(
    search: Search, goal: Goal, points: Tensor, logits: Tensor, rows: Tensor, *, exact: bool
) -> tuple[Tensor, Tensor]:
    """Say which rows are a success in float32, and which of those by more than rounding.

    Args:
        search: holds the caller's own model, where the search runs on another.
        goal: of these rows.
        points: (m, c, h, w).
        logits: (m, k), what the search's model said of them.
        rows: (m,), which rows of the attack's batch they belong to.
        exact: logits are the caller's own model's already.

    Returns:
        (m,) bool, twice: success; clear success, which another batch will find too.
    """
    success = goal.success(logits)
    if exact or search.confirm is None or not bool(success.any()):
        return success, success & _is_clear(logits)
    candidates = success.nonzero()[:, 0]
    exact_logits = read(search.confirm, points[candidates], rows[candidates], search.micro_batch)
    really = goal.rows(candidates).success(exact_logits)
    success = torch.zeros_like(success)
    clear_success = success.clone()
    success[candidates], clear_success[candidates] = really, really & _is_clear(exact_logits)
    return success, clear_success


def confirmed(
    search: Search | None, goal: Goal, points: Tensor, logits: Tensor, rows: Tensor
) -> Tensor:
    """Return (m,) bool: which rows are a clear success. See `judge`."""
    return judge(search or _FULL, goal, points, logits, rows, exact=False)[1]


def _is_clear(logits: Tensor) -> Tensor:
    first, second = logits.topk(2, dim=1).values.unbind(1)
    return first - second > _TIE_TOLERANCE * logits.abs().amax(1)
