"""Auto-PGD: a walk that chooses its own step size, in linf, l2 and l1."""

from dataclasses import replace

from torch import Tensor

from epsball.attacks.core.ascent import BestSeen, Goal, ascend
from epsball.attacks.core.checks import check_call
from epsball.attacks.core.validated import validated
from epsball.attacks.gradient.auto_step import AutoStep, SparseStep
from epsball.attacks.gradient.pgd import Mislead
from epsball.attacks.spec import AttackSpec
from epsball.geometry import project_into_box, random_in_ball, size
from epsball.objectives import cross_entropy, named_objective
from epsball.randomness import Randomness
from epsball.tensors import Classifier, Images, Labels, Objective
from epsball.types import Norm, Search

NORMS: tuple[Norm, ...] = ("linf", "l2", "l1")
_WIDER = ((3.0, 0.3), (2.0, 0.3), (1.0, 0.4))  # l1: eps in units of eps, share of the steps
_ROUNDING = 1e-6


@validated
def apgd(
    model: Classifier,
    inputs: Images,
    labels: Labels,
    *,
    eps: float,
    norm: Norm = "linf",
    steps: int = 100,
    objective: Objective | str = cross_entropy,
    targets: Labels | None = None,
    generator: Randomness = None,
    search: Search | None = None,
) -> Images:
    """Search the eps-ball with steps that are halved, for each image, where they stop helping.

    Args:
        model: maps (n, c, h, w) in [0, 1] to logits (n, k); mode and gradients stay untouched.
        inputs: clean batch, (n, c, h, w), float, in [0, 1].
        labels: (n,), int64; the true class, always.
        eps: ball radius in norm, input units (8 / 255, not 8).
        norm: "linf", "l2" or "l1".
        steps: gradient evaluations an image; one more forward pass scores the last point.
        objective: what an untargeted attack climbs; see `pgd`.
        targets: (n,), int64; the classes to reach; None: any class but the label.
        generator: source of the random start; torch's global one when None.
        search: what may be saved; None: full budget in float32.

    Returns:
        (n, c, h, w) in [0, 1], within eps of inputs; for each row, of all points seen, the one
        that ranks highest by (fooled, objective).

    Raises:
        InvalidInput: an argument breaks its rule, or the model gives no gradient.
        UnsupportedNorm: norm is l0.

    Example:
        >>> import torch
        >>> flat = torch.nn.Flatten()
        >>> x, y = torch.full((1, 1, 1, 2), 0.5), torch.tensor([0])
        >>> apgd(flat, x, y, eps=0.125).flatten()
        tensor([0.3750, 0.6250])

    Source: Croce and Hein 2020, arXiv:2003.01690, section 3; l1: Croce and Hein 2021,
    arXiv:2103.01208, sections 2 and 3.2. Departures: points rank by (fooled, objective) and the
    last one is scored; in linf and l2 the start is uniform over the ball.
    """
    check_call("apgd", inputs, labels, targets, eps=eps, norm=norm, norms=NORMS, steps=steps)
    goal = Mislead(model, named_objective(objective), labels, targets)
    return auto_ascend(
        model,
        inputs,
        goal=goal,
        eps=eps,
        norm=norm,
        steps=steps,
        generator=generator,
        search=search,
    )


def auto_ascend(
    model: Classifier,
    inputs: Images,
    *,
    goal: Goal,
    eps: float,
    norm: Norm,
    steps: int,
    generator: Randomness,
    search: Search | None,
) -> Images:
    """Walk as `apgd` does towards any goal; see there for the arguments."""
    inputs = inputs.detach()
    if norm != "l1":
        start = (inputs + random_in_ball(inputs, eps, norm, generator)).clamp(0, 1)
        return ascend(
            model,
            start,
            goal=goal,
            step=AutoStep(inputs, eps, norm, steps),
            steps=steps,
            keep="best",
            search=search,
        )
    best, stages = BestSeen(inputs), _stages(steps)
    start = inputs + random_in_ball(inputs, stages[0][0] * eps, norm, generator)

    def inside(points: Tensor, rows: Tensor) -> Tensor:
        return size(points - inputs[rows], "l1") <= eps * (1 + _ROUNDING)

    for number, (wider, count) in enumerate(stages):
        start = project_into_box(start, inputs, wider * eps, norm)
        step = SparseStep(inputs, wider * eps, count)
        # the wider balls only lead to a start: no image retires before the last
        last = number == len(stages) - 1
        allowed = search if last or search is None else replace(search, retire=False)
        ascend(
            model,
            start,
            goal=goal,
            step=step,
            steps=count,
            keep="best",
            search=allowed,
            best=best,
            inside=inside,
        )
        if not last:
            start = step.walk.best
    return best.points


def _stages(steps: int) -> list[tuple[float, int]]:
    """Return how much wider the ball is and for how many steps; few steps have one stage."""
    counts = [int(share * steps) for _, share in _WIDER[:-1]]
    if not all(counts):
        return [(1.0, steps)]
    wider = [factor for factor, _ in _WIDER]
    return list(zip(wider, [*counts, steps - sum(counts)], strict=True))


SPEC = AttackSpec(
    apgd,
    kind="budget",
    norms=("linf", "l2", "l1"),
    source="Croce and Hein 2020, arXiv:2003.01690; l1: arXiv:2103.01208",
    random=True,
)
