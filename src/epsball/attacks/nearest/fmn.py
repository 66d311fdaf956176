"""Fast minimum norm: a ball whose radius follows the border."""

from dataclasses import dataclass

import torch
from torch import Tensor

from epsball.attacks.core.asking import all_rows
from epsball.attacks.core.checks import check_call, takes_no_eps
from epsball.attacks.core.validated import validated
from epsball.attacks.nearest.chase import (
    Evaluation,
    LogOdds,
    cosine,
    evaluate_clean,
    evaluate_step,
    first_radius,
    length,
    never_zero,
    result,
    widest,
)
from epsball.attacks.nearest.sparse import NearestSearch, require
from epsball.attacks.spec import AttackSpec
from epsball.geometry import per_row, project_into_box
from epsball.randomness import Randomness
from epsball.tensors import Classifier, Images, Labels
from epsball.types import Norm, Search

NORMS: tuple[Norm, ...] = ("linf", "l2", "l1", "l0")
_BEYOND = 1.001  # times the way to a border leads across it, whatever is lost in rounding


@dataclass(frozen=True)
class _Pace:
    """How steps and radius change in a norm.

    Found by trying, on a plain and on a PGD-trained network for MNIST, with 30 and 100 steps.

    Args:
        step: length of the first and of the last step: in units of the radius; in l0 in input
            units.
        gamma: share of the radius by which it changes, at first and at last.
    """

    step: tuple[float, float]
    gamma: tuple[float, float]


_PACES: dict[Norm, _Pace] = {
    "linf": _Pace((1.0, 0.01), (0.1, 0.001)),
    "l2": _Pace((4.0, 0.01), (0.1, 0.001)),
    "l1": _Pace((4.0, 0.01), (0.2, 0.001)),
    # the least change of a count is 1 anyway
    "l0": _Pace((1.0, 0.1), (0.3, 0.05)),
}


@validated
@takes_no_eps
def fmn(
    model: Classifier,
    inputs: Images,
    labels: Labels,
    *,
    norm: Norm = "linf",
    steps: int = 100,
    step_size: float | None = None,
    gamma: float | None = None,
    targets: Labels | None = None,
    generator: Randomness = None,  # noqa: ARG001 - of the house signature; nothing here is random
    search: Search | None = None,
) -> Images:
    """Find for each image the nearest adversarial one, in a ball that follows the border.

    Every step climbs the gradient and is projected into a ball around the image. The ball shrinks
    where the last point fooled the model and grows where it did not, by less and less.

    Args:
        model: maps (n, c, h, w) in [0, 1] to logits (n, k); mode and gradients stay untouched.
        inputs: clean batch, (n, c, h, w), float, in [0, 1].
        labels: (n,), int64; the true class, always.
        norm: "linf", "l2", "l1", or "l0", which counts entries (c * h * w of them), not pixels.
        steps: gradient evaluations an image; one more forward pass scores the last point.
        step_size: length of the first step, above 0, in units of the ball's radius (a direction of
            length one in linf, or in l2 for l2 and l1), in l0 in input units; steps fall to almost
            nothing along a cosine. None: 1, in l2 and l1 4.
        gamma: in (0, 1), the share of the radius by which it changes at first; falls along a
            cosine. None: 0.1, in l1 0.2, in l0 0.3.
        targets: (n,), int64; the classes to reach; None: any class but the label.
        generator: not used; the walk is not random.
        search: a cheaper copy to search on, whose every find the model itself confirms, and which
            the last tenth of the steps leaves; None: float32 throughout.

    Returns:
        (n, c, h, w) in [0, 1]; of all points seen the nearest that is adversarial; the clean
        image where it is adversarial already, or where none was found.

    Raises:
        InvalidInput: an argument breaks its rule, or the model gives no gradient.
        UnsupportedNorm: norm is none of the four.

    Example:
        >>> import torch
        >>> x, y = torch.tensor([0.75, 0.25]).view(1, 1, 1, 2), torch.tensor([0])
        >>> fmn(torch.nn.Flatten(), x, y).sub(x).abs().max() < 0.2505
        tensor(True)

    Source: Pintor et al. 2021, arXiv:2102.12827, algorithm 1. Departures: steps are measured in
    radii, so that images of any size and models of any robustness are walked alike, and begin
    longer; in linf they follow the sign of the gradient, not the gradient over its l2 length; the
    first half of them climbs the log-odds, the second half the lead of the best class, as the
    source does throughout; gamma begins at 0.1 or more, not at 0.05; before anything is found the
    radius grows by gamma at least, where the source may come to rest; the projection in l1 is into
    ball and box at once; in l0 the entries that are kept are those whose change is worth most by
    the gradient, not the largest changes, and the first radius is as many as a linear model would
    need; the last point is scored as well. There are no starting points.
    """
    check_call(
        "fmn",
        inputs,
        labels,
        targets,
        eps=None,
        norm=norm,
        norms=NORMS,
        steps=steps,
        step_size=step_size,
    )
    pace = _pace(norm, step_size, gamma)
    nearest, here = evaluate_clean(
        model, inputs, labels, targets, norm=norm, soft=True, search=search
    )
    if len(nearest.rows):
        _walk(nearest, here, pace, steps)
    return result(nearest, inputs)


def _pace(norm: Norm, step_size: float | None, gamma: float | None) -> _Pace:
    """Return the norm's own pace, or one that begins as asked and ends in the same proportion."""
    own = _PACES[norm]
    step, change = step_size or own.step[0], own.gamma[0] if gamma is None else gamma
    require("fmn", "gamma", "in (0, 1)", change, holds=0 < change < 1)
    return _Pace(
        (step, own.step[1] * step / own.step[0]), (change, own.gamma[1] * change / own.gamma[0])
    )


def _walk(nearest: NearestSearch, here: Evaluation, pace: _Pace, steps: int) -> None:
    point, far = nearest.clean, torch.zeros_like(nearest.distance)
    radius, limit = torch.zeros_like(far), widest(nearest.clean, nearest.norm)
    odds = LogOdds(nearest.goal, here.lead)
    for number in range(steps):
        delta = point - nearest.clean
        if number:
            far = length(delta, nearest.norm)
            here = evaluate_step(nearest, odds, point, far, number=number, steps=steps)
        step, change = cosine(*pace.step, number, steps), cosine(*pace.gamma, number, steps)
        if nearest.norm == "l0":
            point, radius = _few_entries(nearest, here, delta, radius, step=step, change=change)
        else:
            away = _BEYOND * first_radius(far, here, nearest.norm, limit)
            radius = _radius(nearest, here, radius, away, change).minimum(limit)
            point = _into_ball(nearest, here, delta, radius, step)
    nearest.read(point)


def _radius(
    nearest: NearestSearch, here: Evaluation, radius: Tensor, away: Tensor, change: float
) -> Tensor:
    """Return the radii of the next balls in linf, l2 or l1; at least away till one is found."""
    shrunk = torch.minimum(radius * (1 - change), nearest.distance)
    grown = radius * (1 + change)
    larger = torch.where(nearest.distance.isfinite(), grown, torch.maximum(away, grown))
    return torch.where(here.success, shrunk, larger)


def _into_ball(
    nearest: NearestSearch, here: Evaluation, delta: Tensor, radius: Tensor, step: float
) -> Tensor:
    """Return the next points in linf, l2 or l1."""
    if nearest.norm == "linf":
        moved = delta.addcmul_(here.slope.sign(), per_row(step * radius, delta))
        limit = per_row(radius, delta)
        return torch.clamp(moved, -limit, limit).add_(nearest.clean).clamp_(0, 1)
    moved = delta.addcmul_(here.slope, here.along(step * radius))
    if nearest.norm == "l1":
        return project_into_box(nearest.clean + moved, nearest.clean, radius, "l1")
    share = (radius / never_zero(length(moved, "l2"))).clamp_max(1)
    return torch.addcmul(nearest.clean, moved, per_row(share, moved)).clamp_(0, 1)


def _few_entries(
    nearest: NearestSearch,
    here: Evaluation,
    delta: Tensor,
    radius: Tensor,
    *,
    step: float,
    change: float,
) -> tuple[Tensor, Tensor]:
    """Return the next points in l0, and how many of their entries may differ."""
    clean_lead = here.lead - (here.slope * delta).flatten(1).sum(1)
    moved = (nearest.clean + delta + step * here.slope.sign()).clamp(0, 1)
    # what the change of an entry adds to the lead, to first order
    worth, order = (here.slope * (moved - nearest.clean)).flatten(1).sort(dim=1, descending=True)
    rank = torch.empty_like(order).scatter_(1, order, all_rows(order[0]).expand_as(order))
    shrunk = torch.minimum(nearest.distance - 1, (radius * (1 - change)).floor())
    grown = torch.maximum(radius + 1, (radius * (1 + change)).floor())
    needed = 1 + (clean_lead[:, None] + worth.cumsum(1) <= 0).sum(1)
    larger = torch.where(nearest.distance.isfinite(), grown, torch.maximum(grown, needed))
    radius = torch.where(here.success, shrunk, larger).clamp(1, order.shape[1])
    changeable = rank.view_as(delta) < per_row(radius, delta)
    return torch.where(changeable, moved, nearest.clean), radius


SPEC = AttackSpec(
    fmn,
    kind="minimal",
    norms=("linf", "l2", "l1", "l0"),
    source="Pintor et al. 2021, arXiv:2102.12827",
)
