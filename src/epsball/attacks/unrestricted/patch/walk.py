"""The search for the colours of a patch: steps along the sign of the gradient over views."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from epsball.attacks.core.ascent import BestSeen, Goal, is_exact, judge, value_and_slope
from epsball.attacks.core.asking import all_rows, read
from epsball.attacks.unrestricted.patch.place import Place
from epsball.randomness import Randomness
from epsball.tensors import Classifier
from epsball.types import Search

_FINISH = 10  # in low precision the last of so many steps is made on the model itself


@dataclass(frozen=True)
class Seen:
    """What a step sees.

    Args:
        worn: (m, c, h, w), the images with their patches upright.
        value: (m,), what is climbed, there.
        logits: (m, k), there.
        slope: shaped as the patches, the gradient of value summed over the views.
    """

    worn: Tensor
    value: Tensor
    logits: Tensor
    slope: Tensor


@dataclass(frozen=True)
class Walk:
    """A search with its settings, which are those of `patch`; goal and place are of all rows."""

    model: Classifier
    place: Place
    goal: Goal
    search: Search
    steps: int
    step_size: float | Callable[[int], float]
    samples: int
    generator: Randomness

    def one_each(self, patches: Tensor) -> Tensor:
        """Improve a patch for each image, (n, c, s, s); return the images that wear the best.

        An image that is fooled by its upright patch leaves the search, where `retire` allows it.
        """
        best, rows, goal = BestSeen(self.place.inputs), all_rows(patches), self.goal
        for i in range(self.steps):
            exact = is_exact(self.search, i, self.steps, finish=_FINISH)
            result = self.see(patches, rows, goal, exact=exact)
            success, clear_success = judge(
                self.search, goal, result.worn, result.logits, rows, exact=exact
            )
            best.update(result.worn, result.value, success, rows)
            patches = self.stepped(patches, result.slope, i)
            if self.search.retire and bool(clear_success.any()):
                going = (~clear_success).nonzero()[:, 0]
                rows, goal, patches = rows[going], goal.rows(going), patches[going]
                if not len(rows):
                    return best.points
        worn, logits = self._read(patches, rows)
        best.update(worn, goal.value(logits), goal.success(logits), rows)
        return best.points

    def one_for_all(self, patch: Tensor) -> Tensor:
        """Improve one patch, (1, c, s, s); return all images wearing it at its best."""
        rows, best, height = all_rows(self.place.inputs), self.place.inputs, (-1.0, -math.inf)
        for i in range(self.steps):
            # the share that is fooled is a verdict, so the caller's own model gives it
            result = self.see(patch, rows, self.goal, exact=True)
            reached = self._height(result.value, result.logits)
            if reached > height:
                best, height = result.worn, reached
            patch = self.stepped(patch, result.slope, i)
        worn, logits = self._read(patch, rows)
        return worn if self._height(self.goal.value(logits), logits) > height else best

    def _height(self, value: Tensor, logits: Tensor) -> tuple[float, float]:
        return float(self.goal.success(logits).float().mean()), float(value.mean())

    def see(self, patches: Tensor, rows: Tensor, goal: Goal, *, exact: bool) -> Seen:
        """Show the model patches of some rows in every view; exact asks the caller's own model."""
        scorer = self.search.confirm or self.model if exact else self.model
        slope = torch.zeros_like(patches)
        parts: list[tuple[Tensor, Tensor, Tensor]] = []
        for view in self.place.views(self.samples, self.generator):
            with torch.enable_grad():
                variable = patches.detach().requires_grad_()
                worn = self.place.wear(variable, rows, view)
            images = worn.detach().clamp(0, 1)  # sums of weights may round to a little above 1
            visit, logits = value_and_slope(
                scorer, images, rows, goal, micro_batch=self.search.micro_batch
            )
            slope += torch.autograd.grad(worn, variable, visit.slope)[0]
            if not parts:  # the first view is the upright one
                parts.append((images, visit.value, logits))
        return Seen(*parts[0], slope)

    def _read(self, patches: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        worn = self.place.wear(patches, rows).clamp(0, 1)
        scorer = self.search.confirm or self.model
        return worn, read(scorer, worn, rows, self.search.micro_batch)

    def stepped(self, patches: Tensor, slope: Tensor, number: int) -> Tensor:
        """Return the next patches, inside [0, 1]."""
        length = self.step_size(number) if callable(self.step_size) else self.step_size
        return (patches + length * slope.sign()).clamp(0, 1)
