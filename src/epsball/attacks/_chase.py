"""What the attacks share that chase a border with gradients: the first look, and every later one."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from epsball.attacks._ascent import look
from epsball.attacks._asking import all_rows, read
from epsball.attacks._border import Winning
from epsball.attacks._hyperplane import dual_size
from epsball.attacks._sparse import Hunt
from epsball.geometry import size
from epsball.tensors import Classifier
from epsball.types import Norm


@dataclass(frozen=True)
class Odds:
    """A goal that climbs the log-odds of all classes that win, not the lead of the best.

    Its gradient points where that of the cross-entropy points, whose size alone dies away when the
    softmax saturates; it leaves open which class is reached.
    """

    goal: Winning

    def value(self, logits: Tensor) -> Tensor:
        """Return (n,), the log of the odds of any class that wins."""
        wins = self.goal.columns(logits)
        for_them = logits.masked_fill(~wins, -torch.inf).logsumexp(1)
        return for_them - logits.masked_fill(wins, -torch.inf).logsumexp(1)

    def won(self, logits: Tensor) -> Tensor:
        """Judge success; being rejected is none."""
        return self.goal.won(logits)

    def rows(self, chosen: Tensor) -> "Odds":
        """Return the same for some rows."""
        return Odds(self.goal.rows(chosen))


@dataclass(frozen=True)
class Seen:
    """What was seen at points.

    Args:
        won: (m,) bool, which fool the model by more than rounding.
        lead: (m,), of the best class that wins over the best that does not.
        slope: (m, c, h, w), gradient of the lead, or of the log-odds.
    """

    won: Tensor
    lead: Tensor
    slope: Tensor

    def rows(self, chosen: Tensor) -> "Seen":
        """Return what was seen at some of the points."""
        return Seen(self.won[chosen], self.lead[chosen], self.slope[chosen])


def first_look(
    model: Classifier,
    inputs: Tensor,
    labels: Tensor,
    targets: Tensor | None,
    *,
    norm: Norm,
    soft: bool,
    confidence: float = 0.0,
) -> tuple[Hunt, Seen]:
    """Look at the clean pictures, and begin a hunt for those that do not fool the model yet.

    The same pass gives the first gradient: nothing is asked twice.

    Args:
        model: the classifier.
        inputs: (n, c, h, w), the clean batch.
        labels: (n,).
        targets: (n,), or None.
        norm: in which a picture is near.
        soft: whether the slope is that of the log-odds, not of the lead.
        confidence: the lead that a picture needs, in scores.

    Returns:
        The hunt of m rows, and what was seen at their clean pictures.
    """
    clean, goal = inputs.detach(), Winning(model, labels, targets)
    whole = Hunt(model, goal, clean, all_rows(clean), norm)
    seen = see(whole, clean, all_rows(clean), soft=soft, confidence=confidence)
    rows = (~seen.won).nonzero()[:, 0]
    return Hunt(model, goal.rows(rows), clean[rows], rows, norm), seen.rows(rows)


def see(
    hunt: Hunt, points: Tensor, part: Tensor, *, soft: bool = False, confidence: float = 0.0
) -> Seen:
    """Look at points, with their gradient; the hunt keeps those that are nearer than before.

    Args:
        hunt: the hunt.
        points: (m, c, h, w).
        part: (m,), which rows of the hunt they belong to.
        soft: see `first_look`.
        confidence: see `first_look`; it is taken off the lead.
    """
    goal = hunt.goal.rows(part)
    visit, logits = look(hunt.model, points, hunt.rows[part], Odds(goal) if soft else goal)
    logits = _handicapped(goal, logits, confidence)
    return Seen(hunt.keep(points, logits, part), goal.value(logits), visit.slope)


def score(hunt: Hunt, points: Tensor, part: Tensor, confidence: float = 0.0) -> Tensor:
    """Look at points without gradient; return who has won (m,). See `see`."""
    logits = read(hunt.model, points, hunt.rows[part])
    return hunt.keep(points, _handicapped(hunt.goal.rows(part), logits, confidence), part)


def _handicapped(goal: Winning, logits: Tensor, confidence: float) -> Tensor:
    return logits - confidence * goal.columns(logits) if confidence else logits


def result(hunt: Hunt, inputs: Tensor) -> Tensor:
    """Return (n, c, h, w): what was found, and the clean picture where nothing was or had to be."""
    found = inputs.detach().clone()
    found[hunt.rows] = hunt.points
    return found


def widest(clean: Tensor, norm: Norm) -> Tensor:
    """Return (m,), how far the farthest corner of [0, 1] is."""
    return size(torch.maximum(clean, 1 - clean), norm)


def reach(seen: Seen, norm: Norm) -> Tensor:
    """Return (m,), how far the border is if the model goes on as its slope tells."""
    steep = dual_size(seen.slope, norm)
    return seen.lead.abs() / steep.clamp_min(torch.finfo(steep.dtype).tiny)


def cosine(first: float, last: float, number: int, steps: int) -> float:
    """Return what falls from first towards last along half a wave, after number of steps."""
    return last + (first - last) * (1 + math.cos(math.pi * number / steps)) / 2
