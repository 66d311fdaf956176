"""JSMA: one or two entries at a time, those that a saliency map points at."""

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor

from epsball.attacks.core.ascent import Goal, value_and_slope
from epsball.attacks.core.asking import all_rows, class_count
from epsball.attacks.core.checks import check_call, takes_no_eps
from epsball.attacks.core.validated import validated
from epsball.attacks.gradient.pgd import Mislead
from epsball.attacks.nearest.border import LeadGoal
from epsball.attacks.nearest.sparse import NearestSearch, prune, require, where_needed
from epsball.attacks.spec import AttackSpec
from epsball.errors import unknown_name
from epsball.objectives import logit
from epsball.randomness import Randomness
from epsball.tensors import Classifier, Images, Labels
from epsball.types import Norm

NORMS: tuple[Norm, ...] = ("l0",)
Saliency: TypeAlias = Literal["lead", "product"]
_SHORTLIST = 16  # entries that each of five mixtures sends into the search for the best pair
_MIXTURES = (0.0, 0.25, 0.5, 0.75, 1.0)


@validated
@takes_no_eps
def jsma(
    model: Classifier,
    inputs: Images,
    labels: Labels,
    *,
    norm: Norm = "l0",
    theta: float = 1.0,
    gamma: float = 1.0,
    saliency: Saliency = "lead",
    pair: bool = False,
    both_ways: bool = True,
    candidates: int = 3,
    steps: int = 500,
    pruned: bool = True,
    targets: Labels | None = None,
    generator: Randomness = None,  # noqa: ARG001 - of the house signature; nothing here is random
) -> Images:
    """Change the entries that count most, one after the other, until the model is fooled.

    Args:
        model: maps (n, c, h, w) in [0, 1] to logits (n, k); mode and gradients stay untouched.
        inputs: clean batch, (n, c, h, w), float, in [0, 1].
        labels: (n,), int64; the true class, always.
        norm: "l0"; entries are counted, c * h * w of them, not pixels.
        theta: change of an entry in one step, input units, in [-1, 1], not 0: above 0 entries only
            grow, below 0 they only shrink. With both_ways its sign has no meaning.
        gamma: largest share of the entries that may change, in (0, 1], rounded down.
        saliency: what an entry is worth. "lead": what its change adds, to first order, to the lead
            of the wanted class over the best other; "product": the slope of the wanted class times
            minus the slope of the sum of all others, where both help.
        pair: whether two entries change in a step; half the passes, and more entries.
        both_ways: whether an entry may grow or shrink, whichever helps.
        candidates: classes that are tried one after the other where there are no targets, those
            that the model finds likeliest for the clean image; the best result counts.
        steps: gradient evaluations for each class that is tried; one more forward pass scores the
            last point. "product" takes two forward passes a step. An image that is fooled stops.
        pruned: whether changes that are not needed are looked for at the end, which costs about
            log2(changes) forward passes.
        targets: (n,), int64; the classes to reach; None: any class but the label.
        generator: not used.

    Returns:
        (n, c, h, w) in [0, 1]; of all points seen the one with the fewest changed entries that is
        adversarial, all other entries exactly as they were; the clean image where it is
        adversarial already, or where none was found.

    Raises:
        InvalidInput: an argument breaks its rule, or the model gives no gradient.
        UnsupportedNorm: norm is not l0.

    Example:
        >>> import torch
        >>> flat = torch.nn.Flatten()
        >>> x, y = torch.tensor([0.75, 0.5, 0.25]).view(1, 1, 1, 3), torch.tensor([0])
        >>> jsma(flat, x, y).flatten()
        tensor([0.0000, 0.5000, 0.2500])

    Source: Papernot et al. 2016, arXiv:1511.07528, algorithms 2 and 3 (saliency="product",
    pair=True, both_ways=False, gamma=0.145, pruned=False and targets give that). Departures: by
    default an entry is worth what it adds to the lead, goes whichever way helps, and goes alone,
    which takes far fewer entries; without targets the likeliest wrong classes are tried; slopes are
    those of the scores, never of their softmax; an entry that has moved never turns back; the best
    pair is looked for among the 80 entries of the largest slopes, so that its price does not grow
    with the square of the image; needless changes are pruned.
    """
    check_call("jsma", inputs, labels, targets, eps=None, norm=norm, norms=NORMS, steps=steps)
    _check_knobs(theta, gamma, saliency, candidates)
    most = math.floor(gamma * math.prod(inputs.shape[1:]))
    rule = _Rule(theta, most, saliency, pair, both_ways, steps)

    def seek(nearest: NearestSearch, logits: Tensor) -> None:
        for towards in _candidates(nearest, logits, candidates):
            _walk(nearest, towards, rule)
        if pruned:
            prune(nearest, saturate=False)

    return where_needed(model, inputs, labels, targets, norm=norm, seek=seek)


@dataclass(frozen=True)
class _Rule:
    theta: float
    most: int
    saliency: Saliency
    pair: bool
    both_ways: bool
    steps: int


def _check_knobs(theta: float, gamma: float, saliency: str, candidates: int) -> None:
    require("jsma", "theta", "in [-1, 1], not 0", theta, holds=0 < abs(theta) <= 1)
    require("jsma", "gamma", "in (0, 1]", gamma, holds=0 < gamma <= 1)
    require("jsma", "candidates", ">= 1", candidates, holds=candidates >= 1)
    if saliency not in get_args(Saliency):
        raise unknown_name("saliency", saliency, get_args(Saliency))


def _candidates(nearest: NearestSearch, logits: Tensor, count: int) -> tuple[Tensor, ...]:
    """Return the classes (m,) to try, the likeliest first."""
    if nearest.goal.targets is not None:
        return (nearest.goal.targets,)
    classes = class_count(nearest.model, logits)
    wrong = logits[:, :classes].scatter(1, nearest.goal.labels[:, None], -torch.inf)
    return wrong.topk(min(count, classes - 1), dim=1).indices.unbind(1)


def _walk(nearest: NearestSearch, towards: Tensor, rule: _Rule) -> None:
    """Change entries until the rows are fooled, or nothing is left that helps."""
    point, rows = nearest.clean.clone(), all_rows(towards)
    # more entries than were found to be enough are of no use
    limit = (nearest.distance - 1).clamp_max(rule.most)
    for _ in range(rule.steps):
        logits, slopes = _slopes(nearest, point[rows], rows, towards[rows], rule.saliency)
        success = nearest.keep(point[rows], logits, rows)
        moved = _moved(point[rows], nearest.clean[rows], slopes, limit[rows], rule)
        changed = (moved != nearest.clean[rows]).flatten(1).sum(1)
        stuck = (moved == point[rows]).flatten(1).all(1)
        going = ~success & ~stuck & (changed <= limit[rows])
        rows, moved = rows[going], moved[going]
        if not len(rows):
            return
        point[rows] = moved
    nearest.read(point[rows], rows)


def _slopes(
    nearest: NearestSearch, points: Tensor, part: Tensor, towards: Tensor, saliency: Saliency
) -> tuple[Tensor, list[Tensor]]:
    """Return scores (m, k), and the slopes (m, d) that are to be climbed and descended."""
    model, rows, labels = nearest.model, nearest.rows[part], nearest.goal.labels[part]
    goals: list[Goal] = [LeadGoal(model, labels, towards)]
    if saliency == "product":
        goals = [Mislead(model, logit, labels, towards), Mislead(model, _others, towards, None)]
    visits, logits = zip(
        *(value_and_slope(model, points, rows, goal) for goal in goals), strict=True
    )
    return logits[0], [visit.slope.flatten(1) for visit in visits]


def _others(logits: Tensor, classes: Tensor) -> Tensor:
    return logits.sum(1) - logits.gather(1, classes[:, None])[:, 0]


def _moved(
    points: Tensor, clean: Tensor, slopes: list[Tensor], limit: Tensor, rule: _Rule
) -> Tensor:
    """Return the points after one step; unchanged where no entry is worth anything."""
    flat, start, helps = points.flatten(1), clean.flatten(1), slopes[0]
    way = helps.sign() if rule.both_ways else torch.full_like(helps, math.copysign(1, rule.theta))
    after = (flat + way * abs(rule.theta)).clamp(0, 1)
    changed = flat != start
    may = changed | (changed.sum(1) < limit)[:, None]  # (m, d)
    may &= (after != flat) & ((flat - start) * way >= 0)
    gain = (way * helps).masked_fill(~may, -torch.inf)
    if rule.saliency == "lead":
        chosen = _top(gain * (after - flat).abs(), 1 + rule.pair)
    else:
        relief = (-way * slopes[1]).masked_fill(~may, -torch.inf)
        chosen = _best_pair(gain, relief) if rule.pair else _top(_product(gain, relief), 1)
    return torch.where(chosen, after, flat).view_as(points)


def _top(worth: Tensor, count: int) -> Tensor:
    """Mark the most worthy entries of each row, (m, d), those that are worth nothing left out."""
    best, where = worth.nan_to_num(-1).topk(min(count, worth.shape[1]), dim=1)
    return torch.zeros_like(worth, dtype=torch.bool).scatter(1, where, best > 0)


def _product(gain: Tensor, relief: Tensor) -> Tensor:
    return torch.where(gain > 0, gain * relief, 0)


def _best_pair(gain: Tensor, relief: Tensor) -> Tensor:
    """Mark in each row, (m, d), the two entries with the largest product of summed slopes.

    An entry of a good pair has a large gain, a large relief, or much of both: those that lead some
    mixture of the two are tried against each other.
    """
    unit = [slope / _largest(slope) for slope in (gain, relief)]
    lists = [
        ((1 - share) * unit[0] + share * unit[1])
        .nan_to_num(-torch.inf)
        .topk(min(_SHORTLIST, gain.shape[1]), dim=1)
        .indices
        for share in _MIXTURES
    ]
    entry = torch.cat(lists, dim=1)  # (m, s), some of them twice
    sums = [slope.gather(1, entry) for slope in (gain, relief)]
    worth = _product(*(s[:, :, None] + s[:, None, :] for s in sums))  # (m, s, s)
    worth = worth.masked_fill(entry[:, :, None] == entry[:, None, :], 0).flatten(1)
    best, where = worth.max(1)
    first, second = where // entry.shape[1], where % entry.shape[1]
    both = entry.gather(1, torch.stack((first, second), dim=1))
    return torch.zeros_like(gain, dtype=torch.bool).scatter(
        1, both, (best > 0)[:, None].expand(-1, 2)
    )


def _largest(slope: Tensor) -> Tensor:
    finite = slope.masked_fill(~slope.isfinite(), 0)
    return finite.abs().amax(1, keepdim=True).clamp_min(torch.finfo(slope.dtype).tiny)


SPEC = AttackSpec(
    jsma,
    kind="minimal",
    norms=("l0",),
    source="Papernot et al. 2016, arXiv:1511.07528",
)
