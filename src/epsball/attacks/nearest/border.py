"""The decision border: linearised at a point, and searched on the way to an image."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from epsball.attacks.core.ascent import confirmed
from epsball.attacks.core.asking import class_count, input_gradient, read, scores
from epsball.attacks.nearest.hyperplane import dual_size
from epsball.errors import InvalidInput
from epsball.geometry import per_row
from epsball.objectives import is_adversarial
from epsball.tensors import Classifier
from epsball.types import Norm

# the lead that an image is left with, as a share of what the clean one lacks and of its largest
# score: with none the last bit of a score, another in every batch, would decide
_CLEAR, _ROUNDING = 5e-4, 2e-5


@dataclass(frozen=True)
class LeadGoal:
    """The goal that a class the attacker accepts leads all others by as much as possible.

    Beside the label a rejecting model's last column stands against the attacker; with targets all
    other classes do.

    Args:
        model: the classifier.
        labels: (n,), the true classes.
        targets: (n,), the classes to reach, or None.
    """

    model: Classifier
    labels: Tensor
    targets: Tensor | None

    def columns(self, logits: Tensor) -> Tensor:
        """Say which scores, (n, k) or (n, k + 1), bool, are those of classes that win.

        Raises:
            InvalidInput: the model knows fewer than two classes.
        """
        classes = class_count(self.model, logits)
        if classes < 2:
            raise InvalidInput(f"the model must tell at least 2 classes apart, got {classes}")
        wins = torch.zeros_like(logits, dtype=torch.bool)
        if self.targets is not None:
            return wins.scatter(1, self.targets[:, None], value=True)
        wins[:, :classes] = True
        return wins.scatter(1, self.labels[:, None], value=False)

    def value(self, logits: Tensor) -> Tensor:
        """Return (n,), how far the best that wins lies above the best that does not."""
        wins = self.columns(logits)
        best = logits.masked_fill(~wins, -torch.inf).amax(1)
        return best - logits.masked_fill(wins, -torch.inf).amax(1)

    def success(self, logits: Tensor) -> Tensor:
        """Judge success; being rejected is none."""
        classes = class_count(self.model, logits)
        return is_adversarial(logits, self.labels, self.targets, classes=classes)

    def rows(self, chosen: Tensor) -> "LeadGoal":
        """Return the same for some rows."""
        targets = None if self.targets is None else self.targets[chosen]
        return replace(self, labels=self.labels[chosen], targets=targets)


@dataclass(frozen=True)
class Plane:
    """The linearised border at a point: where gap + <slope, z - point> is zero.

    Args:
        gap: (m,), the lead of the class behind the border; below zero where the point is clean.
        slope: (m, c, h, w), its gradient; zero where the model has none.
    """

    gap: Tensor
    slope: Tensor

    def rows(self, chosen: Tensor) -> "Plane":
        """Return some of the planes."""
        return Plane(self.gap[chosen], self.slope[chosen])


def nearest_plane(
    model: Classifier,
    points: Tensor,
    rows: Tensor,
    goal: LeadGoal,
    *,
    norm: Norm,
    candidates: int,
) -> tuple[Plane, Tensor]:
    """Linearise the borders to the likeliest classes that win, and take the nearest.

    Args:
        model: the classifier.
        points: (m, c, h, w).
        rows: (m,), which rows of the attack's batch they belong to.
        goal: of these rows.
        norm: in which a border is near.
        candidates: how many classes, those of the highest scores, have a border; each costs one
            backward pass.

    Returns:
        The planes, and the scores at points (m, k).

    Raises:
        InvalidInput: the model gives no gradient, or knows fewer than two classes.
    """
    here = points.detach().requires_grad_()
    gaps, likely, logits = _leads(model, here, rows, goal, candidates=candidates)
    nearest = points.new_full((len(points),), torch.inf)
    gap, slope = gaps[0].detach(), torch.zeros_like(points)
    for at, column in enumerate(gaps):
        again = functools.partial(
            _leads, model, here, rows, goal, candidates=candidates, likely=likely
        )
        steep = _slope(column, here, again, at)
        dual = dual_size(steep, norm)
        far = column.detach().abs() / dual
        # no slope leaves the plane infinitely far; one without end is no plane either
        nearer = (far < nearest) & dual.isfinite()
        nearest = torch.where(nearer, far, nearest)
        gap = torch.where(nearer, column.detach(), gap)
        slope = torch.where(per_row(nearer, slope), steep, slope)
    return Plane(gap, slope), logits.detach()


def _leads(
    model: Classifier,
    here: Tensor,
    rows: Tensor,
    goal: LeadGoal,
    *,
    candidates: int,
    likely: Tensor | None = None,
) -> tuple[tuple[Tensor, ...], Tensor, Tensor]:
    """Score points; return the leads of the likeliest classes, (m,) each, these, and the scores.

    Where `likely` names the classes, they are these.
    """
    with torch.enable_grad():
        logits = scores(model, here, rows)
        wins = goal.columns(logits)
        against = logits.masked_fill(wins, -torch.inf).amax(1, keepdim=True)
        count = 1 if goal.targets is not None else class_count(model, logits) - 1
        if likely is None:
            ranked = logits.detach().masked_fill(~wins, -torch.inf)
            likely = ranked.topk(min(candidates, count)).indices
        return (logits.gather(1, likely) - against).unbind(1), likely, logits


def _slope(
    value: Tensor,
    point: Tensor,
    again: Callable[[], tuple[tuple[Tensor, ...], Tensor, Tensor]],
    at: int,
) -> Tensor:
    """Return the gradient and keep the graph for the next class.

    A compiled model gives one gradient a pass, and is asked again for each.
    """
    gradient = None
    if value.requires_grad:
        try:
            (gradient,) = torch.autograd.grad(
                value, point, torch.ones_like(value), retain_graph=True, allow_unused=True
            )
        except RuntimeError as error:
            if "donated buffer" not in str(error):
                raise
            return input_gradient(again()[0][at], point)
    # the same question once more, for the error that it raises
    return input_gradient(value, point) if gradient is None else gradient


def pull_back(
    model: Classifier,
    inputs: Tensor,
    adversarial: Tensor,
    rows: Tensor,
    goal: LeadGoal,
    *,
    steps: int,
) -> Tensor:
    """Draw images that fool the model straight back towards clean ones, up to the border.

    Args:
        model: the classifier.
        inputs: (m, c, h, w), clean, none of which wins.
        adversarial: (m, c, h, w), all of which win.
        rows: (m,), which rows of the attack's batch they belong to.
        goal: of these rows.
        steps: points tried an image, one forward pass each; two more read both ends. 0: none.

    Returns:
        (m, c, h, w), the nearest of the points tried that win by more than rounding, or found.

    Source: regula falsi: where scores are close to linear its first point is the border. Departure:
    bisection takes turns with it where one end stays, or it would creep along a curve.
    """
    if not steps or not len(rows):
        return adversarial
    nearest = adversarial
    clean_scores = read(model, inputs, rows)
    low_lead, high_lead = goal.value(clean_scores), goal.value(read(model, adversarial, rows))
    clear = _ROUNDING * clean_scores.abs().amax(1) - _CLEAR * low_lead
    low_lead, high_lead = low_lead - clear, high_lead - clear
    low, high = torch.zeros_like(high_lead), torch.ones_like(high_lead)
    least = high  # of the shares of the way that are known to win
    before = torch.zeros_like(rows)  # +1: the last point lay beyond, -1: it did not
    stays = torch.zeros_like(rows, dtype=torch.bool)
    for _ in range(steps):
        share = (low_lead / (low_lead - high_lead)).masked_fill(stays, 0.5)
        at = low + share.nan_to_num(0.5).clamp(0, 1) * (high - low)
        points = (inputs + per_row(at, adversarial) * (adversarial - inputs)).clamp(0, 1)
        logits = read(model, points, rows)
        lead, success = goal.value(logits) - clear, confirmed(None, goal, points, logits, rows)
        nearer = success & (at < least)
        nearest = torch.where(per_row(nearer, adversarial), points, nearest)
        least = torch.where(nearer, at, least)
        beyond = success & (lead >= 0)
        low_lead, high_lead = (
            torch.where(beyond, low_lead, lead),
            torch.where(beyond, lead, high_lead),
        )
        low, high = torch.where(beyond, low, at), torch.where(beyond, at, high)
        side = 2 * beyond.long() - 1
        # an end that stayed twice would stay for long: next comes the middle
        stays = (side == before) & ~stays
        before = side
    return nearest
