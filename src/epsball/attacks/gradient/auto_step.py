"""The steps of Auto-PGD, which look back at checkpoints on how the walk has gone."""

from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch
from torch import Tensor

from epsball.attacks.core.ascent import Visit
from epsball.geometry import per_row, project_into_box, size, steepest
from epsball.types import Norm

_FIRST, _SHORTER, _SHORTEST = 0.22, 0.03, 0.06  # checkpoints, as shares of the steps
_RISING = 0.75  # share of the steps that must rise for the step size to stay
_MOMENTUM = 0.25
_BIT = 1e-6
_SPARSE_EVERY, _SPARSE_FIRST, _SPARSER = 0.04, 0.2, 1.5
_SHRINK, _SMALLEST = 1.5, 10.0


def checkpoints(steps: int) -> frozenset[int]:
    """Return the numbers of the steps at which the step size is looked at again."""
    places, length, at = set[int](), _FIRST, _FIRST
    while at < 1:
        places.add(max(1, round(at * steps)))
        length = max(length - _SHORTER, _SHORTEST)
        at += length
    return frozenset(places)


@dataclass
class _Walk:
    """What a walk remembers of each row: where it was, and the best point by value alone."""

    point: Tensor
    best: Tensor
    best_slope: Tensor
    best_value: Tensor
    value: Tensor
    rises: Tensor
    length: Tensor  # (n,), the step size
    at_check: Tensor  # (n,), best value when last looked
    shortened: Tensor  # (n,), bool, whether the last look halved the step

    def rows(self, chosen: Tensor) -> "_Walk":
        return _Walk(*(getattr(self, f.name)[chosen] for f in fields(self)))

    def see(self, visit: Visit) -> None:
        """Take in the value and slope of the point the walk stands at."""
        # a last bit is no rise: it would make an image's walk depend on its batch
        self.rises = self.rises + (visit.value > self.value + _BIT * self.value.abs())
        self.value = visit.value
        better = visit.value > self.best_value
        self.best = torch.where(per_row(better, visit.point), visit.point, self.best)
        self.best_slope = torch.where(per_row(better, visit.point), visit.slope, self.best_slope)
        self.best_value = torch.where(better, visit.value, self.best_value)


def _begin(visit: Visit, length: float) -> _Walk:
    none = torch.zeros_like(visit.value)
    return _Walk(
        visit.point,
        visit.point,
        visit.slope,
        visit.value,
        visit.value,
        none,
        torch.full_like(visit.value, length),
        visit.value,
        none.bool(),
    )


@dataclass
class AutoStep:
    """The step of linf and l2: momentum, and a length that is halved where it does not help.

    Args:
        inputs: (n, c, h, w), the clean images.
        eps: radius.
        norm: "linf" or "l2".
        steps: of the whole walk.
    """

    inputs: Tensor
    eps: float
    norm: Norm
    steps: int
    looks: frozenset[int] = field(default_factory=frozenset)
    looked: int = 0
    walk: Any = None

    def __post_init__(self) -> None:
        """Lay out the checkpoints."""
        self.looks = self.looks or checkpoints(self.steps)

    def rows(self, chosen: Tensor) -> "AutoStep":
        """Return the step of some rows."""
        walk = None if self.walk is None else self.walk.rows(chosen)
        return replace(self, inputs=self.inputs[chosen], walk=walk)

    def __call__(self, visit: Visit) -> Tensor:
        """Return the next points."""
        point, slope = visit.point, visit.slope
        if self.walk is None:
            self.walk = _begin(visit, 2 * self.eps)
            inertia, before = 1.0, point
        else:
            self.walk.see(visit)
            inertia, before = 1 - _MOMENTUM, self.walk.point
        walk = self.walk
        if visit.number in self.looks:
            back = per_row(self._look_again(visit.number), point)
            point = torch.where(back, walk.best, point)
            slope = torch.where(back, walk.best_slope, slope)
        length = per_row(walk.length, point)
        moved = self._inside(point + length * steepest(slope, self.norm))
        walk.point = visit.point
        momentum = inertia * (moved - point) + (1 - inertia) * (point - before)
        return self._inside(point + momentum)

    def _look_again(self, number: int) -> Tensor:
        """Halve the steps of rows that do not rise, and say which these are."""
        walk, count = self.walk, number - self.looked
        stuck = walk.rises <= _RISING * count
        same = ~walk.shortened & (walk.best_value <= walk.at_check + _BIT * walk.at_check.abs())
        halved: Tensor = stuck | same
        walk.length = torch.where(halved, walk.length / 2, walk.length)
        walk.shortened, walk.at_check = halved, walk.best_value
        walk.rises = torch.zeros_like(walk.rises)
        self.looked = number
        return halved

    def _inside(self, points: Tensor) -> Tensor:
        return project_into_box(points, self.inputs, self.eps, self.norm)


@dataclass
class SparseStep:
    """The step of l1: the signs of the largest entries, as many as the best point has moved.

    Args:
        inputs: (n, c, h, w), the clean images.
        eps: radius.
        steps: of the whole walk.
    """

    inputs: Tensor
    eps: float
    steps: int
    walk: Any = None
    share: Any = None  # (n,), of the entries that a step moves
    moved: Any = None  # (n,), entries that the best point had moved when last looked

    def rows(self, chosen: Tensor) -> "SparseStep":
        """Return the step of some rows."""
        state = {n: getattr(self, n) for n in ("inputs", "share", "moved")}
        state = {name: None if value is None else value[chosen] for name, value in state.items()}
        walk = None if self.walk is None else self.walk.rows(chosen)
        return replace(self, walk=walk, **state)

    def __call__(self, visit: Visit) -> Tensor:
        """Return the next points."""
        point, slope, entries = visit.point, visit.slope, visit.point[0].numel()
        if self.walk is None:
            self.walk = _begin(visit, self.eps)
            self.moved = torch.full_like(visit.value, entries)
            self.share = torch.full_like(visit.value, _SPARSE_FIRST)
        else:
            self.walk.see(visit)
        every = max(1, int(_SPARSE_EVERY * self.steps))
        if visit.number and visit.number % every == 0:
            back = per_row(self._look_again(entries), point)
            point = torch.where(back, self.walk.best, point)
            slope = torch.where(back, self.walk.best_slope, slope)
        sign = self._largest(slope, entries).sign()
        unit = sign / per_row(size(sign, "l1").clamp_min(1), sign)
        stepped = point + per_row(self.walk.length, point) * unit
        return project_into_box(stepped, self.inputs, self.eps, "l1")

    def _look_again(self, entries: int) -> Tensor:
        walk, moved = self.walk, size(self.walk.best - self.inputs, "l0")
        sparser: Tensor = moved < 0.95 * self.moved
        self.share, self.moved = moved / entries / _SPARSER, moved
        length = torch.where(sparser, torch.full_like(walk.length, self.eps), walk.length / _SHRINK)
        walk.length = length.clamp(self.eps / _SMALLEST, self.eps)
        return sparser

    def _largest(self, slope: Tensor, entries: int) -> Tensor:
        flat = slope.flatten(1)
        rank = entries - (self.share * entries).long().clamp(1, entries)
        bar = flat.abs().sort(dim=1).values.gather(1, rank[:, None])
        return torch.where(flat.abs() >= bar, flat, torch.zeros_like(flat)).view_as(slope)
