"""Attacks that are made on one model to fool others: averaged gradients and momentum."""

import torch

from epsball.attacks.core.checks import check_call, check_rank
from epsball.attacks.core.validated import validated
from epsball.attacks.gradient.pgd import Mislead
from epsball.attacks.spec import AttackSpec
from epsball.attacks.views.slopes import FlatSlope, MeanSlope, Slope, TunedSlope, unit
from epsball.attacks.views.table import named_views
from epsball.errors import InvalidInput, unknown_name
from epsball.geometry import project_into_box, steepest
from epsball.objectives import cross_entropy, named_objective
from epsball.randomness import Randomness
from epsball.tensors import Classifier, Images, Labels, Objective
from epsball.types import Norm

NORMS: tuple[Norm, ...] = ("linf", "l2")
# of the neighbourhood and of the inner step, in units of eps; of the inner memory
_VARIANCE_RADIUS = 1.5
_FLAT_RADIUS, _FLAT_STEP, _FLAT_DECAY = 2.0, 0.15, 0.9


@validated
def transfer(
    model: Classifier,
    inputs: Images,
    labels: Labels,
    *,
    eps: float,
    norm: Norm = "linf",
    steps: int = 10,
    step_size: float | None = None,
    views: str = "structure",
    copies: int = 0,
    kernel: int = 0,
    estimate: str = "point",
    neighbours: int = 20,
    decay: float = 1.0,
    lookahead: bool = False,
    objective: Objective | str = cross_entropy,
    targets: Labels | None = None,
    generator: Randomness = None,
) -> Images:
    """Fool models that were never asked, by momentum over averaged gradients of one model.

    Every part can be combined with every other: views of the image, smoothing of the gradient, the
    estimate of the gradient, a look-ahead, several sources (`ensemble`), and a targeted objective.

    Args:
        model: the source model; maps (n, c, h, w) to logits (n, k); mode and gradients stay
            untouched. Views may show it values a little outside [0, 1].
        inputs: clean batch, (n, c, h, w), float, in [0, 1].
        labels: (n,), int64; the true class, always.
        eps: ball radius in norm, input units (8 / 255, not 8).
        norm: "linf" or "l2".
        steps: at least 1; each takes copies gradients, times neighbours (+ 1) where the estimate
            uses them.
        step_size: length of one step, input units; eps / steps when None.
        views: names separated by "+": "diversity" (resize and pad), "scale" (darker copies),
            "structure" (blocks changed, SIA), "shuffle" (blocks turned and moved, BSR); or "none".
        copies: changed copies a gradient is averaged over; 0: the largest number that one of the
            views asks for (diversity 1, scale 5, structure and shuffle 20).
        kernel: side of the Gaussian that smooths the gradient (translation invariance), odd;
            0: no smoothing.
        estimate: "point": the gradient; "variance": variance tuning; "flat": the gradient at the
            worst points near random neighbours (MEF).
        neighbours: of the estimates "variance" and "flat", at least 1.
        decay: of the momentum, at least 0.
        lookahead: take the gradient where the momentum leads (Nesterov).
        objective: see `pgd`; "logit" with targets is the targeted logit attack.
        targets: (n,), int64; the classes to reach; None: any class but the label.
        generator: source of views and neighbours; torch's global one when None.

    Returns:
        (n, c, h, w) in [0, 1], within eps of inputs: the last point, whether or not it fools the
        source. It is never stopped early: the steps after the first success are those that carry
        over to other models.

    Raises:
        InvalidInput: an argument breaks its rule, or the model gives no gradient.
        UnsupportedNorm: norm is neither linf nor l2.

    Example:
        >>> import torch
        >>> flat = torch.nn.Flatten()
        >>> x, y = torch.full((1, 1, 1, 2), 0.5), torch.tensor([0])
        >>> transfer(flat, x, y, eps=0.125, views="none").flatten()
        tensor([0.3750, 0.6250])

    Source: momentum: Dong et al. 2018, arXiv:1710.06081; look-ahead and scale: Lin et al. 2020,
    arXiv:1908.06281; kernel: Dong et al. 2019, arXiv:1904.02884; variance: Wang and He 2021,
    arXiv:2103.15571; flat: Qiu et al. 2024, arXiv:2405.16181; logit: Zhao et al. 2021,
    arXiv:2012.11207; views: see `VIEWS`. Departure: gradients are scaled to a mean absolute value
    of 1 (l2: to length 1), as in the published code of the later sources, not to a sum of 1.
    """
    check_call(
        "transfer",
        inputs,
        labels,
        targets,
        eps=eps,
        norm=norm,
        norms=NORMS,
        steps=steps,
        step_size=step_size,
    )
    _check(kernel, neighbours, decay)
    goal = Mislead(model, named_objective(objective), labels, targets)
    if views != "none":
        check_rank("transfer", inputs)
    slope: Slope = MeanSlope(model, goal, named_views("transfer", views, copies), kernel, generator)
    return follow(
        inputs,
        _estimated(slope, estimate, neighbours=neighbours, eps=eps, norm=norm, generator=generator),
        eps=eps,
        norm=norm,
        steps=steps,
        step_size=eps / steps if step_size is None else step_size,
        decay=decay,
        lookahead=lookahead,
    )


def follow(
    inputs: Images,
    slope: Slope,
    *,
    eps: float,
    norm: Norm,
    steps: int,
    step_size: float,
    decay: float,
    lookahead: bool,
) -> Images:
    """Take steps along the momentum of a slope, inside the ball and [0, 1].

    Args:
        inputs: (n, c, h, w), the clean images.
        slope: the estimate of the gradient.
        eps: radius in norm.
        norm: "linf" or "l2".
        steps: number of steps.
        step_size: length of each in norm.
        decay: of the momentum.
        lookahead: take the slope where the momentum leads.

    Returns:
        (n, c, h, w), the last point.
    """
    point = inputs.detach().clone()
    momentum = torch.zeros_like(point)
    for _ in range(steps):
        ahead = point + step_size * decay * momentum if lookahead else point
        momentum = decay * momentum + unit(slope(point, ahead), norm)
        point = project_into_box(point + step_size * steepest(momentum, norm), inputs, eps, norm)
    return point.detach()


def _check(kernel: int, neighbours: int, decay: float) -> None:
    if kernel < 0 or (kernel and kernel % 2 == 0):
        raise InvalidInput(f"transfer: kernel must be odd, or 0 for no smoothing, got {kernel}")
    if neighbours < 1:
        raise InvalidInput(f"transfer: neighbours must be >= 1, got {neighbours}")
    if not decay >= 0:
        raise InvalidInput(f"transfer: decay must be >= 0, got {decay}")


def _estimated(
    slope: Slope,
    estimate: str,
    *,
    neighbours: int,
    eps: float,
    norm: Norm,
    generator: Randomness,
) -> Slope:
    if estimate == "point":
        return slope
    if estimate == "variance":
        return TunedSlope(slope, neighbours, _VARIANCE_RADIUS * eps, norm, generator)
    if estimate == "flat":
        inner = _FLAT_STEP * eps
        return FlatSlope(slope, neighbours, _FLAT_RADIUS * eps, inner, _FLAT_DECAY, norm, generator)
    raise unknown_name("estimate of transfer", estimate, ("point", "variance", "flat"))


SPEC = AttackSpec(
    transfer,
    kind="budget",
    norms=("linf", "l2"),
    source="Wang et al. 2023, arXiv:2309.14700, and what can be combined with it",
    random=True,
    keeps="last",
    averages=True,
)
