"""Noise of the attacks' own size: the control that tells a direction from mere disturbance."""

from typing import Literal, TypeAlias, get_args

from torch import Tensor

from epsball.attacks.core.checks import check_call
from epsball.attacks.core.validated import validated
from epsball.attacks.spec import AttackSpec
from epsball.errors import unknown_name
from epsball.geometry import project, steepest
from epsball.randomness import Randomness, normal, random_signs, uniform
from epsball.tensors import Classifier, Images, Labels
from epsball.types import Norm

NORMS: tuple[Norm, ...] = ("linf", "l2")
Distribution: TypeAlias = Literal["sign", "uniform", "gaussian"]


@validated
def noise(
    model: Classifier,  # noqa: ARG001 - one signature for every attack
    inputs: Images,
    labels: Labels,
    *,
    eps: float,
    norm: Norm = "linf",
    distribution: Distribution = "sign",
    targets: Labels | None = None,
    generator: Randomness = None,
) -> Images:
    """Disturb every image at random, by as much as an attack may.

    Args:
        model: not asked.
        inputs: clean batch, (n, c, h, w), float, in [0, 1].
        labels: (n,), int64; not used.
        eps: size of the noise in norm, input units.
        norm: "linf": every pixel moves by at most eps; "l2": the whole has length eps.
        distribution: in linf, "sign": by eps up or down, the size of an FGSM step; "uniform":
            within [-eps, eps]; "gaussian": standard deviation eps / 2, cut at eps. In l2 the same
            draws, scaled to length eps.
        targets: not used.
        generator: source of the noise; torch's global one when None.

    Returns:
        (n, c, h, w) in [0, 1], within eps of inputs.

    Raises:
        InvalidInput: an argument breaks its rule.
        UnsupportedNorm: norm is neither linf nor l2.

    Example:
        >>> import torch
        >>> x, y = torch.full((1, 1, 1, 2), 0.5), torch.tensor([0])
        >>> (noise(torch.nn.Flatten(), x, y, eps=0.125) - x).abs().flatten()
        tensor([0.1250, 0.1250])

    Source: the noise control of Goodfellow, Shlens and Szegedy 2015, arXiv:1412.6572, section 4.
    """
    check_call("noise", inputs, labels, targets, eps=eps, norm=norm, norms=NORMS)
    sample = _draw(inputs.detach(), distribution, generator)
    delta = sample * eps if norm == "linf" else steepest(sample, "l2") * eps
    return (inputs.detach() + project(delta, eps, norm)).clamp(0, 1)


def _draw(like: Tensor, distribution: Distribution, generator: Randomness) -> Tensor:
    if distribution == "sign":
        return random_signs(like, generator)
    if distribution == "uniform":
        return 2 * uniform(like, generator) - 1
    if distribution == "gaussian":
        return normal(like, generator) / 2
    raise unknown_name("distribution", distribution, get_args(Distribution))


SPEC = AttackSpec(
    noise,
    kind="budget",
    norms=("linf", "l2"),
    source="control of Goodfellow et al. 2015, arXiv:1412.6572",
    needs_gradient=False,
    random=True,
    keeps="last",
    takes_targets=False,
)
