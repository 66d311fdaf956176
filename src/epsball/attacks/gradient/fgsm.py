"""One step along the gradient or its sign: the fast gradient sign method and its relatives."""

from collections.abc import Sequence

import torch

from epsball.attacks.core.ascent import Visit
from epsball.attacks.core.asking import input_gradient, scores
from epsball.attacks.core.checks import check_call
from epsball.attacks.core.validated import validated
from epsball.attacks.gradient.sign_family import (
    Direction,
    FamilyGoal,
    GradientForm,
    Reference,
    Scale,
    family_step,
    resolve,
)
from epsball.attacks.spec import AttackSpec
from epsball.randomness import Randomness
from epsball.tensors import Classifier, Images, Labels
from epsball.types import Norm

NORMS: tuple[Norm, ...] = ("linf", "l2")


@validated
def fgsm(
    model: Classifier,
    inputs: Images,
    labels: Labels,
    *,
    eps: float,
    norm: Norm = "linf",
    direction: Direction | None = None,
    reference: Reference | None = None,
    gradient: GradientForm | None = None,
    scale: Scale = "log-softmax",
    clip: bool = True,
    targets: Labels | None = None,
    generator: Randomness = None,
) -> Images:
    """Move every image one step of size eps along the sign of a class's gradient.

    Args:
        model: maps (n, c, h, w) in [0, 1] to logits (n, k).
        inputs: clean batch, (n, c, h, w), float, in [0, 1].
        labels: (n,), int64; the true class, always.
        eps: length of the step in norm, input units (8 / 255, not 8).
        norm: "linf" or "l2"; the ball that the step stays in.
        direction: "ascent", away from the reference class, or "descent", towards it. None: ascent,
            or descent where targets are given.
        reference: whose loss is followed: "true", "predicted", "least_likely",
            "least_likely_top5", "second", "random" (wrong) or "given" (targets). None: true, or
            given where targets are given.
        gradient: "sign"; "l2", the gradient over its length; "raw", eps times the gradient itself.
            None: sign in linf, l2 in l2.
        scale: where the reference class's score is taken: "log-softmax" (cross-entropy), "softmax",
            whose gradient vanishes where the model is certain, or "logit", which looks at no other
            class.
        clip: keep pixels in [0, 1]; False reproduces sources that do not mention clipping.
        targets: (n,), int64; the classes to reach; None: any class but the label.
        generator: for reference "random"; torch's global one when None.

    Returns:
        (n, c, h, w), within eps of inputs in norm; the point that the step leads to, whether or
        not it fools the model.

    Raises:
        InvalidInput: an argument breaks its rule, or the model gives no gradient.
        UnsupportedNorm: norm is neither linf nor l2.

    Example:
        >>> import torch
        >>> flat = torch.nn.Flatten()
        >>> x, y = torch.full((1, 1, 1, 2), 0.5), torch.tensor([0])
        >>> fgsm(flat, x, y, eps=0.125).flatten()
        tensor([0.3750, 0.6250])

    Source: Goodfellow, Shlens and Szegedy 2015, arXiv:1412.6572, section 4; directions and
    references: Possas 2017, sections 3.3 and 3.5; least likely: Kurakin et al. 2017,
    arXiv:1607.02533. Departures: pixels are clipped; a raw step longer than eps is cut to eps.
    """
    return fgsm_sweep(
        model,
        inputs,
        labels,
        eps=[eps],
        norm=norm,
        direction=direction,
        reference=reference,
        gradient=gradient,
        scale=scale,
        clip=clip,
        targets=targets,
        generator=generator,
    )[0]


def fgsm_sweep(
    model: Classifier,
    inputs: Images,
    labels: Labels,
    *,
    eps: Sequence[float],
    norm: Norm = "linf",
    direction: Direction | None = None,
    reference: Reference | None = None,
    gradient: GradientForm | None = None,
    scale: Scale = "log-softmax",
    clip: bool = True,
    targets: Labels | None = None,
    generator: Randomness = None,
) -> list[Images]:
    """Do what `fgsm` does at several eps for the price of one gradient.

    Args:
        model: see `fgsm`.
        inputs: see `fgsm`.
        labels: see `fgsm`.
        eps: the lengths of the steps.
        norm: see `fgsm`.
        direction: see `fgsm`.
        reference: see `fgsm`.
        gradient: see `fgsm`.
        scale: see `fgsm`.
        clip: see `fgsm`.
        targets: see `fgsm`.
        generator: see `fgsm`.

    Returns:
        For each eps what `fgsm` returns.

    Raises:
        InvalidInput: see `fgsm`.
    """
    for radius in eps:
        check_call("fgsm", inputs, labels, targets, eps=radius, norm=norm, norms=NORMS)
    choice = resolve("fgsm", direction, reference, targets, scale)
    moves = [
        family_step(inputs, eps=e, norm=norm, step_size=e, gradient=gradient, clip=clip)
        for e in eps
    ]
    goal = FamilyGoal(model, labels, choice, targets, generator)
    point = inputs.detach().clone().requires_grad_()
    with torch.enable_grad():
        value = goal.value(scores(model, point))
    slope = input_gradient(value, point)
    visit = Visit(inputs.detach(), slope, value.detach(), 0)
    return [move(visit) for move in moves]


SPEC = AttackSpec(
    fgsm,
    kind="budget",
    norms=("linf", "l2"),
    source="Goodfellow et al. 2015, arXiv:1412.6572",
    keeps="last",
    sweep=fgsm_sweep,
)
