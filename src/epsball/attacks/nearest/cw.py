"""Carlini and Wagner's attack: distance and success in one loss, weighed for each image."""

import math
from dataclasses import dataclass, fields, replace
from functools import partial

import torch
from torch import Tensor

from epsball.attacks.core.ascent import value_and_slope
from epsball.attacks.core.asking import all_rows, read
from epsball.attacks.core.checks import check_call, takes_no_eps
from epsball.attacks.core.validated import validated
from epsball.attacks.nearest.chase import (
    Evaluation,
    cosine,
    draw_back,
    evaluate_clean,
    handicapped,
    reach,
    result,
    widest,
)
from epsball.attacks.nearest.sparse import NearestSearch, require
from epsball.attacks.spec import AttackSpec
from epsball.geometry import per_row
from epsball.randomness import Randomness
from epsball.tensors import Classifier, Images, Labels
from epsball.types import Norm, Search

NORMS: tuple[Norm, ...] = ("l2",)
_DECAY, _DECAY_SQUARES, _TINY = 0.9, 0.999, 1e-8  # Adam's own constants
_GROWTH = 10.0  # of the constant, until one is found that fools
_LEAST_GAIN = 1e-4  # of the loss, in a quarter of the steps; with less a row gives up
_BACK = 0.1  # of the distance is halved at the end
_MOST = 1e10  # a constant beyond it means that no slope leads to the border


@validated
@takes_no_eps
def cw(
    model: Classifier,
    inputs: Images,
    labels: Labels,
    *,
    norm: Norm = "l2",
    searches: int = 5,
    steps: int = 100,
    step_size: float | None = None,
    constant: float | None = None,
    confidence: float = 0.0,
    abort_early: bool = True,
    halvings: int = 6,
    targets: Labels | None = None,
    generator: Randomness = None,  # noqa: ARG001 - of the house signature; nothing here is random
    search: Search | None = None,
) -> Images:
    """Find for each image the nearest adversarial one in l2, by Carlini and Wagner's loss.

    Minimises (squared distance) + constant * (what the image lacks to fool the model) with Adam,
    and searches for each image's own constant by bisection.

    Args:
        model: maps (n, c, h, w) in [0, 1] to logits (n, k); mode and gradients stay untouched.
        inputs: clean batch, (n, c, h, w), float, in [0, 1].
        labels: (n,), int64; the true class, always.
        norm: "l2".
        searches: constants that are tried for each image.
        steps: gradient evaluations an image for each constant; one more forward pass scores the
            last point. All begin at the clean image, whose gradient is taken once.
        step_size: Adam's learning rate at first, above 0, input units; falls to nothing along a
            cosine. None: as far as a linear model's border is, shared out among all entries.
        constant: the first one, above 0; None: twice what a linear model would need.
        confidence: at least 0; the lead that is asked for, in scores.
        abort_early: whether an image gives a constant up once its loss no longer falls.
        halvings: forward passes at the end that look for a nearer point on the straight way back,
            over the last tenth of the distance.
        targets: (n,), int64; the classes to reach; None: any class but the label.
        generator: not used.
        search: a cheaper copy to search on, whose every find the model itself confirms; not used
            where a confidence is asked for. None: float32 throughout.

    Returns:
        (n, c, h, w) in [0, 1]; of all points seen the nearest that is adversarial (by confidence);
        the clean image where it is that already, or where none was found.

    Raises:
        InvalidInput: an argument breaks its rule, or the model gives no gradient.
        UnsupportedNorm: norm is not l2.

    Example:
        >>> import torch
        >>> x, y = torch.tensor([0.75, 0.25]).view(1, 1, 1, 2), torch.tensor([0])
        >>> cw(torch.nn.Flatten(), x, y).sub(x).norm() < 0.36
        tensor(True)

    Source: Carlini and Wagner 2017, arXiv:1608.04644, section VI-A, with the constants of their
    code. Departures: the box is kept by clipping after every step (their section V-B calls it
    projected gradient descent), not by tanh, whose slope is almost zero at black and white;
    learning rate and first constant are each image's own and come from its clean gradient, and
    the rate falls; an image gives up alone, when its best loss has not fallen for a quarter of the
    steps, not with its batch; 5 searches of 100 steps, not 9 of 10,000; the last point is scored;
    the result is drawn back towards the clean image.
    """
    call = partial(check_call, "cw", inputs, labels, targets, eps=None, norm=norm, norms=NORMS)
    call(steps=steps, step_size=step_size)
    require("cw", "searches", ">= 1", searches, holds=searches >= 1)
    require("cw", "constant", "> 0", constant or 0, holds=constant is None or constant > 0)
    require("cw", "halvings", ">= 0", halvings, holds=halvings >= 0)
    require("cw", "confidence", ">= 0", confidence, holds=confidence >= 0)
    if search is not None and confidence:
        model, search = search.confirm or model, replace(search, confirm=None)
    nearest, here = evaluate_clean(
        model, inputs, labels, targets, norm=norm, confidence=confidence, search=search
    )
    if len(nearest.rows):
        plan = _Plan(steps, _rates(nearest, here, step_size), confidence, abort_early)
        _search(nearest, here, plan, _constants(here, constant), searches)
        success_at = partial(_score, nearest, confidence=confidence)
        draw_back(nearest, halvings, back=_BACK, success_at=success_at)
    return result(nearest, inputs)


@dataclass(frozen=True)
class _Plan:
    """What stays the same from one constant to the next; rates (m,) are learning rates."""

    steps: int
    rates: Tensor
    confidence: float
    abort_early: bool

    def gives_up_at(self, number: int) -> bool:
        """Say whether progress is looked at before a step."""
        return self.abort_early and number > 0 and number % max(1, self.steps // 4) == 0


def _rates(nearest: NearestSearch, here: Evaluation, step_size: float | None) -> Tensor:
    if step_size is not None:
        return torch.full_like(here.lead, step_size)
    far = torch.minimum(reach(here, "l2"), widest(nearest.clean, "l2"))
    return far / math.sqrt(nearest.clean[0].numel())


def _constants(here: Evaluation, constant: float | None) -> Tensor:
    """Return the first constants, (m,).

    On a linear model of slope g the loss is least at the border for every constant above
    2 * lead / |g|^2, and short of it below.
    """
    if constant is not None:
        return torch.full_like(here.lead, constant)
    return (2 * 2 * here.lead.abs() / here.steepness / here.steepness).clamp(_TINY, _MOST)


def _search(
    nearest: NearestSearch, here: Evaluation, plan: _Plan, constants: Tensor, searches: int
) -> None:
    """Raise the constant where nothing was found, then halve its range."""
    low, high = torch.zeros_like(constants), torch.full_like(constants, torch.inf)
    for _ in range(searches):
        success = _descend(nearest, here, plan, constants)
        low = torch.where(success, low, constants)
        high = torch.where(success, constants, high)
        constants = torch.where(high.isinf(), constants * _GROWTH, (low + high) / 2)
        constants = constants.clamp_max(_MOST)


@dataclass
class _State:
    """Adam's state of the rows that go on, and their progress."""

    part: Tensor  # (p,), which rows of the search they are
    constant: Tensor  # (p,)
    point: Tensor  # (p, c, h, w), as are mean and squares
    mean: Tensor
    squares: Tensor
    least: Tensor  # (p,), the lowest loss so far
    before: Tensor  # (p,), what it was when progress was looked at last

    def keep(self, chosen: Tensor) -> None:
        """Go on with some rows only."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name)[chosen])


def _descend(nearest: NearestSearch, here: Evaluation, plan: _Plan, constants: Tensor) -> Tensor:
    """Descend once from the clean images; return (m,), the rows with a success."""
    success, endless = torch.zeros_like(here.success), torch.full_like(constants, torch.inf)
    start, zero = nearest.clean, torch.zeros_like(nearest.clean)
    state = _State(all_rows(start), constants, start, zero, zero, endless, endless)
    for number in range(plan.steps):
        if number:
            here = _see(nearest, state, plan.confidence)
            success[state.part] |= here.success
        lacks = state.constant * (-here.lead).clamp_min(0)
        delta = state.point - nearest.clean[state.part]
        state.least = torch.minimum(state.least, delta.flatten(1).square().sum(1) + lacks)
        if plan.gives_up_at(number):
            going = (state.least <= (1 - _LEAST_GAIN) * state.before).nonzero()[:, 0]
            state.before = state.least
            state.keep(going)
            if not len(going):
                return success
            here = here.rows(going)
        _step(nearest, here, plan, state, number)
    success[state.part] |= _score(nearest, state.point, state.part, plan.confidence)
    return success


def _see(nearest: NearestSearch, state: _State, confidence: float) -> Evaluation:
    goal = nearest.goal.rows(state.part)
    rows, batch = nearest.rows[state.part], nearest.search.micro_batch
    visit, logits = value_and_slope(nearest.model, state.point, rows, goal, micro_batch=batch)
    logits = handicapped(goal, logits, confidence)
    success = nearest.keep(state.point, logits, state.part)
    return Evaluation(success, goal.value(logits), visit.slope)


def _score(nearest: NearestSearch, points: Tensor, part: Tensor, confidence: float) -> Tensor:
    """Return the successes (m,) at points; the search keeps those that are nearer than before."""
    logits = read(nearest.exact, points, nearest.rows[part], nearest.search.micro_batch)
    logits = handicapped(nearest.goal.rows(part), logits, confidence)
    return nearest.keep(points, logits, part, exact=True)


def _step(
    nearest: NearestSearch, here: Evaluation, plan: _Plan, state: _State, number: int
) -> None:
    """Move the points by one step of Adam."""
    clean = nearest.clean[state.part]
    pull = torch.where(here.lead < 0, state.constant, 0)
    slope = 2 * (state.point - clean) - per_row(pull, clean) * here.slope
    state.mean = state.mean.lerp(slope, 1 - _DECAY)
    state.squares = state.squares.lerp(slope**2, 1 - _DECAY_SQUARES)
    root = (state.squares / (1 - _DECAY_SQUARES ** (number + 1))).sqrt() + _TINY
    length = plan.rates[state.part] * cosine(1, 0, number, plan.steps)
    length = length / (1 - _DECAY ** (number + 1))
    state.point = (state.point - per_row(length, clean) * state.mean / root).clamp(0, 1)


SPEC = AttackSpec(
    cw,
    kind="minimal",
    norms=("l2",),
    source="Carlini and Wagner 2017, arXiv:1608.04644",
)
