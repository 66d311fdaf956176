"""Projected gradient descent: the workhorse."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor

from epsball.attacks.core.ascent import ascend
from epsball.attacks.core.asking import class_count
from epsball.attacks.core.checks import check_call
from epsball.attacks.core.validated import validated
from epsball.attacks.gradient.sign_family import family_step
from epsball.attacks.spec import AttackSpec
from epsball.errors import InvalidInput
from epsball.geometry import random_in_ball
from epsball.objectives import cross_entropy, is_adversarial, named_objective
from epsball.randomness import Randomness
from epsball.rejecting import HINGES, against_rejection
from epsball.tensors import Classifier, Images, Labels, Objective
from epsball.types import Norm, Search

NORMS: tuple[Norm, ...] = ("linf", "l2")


@dataclass(frozen=True)
class Mislead:
    """Climb an objective away from the labels, or towards the targets.

    Being rejected stands against the attacker either way: see `against_rejection`.
    """

    model: Classifier
    objective: Objective
    labels: Tensor
    targets: Tensor | None

    def __post_init__(self) -> None:
        """Refuse what has no slope where the model is sure."""
        if self.targets is None and self.objective in HINGES.values():
            raise InvalidInput(
                "objectives reject-hinge and reject-hinge-one are lowered towards a class, and no "
                "targets are given; use the attack rejection, which chooses one, or another "
                "objective such as reject-margin"
            )

    def value(self, logits: Tensor) -> Tensor:
        """Return the objective of the labels, or minus that of the targets."""
        if self.targets is None:
            classes = class_count(self.model, logits)
            return self.objective(against_rejection(logits, self.labels, classes), self.labels)
        return -self.objective(logits, self.targets)

    def success(self, logits: Tensor) -> Tensor:
        """Judge success; being rejected is none."""
        classes = class_count(self.model, logits)
        return is_adversarial(logits, self.labels, self.targets, classes=classes)

    def rows(self, chosen: Tensor) -> "Mislead":
        """Return the goal of some rows."""
        targets = None if self.targets is None else self.targets[chosen]
        return replace(self, labels=self.labels[chosen], targets=targets)


@validated
def pgd(
    model: Classifier,
    inputs: Images,
    labels: Labels,
    *,
    eps: float,
    norm: Norm = "linf",
    steps: int = 40,
    step_size: float | None = None,
    objective: Objective | str = cross_entropy,
    random_start: bool = True,
    targets: Labels | None = None,
    generator: Randomness = None,
    search: Search | None = None,
) -> Images:
    """Search the eps-ball around each image for the point the model likes least.

    Args:
        model: maps (n, c, h, w) in [0, 1] to logits (n, k); mode and gradients stay untouched.
        inputs: clean batch, (n, c, h, w), float, in [0, 1].
        labels: (n,), int64; the true class, always.
        eps: ball radius in norm, input units (8 / 255, not 8).
        norm: "linf" or "l2"; geometry of the ball and of a step.
        steps: gradient evaluations an image; one more forward pass scores the last point.
        step_size: length of every step in norm, input units. None: steps begin with half of eps
            (more where steps are few) and shrink to nothing, so that they cross the ball at first
            and settle at last.
        objective: what an untargeted attack climbs: "cross-entropy", "margin", "hinge", "dlr",
            "logit", "reject-margin" (the margin: of a model that rejects, being rejected stands
            against the attacker under every objective), or a function (logits, labels) -> (n,).
        random_start: begin at a random point of the ball instead of at the image.
        targets: (n,), int64; the classes to reach; None: any class but the label.
        generator: source of the random start; torch's global one when None.
        search: what may be saved; None: full budget in float32.

    Returns:
        (n, c, h, w) in [0, 1], within eps of inputs; for each row, of the steps + 1 points seen,
        the one that ranks highest by (fooled, objective).

    Raises:
        InvalidInput: an argument breaks its rule, or the model gives no gradient.
        UnsupportedNorm: norm is neither linf nor l2.

    Example:
        >>> import torch
        >>> flat = torch.nn.Flatten()
        >>> x, y = torch.full((1, 1, 1, 2), 0.5), torch.tensor([0])
        >>> pgd(flat, x, y, eps=0.125).flatten()
        tensor([0.3750, 0.6250])

    Source: Madry et al. 2018, arXiv:1706.06083, section 2.1. Departures: the best point seen is
    returned, not the last; the start is clipped to [0, 1]; steps shrink linearly by default, which
    finds more than the usual constant 2.5 * eps / steps (`step_size=` gives that).
    """
    check_call(
        "pgd",
        inputs,
        labels,
        targets,
        eps=eps,
        norm=norm,
        norms=NORMS,
        steps=steps,
        step_size=step_size,
    )
    start = inputs.detach().clone()
    if random_start:
        start = (start + random_in_ball(start, eps, norm, generator)).clamp(0, 1)
    length = shrinking(eps, steps) if step_size is None else step_size
    return ascend(
        model,
        start,
        goal=Mislead(model, named_objective(objective), labels, targets),
        step=family_step(inputs, eps=eps, norm=norm, step_size=length, gradient=None, clip=True),
        steps=steps,
        keep="best",
        search=search,
    )


def shrinking(eps: float, steps: int) -> Callable[[int], float]:
    """Return the length of each step, falling linearly from half of eps to nothing.

    Few steps begin with more than that: together they have to be able to cross the whole ball.
    """
    first = eps * max(0.5, 5 / steps)
    return lambda number: first * (1 - number / steps)


SPEC = AttackSpec(
    pgd,
    kind="budget",
    norms=("linf", "l2"),
    source="Madry et al. 2018, arXiv:1706.06083",
    random=True,
)
