"""What attacks share that follow the decision border by gradients: evaluation of points."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from epsball.attacks.core.ascent import confirmed, is_exact, value_and_slope
from epsball.attacks.core.asking import all_rows
from epsball.attacks.nearest.border import LeadGoal
from epsball.attacks.nearest.sparse import NearestSearch
from epsball.geometry import per_row, size
from epsball.tensors import Classifier
from epsball.types import Norm, Search

# of the scores by which a clean image's class leads, in units of the softmax: as a network of ten
# classes has it that was trained on MNIST
_SHARPNESS, _ROUNDING = 10.0, 1e-6
_FINISH = 10  # in low precision the last of so many steps is made on the model itself
_SOFT = 0.5  # of the steps climb the log-odds: which class is reached stays open for that long
_LEAST = 1e-5  # of the way to the farthest corner
_ORDERS: dict[Norm, float] = {"linf": math.inf, "l2": 2, "l1": 1, "l0": 0}


@dataclass(frozen=True)
class LogOdds:
    """A goal that climbs the log-odds of all classes that win, not the lead of the best.

    It leaves open which class is reached. Scores are scaled by what the clean image lacks, so
    that a model whose scores are large or small is climbed alike: no softmax saturates here.

    Args:
        goal: what wins.
        clean_lead: (n,), the lead at the clean images; None: the scores are theirs.
    """

    goal: LeadGoal
    clean_lead: Tensor | None = None

    def value(self, logits: Tensor) -> Tensor:
        """Return (n,), the log of the odds of any class that wins, in units of the lead."""
        here = logits.detach()
        lead = self.goal.value(here) if self.clean_lead is None else self.clean_lead
        # on a tie there is no lead to measure by
        least = (_ROUNDING * here.abs().amax(1)).clamp_min(torch.finfo(here.dtype).tiny ** 0.5)
        unit = torch.maximum(lead.abs() / _SHARPNESS, least)[:, None]
        wins, scaled = self.goal.columns(logits), logits / unit
        for_them = scaled.masked_fill(~wins, -torch.inf).logsumexp(1)
        return (for_them - scaled.masked_fill(wins, -torch.inf).logsumexp(1)) * unit[:, 0]

    def success(self, logits: Tensor) -> Tensor:
        """Judge success; being rejected is none."""
        return self.goal.success(logits)

    def rows(self, chosen: Tensor) -> "LogOdds":
        """Return the same for some rows."""
        lead = None if self.clean_lead is None else self.clean_lead[chosen]
        return LogOdds(self.goal.rows(chosen), lead)


@dataclass(frozen=True)
class Evaluation:
    """Success, lead and gradient at points.

    Args:
        success: (m,) bool, which fool the model by more than rounding.
        lead: (m,), of the best class that wins over the best that does not.
        slope: (m, c, h, w), gradient of the lead, or of the log-odds.
    """

    success: Tensor
    lead: Tensor
    slope: Tensor

    @cached_property
    def steepness(self) -> Tensor:
        """Return (m,), the l2 length of the slope, never zero."""
        return never_zero(size(self.slope, "l2"))

    def along(self, lengths: Tensor) -> Tensor:
        """Return (m, 1, 1, 1): times the slope it makes steps of these l2 lengths."""
        share = (lengths / self.steepness).clamp_max(torch.finfo(lengths.dtype).max)
        return per_row(share, self.slope)

    def rows(self, chosen: Tensor) -> "Evaluation":
        """Return the evaluation of some of the points."""
        return Evaluation(self.success[chosen], self.lead[chosen], self.slope[chosen])


def evaluate_clean(
    model: Classifier,
    inputs: Tensor,
    labels: Tensor,
    targets: Tensor | None,
    *,
    norm: Norm,
    soft: bool = False,
    confidence: float = 0.0,
    search: Search | None = None,
) -> tuple[NearestSearch, Evaluation]:
    """Evaluate the clean images, and begin a search for those that do not fool the model yet.

    The same pass gives the first gradient: nothing is asked twice.

    Args:
        model: the classifier.
        inputs: (n, c, h, w), the clean batch.
        labels: (n,).
        targets: (n,), or None.
        norm: in which an image is near.
        soft: whether the slope is that of the log-odds, not of the lead.
        confidence: the lead that an image needs, in scores.
        search: what may be saved; the first look is the model's own in any case.

    Returns:
        The search of m rows, and what was seen at their clean images.
    """
    clean, goal = inputs.detach(), LeadGoal(model, labels, targets)
    climbed = LogOdds(goal) if soft else goal
    search = search or Search()
    visit, logits = value_and_slope(
        search.confirm or model, clean, all_rows(clean), climbed, micro_batch=search.micro_batch
    )
    logits = handicapped(goal, logits, confidence)
    success = confirmed(None, goal, clean, logits, all_rows(clean))
    rows = (~success).nonzero()[:, 0]
    nearest = NearestSearch(model, goal.rows(rows), clean[rows], rows, norm, search=search)
    return nearest, Evaluation(success, goal.value(logits), visit.slope).rows(rows)


def evaluate(
    nearest: NearestSearch, points: Tensor, far: Tensor, climbed: LeadGoal | LogOdds, *, exact: bool
) -> Evaluation:
    """Evaluate a point of every row, with gradient; the search keeps those nearer than before.

    Args:
        nearest: the search.
        points: (m, c, h, w).
        far: (m,), their distance from the clean images.
        climbed: of all rows of the search, what the slope is taken of.
        exact: whether the model itself is looked at, where there is a cheaper copy.
    """
    model, batch = nearest.exact if exact else nearest.model, nearest.search.micro_batch
    visit, logits = value_and_slope(model, points, nearest.rows, climbed, micro_batch=batch)
    success = nearest.keep(points, logits, all_rows(points), exact=exact, far=far)
    return Evaluation(success, nearest.goal.value(logits), visit.slope)


def evaluate_step(
    nearest: NearestSearch, odds: LogOdds, points: Tensor, far: Tensor, *, number: int, steps: int
) -> Evaluation:
    """Evaluate the points of a step of a walk that begins on the log-odds, see `evaluate`.

    Args:
        nearest: the search.
        odds: the goal of the first half of the steps, which leaves open which class is reached.
        points: (m, c, h, w).
        far: (m,), their distance from the clean images.
        number: of the step, from 0.
        steps: all of them; the last tenth uses the model itself, where there is a cheaper copy.
    """
    climbed = odds if number < _SOFT * steps else nearest.goal
    exact = is_exact(nearest.search, number, steps, finish=_FINISH)
    return evaluate(nearest, points, far, climbed, exact=exact)


def draw_back(
    nearest: NearestSearch,
    halvings: int,
    *,
    back: float = 1.0,
    success_at: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> None:
    """Search for nearer points on the straight way from the nearest ones to the clean images.

    Args:
        nearest: the search, which keeps them.
        halvings: scores an image.
        back: share of the way to search, from the nearest points, in (0, 1].
        success_at: (points, rows of the search) -> (m,) bool; None: that of the search.
    """
    success_at = success_at or nearest.read
    part = nearest.distance.isfinite().nonzero()[:, 0]
    if not len(part):
        return
    clean, way = nearest.clean[part], nearest.points[part] - nearest.clean[part]
    high = torch.ones_like(nearest.distance[part])
    low = high - back
    for _ in range(halvings):
        middle = (low + high) / 2
        success = success_at((clean + per_row(middle, way) * way).clamp(0, 1), part)
        low, high = torch.where(success, low, middle), torch.where(success, middle, high)


def handicapped(goal: LeadGoal, logits: Tensor, confidence: float) -> Tensor:
    """Subtract the confidence from the scores of all classes that the attacker accepts."""
    return logits - confidence * goal.columns(logits) if confidence else logits


def result(nearest: NearestSearch, inputs: Tensor) -> Tensor:
    """Return (n, c, h, w): the nearest adversarial images, the clean ones where there is none."""
    images = inputs.detach().clone()
    images[nearest.rows] = nearest.points
    return images


def widest(clean: Tensor, norm: Norm) -> Tensor:
    """Return (m,), how far the farthest corner of [0, 1] is."""
    return length(torch.maximum(clean, 1 - clean), norm)


def length(delta: Tensor, norm: Norm) -> Tensor:
    """Return (m,), `size` in a single pass over memory, for what is not too small to be squared."""
    measured: Tensor = torch.linalg.vector_norm(delta.flatten(1), _ORDERS[norm], dim=1)
    return measured


def first_radius(far: Tensor, here: Evaluation, norm: Norm, limit: Tensor) -> Tensor:
    """Return (m,), a radius to try while nothing is found yet, at most limit.

    A model that goes on as its slope tells has its border there. A clean image on a tie has no
    way to go, but must leave it all the same.
    """
    return torch.maximum(far + reach(here, norm), _LEAST * limit).minimum(limit)


def reach(here: Evaluation, norm: Norm) -> Tensor:
    """Return (m,), the distance to the border if the model were linear."""
    if norm == "l2":
        return here.lead.abs() / here.steepness
    return here.lead.abs() / never_zero(length(here.slope, "l1" if norm == "linf" else "linf"))


def never_zero(values: Tensor) -> Tensor:
    """Return values that can be divided by."""
    return values.clamp_min(torch.finfo(values.dtype).tiny)


def cosine(first: float, last: float, number: int, steps: int) -> float:
    """Return the value of a cosine schedule from first to last after a number of steps."""
    return last + (first - last) * (1 + math.cos(math.pi * number / steps)) / 2
