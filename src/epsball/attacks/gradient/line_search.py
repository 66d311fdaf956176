"""Steps that look for their own length, or end a walk whose loss no longer changes."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from epsball.attacks.core.ascent import Step, Visit
from epsball.attacks.core.asking import cut
from epsball.attacks.gradient.sign_family import FamilyStep
from epsball.errors import InvalidInput
from epsball.geometry import per_row, project_into_box, steepest
from epsball.types import Norm

_FIRST, _LEAST = 2.0, 1e-3  # lengths of a step in units of eps: the first and longest, the shortest
_ARMIJO = 1e-4  # of the rise that the slope promises: Armijo's usual share


@dataclass
class SteadyStep:
    """A step of fixed length; a row whose loss changes by less than tolerance ends its walk.

    Args:
        step: the step.
        tolerance: at least 0; 0: no row ends early.
        before: (n,), the value at the visit before.
        ended: (n,) bool.
    """

    step: FamilyStep
    tolerance: float
    before: Tensor | None = None
    ended: Tensor | None = None

    def __call__(self, visit: Visit) -> Tensor:
        """Return the next points; where a walk ends, the point that was visited."""
        if self.before is not None:
            self.ended = (visit.value - self.before).abs() < self.tolerance
        self.before = visit.value
        moved = self.step(visit)
        if self.ended is None:
            return moved
        return torch.where(per_row(self.ended, moved), visit.point, moved)

    def rows(self, chosen: Tensor) -> "SteadyStep":
        """Return the step of some rows."""
        before = None if self.before is None else self.before[chosen]
        return replace(self, step=self.step.rows(chosen), before=before, ended=None)


@dataclass
class LineSearch:
    """A step along the steepest direction, twice as long after a success and half after a failure.

    A trial succeeds when the loss rises by a small share of what the slope promises (Armijo's
    rule); else the next trial is made from the same point. Each trial is a visit of the walk, so it
    is judged like any other point. A row ends where steps of a thousandth of eps fail, or where a
    success changes its loss by less than tolerance.

    Args:
        inputs: (n, c, h, w), the clean images.
        eps: radius of the ball.
        norm: its geometry, and that of a step.
        tolerance: at least 0; 0: no row ends for its loss.
        final: number of a step that returns where the walk stands, not one more trial; None: none.
        base: (where the trial is made from, slope and value there, length of the trial).
        ended: (n,) bool.
    """

    inputs: Tensor
    eps: float
    norm: Norm
    tolerance: float
    final: int | None = None
    base: tuple[Tensor, ...] | None = field(default=None, repr=False)
    ended: Tensor | None = None

    def __call__(self, visit: Visit) -> Tensor:
        """Judge the trial that was visited, and return the next."""
        if self.base is None:
            longest = torch.full_like(visit.value, _FIRST * self.eps)
            self.base = (visit.point, visit.slope, visit.value, longest)
        else:
            self._learn(visit, *self.base)
        point, slope, _, length = self.base
        if visit.number == self.final:
            return point
        trial = point + per_row(length, point) * steepest(slope, self.norm)
        trial = project_into_box(trial, self.inputs, self.eps, self.norm)
        if self.ended is None:
            return trial
        return torch.where(per_row(self.ended, point), point, trial)

    def _learn(
        self, visit: Visit, point: Tensor, slope: Tensor, value: Tensor, length: Tensor
    ) -> None:
        rise = visit.value - value
        promised = (slope * (visit.point - point)).flatten(1).sum(1)
        good = rise > _ARMIJO * promised.clamp_min(0)
        length = torch.where(good, 2 * length, length / 2)
        self.ended = torch.where(good, rise < self.tolerance, length < _LEAST * self.eps)
        better_rows = per_row(good, point)
        self.base = (
            torch.where(better_rows, visit.point, point),
            torch.where(better_rows, visit.slope, slope),
            torch.where(good, visit.value, value),
            length.clamp_max(_FIRST * self.eps),
        )

    def rows(self, chosen: Tensor) -> "LineSearch":
        """Return the step of some rows."""
        base = None if self.base is None else tuple(part[chosen] for part in self.base)
        return replace(self, inputs=self.inputs[chosen], base=base, ended=None)


@dataclass
class CrowdedStep:
    """A step that is drawn to where images are dense, beside what the walk climbs.

    Args:
        step: the step; it sees value and slope of the sum.
        density: (m, c, h, w) -> (m,), the logarithm of a density, differentiable.
        weight: of it.
        micro_batch: images that density is asked about at once; None: all.
    """

    step: Step
    density: Callable[[Tensor], Tensor]
    weight: float
    micro_batch: int | None = None

    @property
    def ended(self) -> Tensor | None:
        """Return the rows whose walk is over."""
        ended: Tensor | None = getattr(self.step, "ended", None)
        return ended

    def __call__(self, visit: Visit) -> Tensor:
        """Return the next points."""
        parts = [self._look(visit.point[part]) for part in cut(len(visit.point), self.micro_batch)]
        value, slope = (self.weight * torch.cat(column) for column in zip(*parts, strict=True))
        return self.step(replace(visit, value=visit.value + value, slope=visit.slope + slope))

    def _look(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return the log-density (m,) and its gradient (m, c, h, w)."""
        here = points.detach().requires_grad_()
        with torch.enable_grad():
            value = self.density(here)
        if not isinstance(value, Tensor) or value.shape != (len(points),):
            got = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise InvalidInput(
                f"rejection: density must return one log-density an image, ({len(points)},), "
                f"got {got}"
            )
        if not value.requires_grad:
            raise InvalidInput(
                "rejection: density must have a gradient with respect to the images, got none; "
                "remove torch.no_grad(), .detach() or numpy from it"
            )
        (slope,) = torch.autograd.grad(value.sum(), here)
        return value.detach().to(points), slope

    def rows(self, chosen: Tensor) -> "CrowdedStep":
        """Return the step of some rows."""
        return replace(self, step=self.step.rows(chosen))
