"""Decoupled direction and norm: on a sphere whose radius follows the border."""

import torch

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
from epsball.geometry import per_row
from epsball.randomness import Randomness
from epsball.tensors import Classifier, Images, Labels
from epsball.types import Norm, Search

NORMS: tuple[Norm, ...] = ("l2",)
_LAST = 0.01  # of the first step and of the first change of the radius is left at the end


@validated
@takes_no_eps
def ddn(
    model: Classifier,
    inputs: Images,
    labels: Labels,
    *,
    norm: Norm = "l2",
    steps: int = 100,
    step_size: float = 2.0,
    gamma: float = 0.1,
    targets: Labels | None = None,
    generator: Randomness = None,  # noqa: ARG001 - of the house signature; nothing here is random
    search: Search | None = None,
) -> Images:
    """Find for each image the nearest adversarial one in l2, direction and distance apart.

    Every step turns the direction of the perturbation along the gradient; its length is set
    apart from that: shorter where the last point fooled the model, longer where it did not.

    Args:
        model: maps (n, c, h, w) in [0, 1] to logits (n, k); mode and gradients stay untouched.
        inputs: clean batch, (n, c, h, w), float, in [0, 1].
        labels: (n,), int64; the true class, always.
        norm: "l2".
        steps: gradient evaluations an image; one more forward pass scores the last point.
        step_size: length of the first step, above 0, in units of the sphere's radius; steps fall
            to a hundredth of it along a cosine.
        gamma: in (0, 1), the share of the radius by which it changes at first; falls likewise.
        targets: (n,), int64; the classes to reach; None: any class but the label.
        generator: not used; the walk is not random.
        search: a cheaper copy to search on, whose every find the model itself confirms, and which
            the last tenth of the steps leaves; None: float32 throughout.

    Returns:
        (n, c, h, w) in [0, 1]; of all points seen the nearest that is adversarial; the clean
        image where it is adversarial already, or where none was found.

    Raises:
        InvalidInput: an argument breaks its rule, or the model gives no gradient.
        UnsupportedNorm: norm is not l2.

    Example:
        >>> import torch
        >>> x, y = torch.tensor([0.75, 0.25]).view(1, 1, 1, 2), torch.tensor([0])
        >>> ddn(torch.nn.Flatten(), x, y).sub(x).norm() < 0.354
        tensor(True)

    Source: Rony et al. 2019, arXiv:1811.09600, algorithm 1. Departures: the gradient is that of
    the log-odds, which points where the cross-entropy's does and does not vanish where the softmax
    saturates; steps are measured in radii, not in input units; the first radius is where a linear
    model would have its border, not 1; gamma begins at 0.1 and falls, where 0.05 throughout cannot
    come nearer than that to the border; the last point is scored as well; nothing is rounded to 8
    bits.
    """
    check_call(
        "ddn",
        inputs,
        labels,
        targets,
        eps=None,
        norm=norm,
        norms=NORMS,
        steps=steps,
        step_size=step_size,
    )
    require("ddn", "gamma", "in (0, 1)", gamma, holds=0 < gamma < 1)
    nearest, here = evaluate_clean(
        model, inputs, labels, targets, norm=norm, soft=True, search=search
    )
    if len(nearest.rows):
        _walk(nearest, here, step_size, gamma, steps)
    return result(nearest, inputs)


def _walk(
    nearest: NearestSearch, here: Evaluation, step_size: float, gamma: float, steps: int
) -> None:
    clean, odds = nearest.clean, LogOdds(nearest.goal, here.lead)
    limit = widest(clean, "l2")
    point, far = clean, torch.zeros_like(nearest.distance)
    radius = far
    for number in range(steps):
        delta = point - clean
        if number:
            far = length(delta, "l2")
            here = evaluate_step(nearest, odds, point, far, number=number, steps=steps)
        step = cosine(step_size, _LAST * step_size, number, steps)
        change = cosine(gamma, _LAST * gamma, number, steps)
        away = first_radius(far, here, "l2", limit).masked_fill(nearest.distance.isfinite(), 0)
        grown = torch.maximum(radius, away) * (1 + change)
        radius = torch.where(here.success, radius * (1 - change), grown).minimum(limit)
        longer = delta.addcmul_(here.slope, here.along(step * radius))
        share = radius / never_zero(length(longer, "l2"))
        point = torch.addcmul(clean, longer, per_row(share, longer)).clamp_(0, 1)
    nearest.read(point)


SPEC = AttackSpec(
    ddn,
    kind="minimal",
    norms=("l2",),
    source="Rony et al. 2019, arXiv:1811.09600",
)
