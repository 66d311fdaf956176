"""Momentum with a look-ahead: the gradient is taken where the momentum leads."""

from epsball.attacks.core.validated import validated
from epsball.attacks.gradient.transfer import transfer
from epsball.attacks.spec import AttackSpec
from epsball.objectives import cross_entropy
from epsball.randomness import Randomness
from epsball.tensors import Classifier, Images, Labels, Objective
from epsball.types import Norm


@validated
def nifgsm(
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
    generator: Randomness = None,
) -> Images:
    """Take steps along a momentum whose gradients are taken one step ahead.

    Args:
        model: maps (n, c, h, w) to logits (n, k); mode and gradients stay untouched. It is shown
            values a little outside [0, 1].
        inputs: clean batch, (n, c, h, w), float, in [0, 1].
        labels: (n,), int64; the true class, always.
        eps: ball radius in norm, input units (8 / 255, not 8).
        norm: "linf" or "l2".
        steps: gradient evaluations an image, at least 1.
        step_size: length of one step, input units; eps / steps when None.
        decay: of the momentum, at least 0.
        objective: see `pgd`.
        targets: (n,), int64; the classes to reach; None: any class but the label.
        generator: not used.

    Returns:
        (n, c, h, w) in [0, 1], within eps of inputs: the last point.

    Raises:
        InvalidInput: an argument breaks its rule, or the model gives no gradient.
        UnsupportedNorm: norm is neither linf nor l2.

    Example:
        >>> import torch
        >>> flat = torch.nn.Flatten()
        >>> x, y = torch.full((1, 1, 1, 2), 0.5), torch.tensor([0])
        >>> nifgsm(flat, x, y, eps=0.125).flatten()
        tensor([0.3750, 0.6250])

    Source: Lin et al. 2020, arXiv:1908.06281, section 3.2. It is `transfer` with `lookahead` and
    without views; departures: see there.
    """
    return transfer(
        model,
        inputs,
        labels,
        eps=eps,
        norm=norm,
        steps=steps,
        step_size=step_size,
        views="none",
        decay=decay,
        lookahead=True,
        objective=objective,
        targets=targets,
        generator=generator,
    )


SPEC = AttackSpec(
    nifgsm,
    kind="budget",
    norms=("linf", "l2"),
    source="Lin et al. 2020, arXiv:1908.06281",
    keeps="last",
)
