"""Iterative sign steps along an average of the gradients: momentum, which carries over models."""

from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from epsball.attacks.core.ascent import Visit, ascend
from epsball.attacks.core.checks import check_call
from epsball.attacks.core.validated import validated
from epsball.attacks.gradient.pgd import Mislead
from epsball.attacks.spec import AttackSpec
from epsball.errors import InvalidInput
from epsball.geometry import per_row, project_into_box, size, steepest
from epsball.objectives import cross_entropy, named_objective
from epsball.randomness import Randomness
from epsball.tensors import Classifier, Images, Labels, Objective
from epsball.types import Norm, Search

NORMS: tuple[Norm, ...] = ("linf", "l2")


@dataclass
class MomentumStep:
    """A step along the decaying sum of l1-normalised gradients.

    Args:
        inputs: (n, c, h, w), the clean images.
        eps: radius.
        norm: "linf" or "l2".
        step_size: length of every step in norm.
        decay: of the sum.
    """

    inputs: Tensor
    eps: float
    norm: Norm
    step_size: float
    decay: float
    sum: Any = None

    def __call__(self, visit: Visit) -> Tensor:
        """Return the next points."""
        length = per_row(size(visit.slope, "l1"), visit.slope)
        unit = visit.slope / length.clamp_min(1e-30)
        self.sum = unit if self.sum is None else self.decay * self.sum + unit
        moved = visit.point + self.step_size * steepest(self.sum, self.norm)
        return project_into_box(moved, self.inputs, self.eps, self.norm)

    def rows(self, chosen: Tensor) -> "MomentumStep":
        """Return the step of some rows."""
        total = None if self.sum is None else self.sum[chosen]
        return replace(self, inputs=self.inputs[chosen], sum=total)


@validated
def mifgsm(
    model: Classifier,
    inputs: Images,
    labels: Labels,
    *,
    eps: float,
    norm: Norm = "linf",
    steps: int = 10,
    step_size: float | None = None,
    decay: float = 1.0,
    objective: Objective | str = cross_entropy,
    targets: Labels | None = None,
    generator: Randomness = None,  # noqa: ARG001 - one signature for every attack
    search: Search | None = None,
) -> Images:
    """Move every image by steps along a running sum of its gradients.

    Args:
        model: maps (n, c, h, w) in [0, 1] to logits (n, k); mode and gradients stay untouched.
        inputs: clean batch, (n, c, h, w), float, in [0, 1].
        labels: (n,), int64; the true class, always.
        eps: ball radius in norm, input units (8 / 255, not 8).
        norm: "linf" or "l2".
        steps: gradient evaluations an image.
        step_size: length of one step, input units; 2.5 * eps / steps when None.
        decay: how much of the sum is kept from step to step; 0 is `bim`.
        objective: see `pgd`.
        targets: (n,), int64; the classes to reach; None: any class but the label.
        generator: not used.
        search: what may be saved; None: full budget in float32.

    Returns:
        (n, c, h, w) in [0, 1], within eps of inputs; the best point seen, by (fooled, objective).

    Raises:
        InvalidInput: an argument breaks its rule, or the model gives no gradient.
        UnsupportedNorm: norm is neither linf nor l2.

    Example:
        >>> import torch
        >>> flat = torch.nn.Flatten()
        >>> x, y = torch.full((1, 1, 1, 2), 0.5), torch.tensor([0])
        >>> mifgsm(flat, x, y, eps=0.125).flatten()
        tensor([0.3750, 0.6250])

    Source: Dong et al. 2018, arXiv:1710.06081, section 3. Departures: the default step is
    2.5 * eps / steps, not eps / steps; the best point seen is returned, not the last.
    """
    check_call(
        "mifgsm",
        inputs,
        labels,
        targets,
        eps=eps,
        norm=norm,
        norms=NORMS,
        steps=steps,
        step_size=step_size,
    )
    if not decay >= 0:
        raise InvalidInput(f"mifgsm: decay must be >= 0, got {decay}")
    length = 2.5 * eps / steps if step_size is None else step_size
    return ascend(
        model,
        inputs,
        goal=Mislead(model, named_objective(objective), labels, targets),
        step=MomentumStep(inputs.detach(), eps, norm, length, decay),
        steps=steps,
        keep="best",
        search=search,
    )


SPEC = AttackSpec(
    mifgsm,
    kind="budget",
    norms=("linf", "l2"),
    source="Dong et al. 2018, arXiv:1710.06081",
)
