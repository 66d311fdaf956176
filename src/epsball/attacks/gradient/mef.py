"""Momentum over the gradients of the worst points nearby: it leads to flat maxima."""

from epsball.attacks.core.validated import validated
from epsball.attacks.gradient.transfer import transfer
from epsball.attacks.spec import AttackSpec
from epsball.objectives import cross_entropy
from epsball.randomness import Randomness
from epsball.tensors import Classifier, Images, Labels, Objective
from epsball.types import Norm


@validated
def mef(
    model: Classifier,
    inputs: Images,
    labels: Labels,
    *,
    eps: float,
    norm: Norm = "linf",
    steps: int = 10,
    step_size: float | None = None,
    views: str = "none",
    copies: int = 0,
    neighbours: int = 20,
    decay: float = 0.5,
    objective: Objective | str = cross_entropy,
    targets: Labels | None = None,
    generator: Randomness = None,
) -> Images:
    """Fool models that were never asked, by a point whose whole neighbourhood fools the source.

    Args:
        model: maps (n, c, h, w) to logits (n, k); mode and gradients stay untouched. It is shown
            values outside [0, 1].
        inputs: clean batch, (n, c, h, w), float, in [0, 1].
        labels: (n,), int64; the true class, always.
        eps: ball radius in norm, input units (8 / 255, not 8).
        norm: "linf" or "l2".
        steps: at least 1; each takes `neighbours` times the copies gradients.
        step_size: length of one step, input units; eps / steps when None.
        views: see `transfer`.
        copies: see `transfer`.
        neighbours: random points in the ball of radius 2 eps around the image, at least 1.
        decay: of the momentum, at least 0.
        objective: see `pgd`.
        targets: (n,), int64; the classes to reach; None: any class but the label.
        generator: source of the neighbours; torch's global one when None.

    Returns:
        (n, c, h, w) in [0, 1], within eps of inputs: the last point.

    Raises:
        InvalidInput: an argument breaks its rule, or the model gives no gradient.
        UnsupportedNorm: norm is neither linf nor l2.

    Example:
        >>> import torch
        >>> flat = torch.nn.Flatten()
        >>> x, y = torch.full((1, 1, 1, 2), 0.5), torch.tensor([0])
        >>> mef(flat, x, y, eps=0.125).flatten()
        tensor([0.3750, 0.6250])

    Source: Qiu et al. 2024, arXiv:2405.16181, algorithm 1, with the settings of the authors'
    published code in TransferAttack: radius 2 eps, inner step 0.15 eps, inner decay 0.9. It is
    `transfer` with estimate "flat"; departures: see there; 10 steps of eps / 10 by default, not 20.
    """
    return transfer(
        model,
        inputs,
        labels,
        eps=eps,
        norm=norm,
        steps=steps,
        step_size=step_size,
        views=views,
        copies=copies,
        estimate="flat",
        neighbours=neighbours,
        decay=decay,
        objective=objective,
        targets=targets,
        generator=generator,
    )


SPEC = AttackSpec(
    mef,
    kind="budget",
    norms=("linf", "l2"),
    source="Qiu et al. 2024, arXiv:2405.16181",
    random=True,
    keeps="last",
    averages=True,
)
