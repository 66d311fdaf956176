"""The attack on models that reject, by someone who knows that they do."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor

from epsball.attacks.core.ascent import Keep, Step, ascend
from epsball.attacks.core.asking import all_rows, class_count, read
from epsball.attacks.core.checks import check_call
from epsball.attacks.core.validated import validated
from epsball.attacks.gradient.line_search import CrowdedStep, LineSearch, SteadyStep
from epsball.attacks.gradient.pgd import Mislead
from epsball.attacks.gradient.sign_family import GradientForm, family_step
from epsball.attacks.spec import AttackSpec
from epsball.errors import InvalidInput, unknown_name
from epsball.geometry import random_in_ball
from epsball.objectives import margin, named_objective
from epsball.randomness import Randomness
from epsball.rejecting import HINGES, probabilities
from epsball.tensors import Classifier, Images, Labels, Objective
from epsball.types import ModelInfo, Norm, Search

NORMS: tuple[Norm, ...] = ("l2", "linf")
Scale: TypeAlias = Literal["scores", "probabilities"]


@validated
def rejection(
    model: Classifier,
    inputs: Images,
    labels: Labels,
    *,
    eps: float,
    norm: Norm = "l2",
    steps: int = 100,
    step_size: float | None = None,
    gradient: GradientForm | None = None,
    tolerance: float = 0.0,
    objective: Objective | str = "reject-margin",
    scale: Scale = "scores",
    random_start: bool = True,
    keep: Keep = "best",
    density: Callable[[Tensor], Tensor] | None = None,
    density_weight: float = 1.0,
    targets: Labels | None = None,
    generator: Randomness = None,
    search: Search | None = None,
) -> Images:
    """Search the eps-ball for an image that the model accepts, as another class.

    Args:
        model: maps (n, c, h, w) in [0, 1] to scores (n, k), or (n, k + 1) where its `info` says
            that it rejects; mode and gradients stay untouched.
        inputs: clean batch, (n, c, h, w), float, in [0, 1].
        labels: (n,), int64; the true class, always.
        eps: ball radius in norm, input units (8 / 255, not 8).
        norm: "l2" or "linf"; geometry of the ball and of a step.
        steps: gradient evaluations an image; one more forward pass scores the last point. Trials of
            the search for a length count.
        step_size: length of every step, above 0: in norm, input units, or a factor of the gradient
            where that is "raw". None: a line search: a step begins with 2 * eps, is halved
            until the loss rises and doubled after it did; where a thousandth of eps brings nothing
            the walk of the image ends.
        gradient: what a step of fixed size is made of: "sign", "l2" or "raw"; None: the norm's own.
        tolerance: an image whose loss changes by less from one point to the next ends its walk,
            at least 0; 0: none does.
        objective: what is climbed. "reject-margin": the best other class minus max(label, reject),
            or the target minus all others. "reject-hinge", "reject-hinge-one": the hinge towards
            one class is lowered, summed over the machines of all k classes or of that one alone;
            the class is the target or, of the clean image, the most probable one but the label;
            scores, not probabilities, are measured from the reject score.
            Any other objective as in `pgd`.
        scale: on which the objective is taken: the model's "scores", or "probabilities": a
            sigmoid of each score where the model gives log-odds, else their softmax. These
            vanish where the model is sure.
        random_start: begin at a random point of the ball instead of at the image.
        keep: "best": of the points seen the one that ranks highest by (fooled, objective); "last":
            where the walk ends.
        density: differentiable, (m, c, h, w) -> (m,), the logarithm of a density of images; the
            walk climbs the objective plus density_weight times it, so that it keeps away from where
            no image is. Points rank by the objective alone.
        density_weight: at least 0.
        targets: (n,), int64; the classes to reach; None: any class but the label.
        generator: source of the random start; torch's global one when None.
        search: what may be saved; None: full budget in float32.

    Returns:
        (n, c, h, w) in [0, 1], within eps of inputs. A rejected image is never a success.

    Raises:
        InvalidInput: an argument breaks its rule, or model or density gives no gradient.
        UnsupportedNorm: norm is neither l2 nor linf.

    Example:
        >>> import torch
        >>> from epsball.types import ModelInfo
        >>> class Rejecting(torch.nn.Flatten):
        ...     info = ModelInfo(classes=2, rejects=True)
        >>> x = torch.tensor([0.5, 0.25, 0.5]).view(1, 1, 1, 3)  # class 0, class 1, reject
        >>> adversarial = rejection(Rejecting(), x, torch.tensor([0]), eps=0.25)
        >>> adversarial.flatten().argmax().item()
        1

    Source: the attacks of Melis et al. 2017, arXiv:1708.06939, and Sotgiu et al. 2020,
    doi:10.1186/s13635-020-00105-y, as Thanthulage has them, who lowers the hinge on probabilities,
    returns the last point and stops at a change of 0.01: objective="reject-hinge" (or
    "reject-hinge-one"), scale="probabilities", gradient="raw", step_size=..., tolerance=0.01,
    keep="last". Departures: by default the margin is climbed on scores, in steps of the norm whose
    length is searched for, no image stops early and the best point is returned.
    """
    check_call(
        "rejection",
        inputs,
        labels,
        targets,
        eps=eps,
        norm=norm,
        norms=NORMS,
        steps=steps,
        step_size=step_size,
    )
    _check_names(scale, keep, gradient if step_size is None else None)
    _check_density(tolerance, density, density_weight)
    start = inputs.detach().clone()
    if random_start:
        start = (start + random_in_ball(start, eps, norm, generator)).clamp(0, 1)
    step: Step
    if step_size is None:
        final = steps - 1 if keep == "last" else None
        step = LineSearch(inputs.detach(), eps, norm, tolerance, final)
    else:
        plain = family_step(
            inputs, eps=eps, norm=norm, step_size=step_size, gradient=gradient, clip=True
        )
        step = SteadyStep(plain, tolerance)
    if density is not None and density_weight:
        step = CrowdedStep(step, density, density_weight, search.micro_batch if search else None)
    climbed = named_objective(objective)
    if climbed in HINGES.values():
        aim = Mislead(model, margin, labels, targets)
        hinge = Hinge(climbed, _likeliest_other(aim, inputs.detach(), search))
        goal = Evading(aim, scale, hinge)
    else:
        goal = Evading(Mislead(model, climbed, labels, targets), scale, None)
    return ascend(model, start, goal=goal, step=step, steps=steps, keep=keep, search=search)


def _check_names(scale: str, keep: str, form: str | None) -> None:
    if scale not in get_args(Scale):
        raise unknown_name("scale", scale, get_args(Scale))
    if keep not in get_args(Keep):
        raise unknown_name("keep", keep, get_args(Keep))
    if form is not None:
        raise InvalidInput(
            f"rejection: gradient is for steps of fixed size, got {form!r} with step_size=None; "
            "give a step_size, or leave gradient out"
        )


def _check_density(tolerance: float, density: object, weight: float) -> None:
    if not tolerance >= 0:
        raise InvalidInput(f"rejection: tolerance must be >= 0, got {tolerance}")
    if density is not None and not callable(density):
        raise InvalidInput(
            f"rejection: density must be a function (m, c, h, w) -> (m,), got {density!r}; it "
            "cannot be given by name"
        )
    if not weight >= 0:
        raise InvalidInput(f"rejection: density_weight must be >= 0, got {weight}")


@dataclass(frozen=True)
class Hinge:
    """A hinge that is lowered.

    Args:
        of: (scores, classes) -> (n,).
        towards: (n,), the classes.
    """

    of: Objective
    towards: Tensor


@dataclass(frozen=True)
class Evading:
    """What is climbed, on the scale that is asked for; success is judged by the scores.

    Args:
        aim: objective, labels and targets.
        scale: "scores" or "probabilities".
        hinge: what is lowered instead of climbing the objective.
    """

    aim: Mislead
    scale: Scale
    hinge: Hinge | None

    def value(self, logits: Tensor) -> Tensor:
        """Return the objective, or minus the hinge of the k machines."""
        if self.scale == "probabilities":
            info = getattr(self.aim.model, "info", None)
            logits = probabilities(logits, info.gives if isinstance(info, ModelInfo) else "logits")
        if self.hinge is None:
            return self.aim.value(logits)
        classes = class_count(self.aim.model, logits)
        machines = logits[:, :classes]
        if self.scale == "scores" and logits.shape[1] > classes:
            # a machine says yes where it is not rejected: with a lead of 1 over zero alone the
            # hinge would be content, and the image rejected
            machines = machines - logits[:, classes:]
        return -self.hinge.of(machines, self.hinge.towards)

    def success(self, logits: Tensor) -> Tensor:
        """Judge success; being rejected is none."""
        return self.aim.success(logits)

    def rows(self, chosen: Tensor) -> "Evading":
        """Return the goal of some rows."""
        hinge = self.hinge and replace(self.hinge, towards=self.hinge.towards[chosen])
        return replace(self, aim=self.aim.rows(chosen), hinge=hinge)


def _likeliest_other(aim: Mislead, clean: Tensor, search: Search | None) -> Tensor:
    """Return (n,), the targets, or for each clean image the most probable class but the label."""
    if aim.targets is not None:
        return aim.targets
    search = search or Search()
    logits = read(search.confirm or aim.model, clean, all_rows(clean), search.micro_batch)
    logits = logits[:, : class_count(aim.model, logits)]
    if logits.shape[1] < 2:
        raise InvalidInput(
            f"rejection: the model must tell at least 2 classes apart, got {logits.shape[1]}"
        )
    return logits.scatter(1, aim.labels[:, None], -torch.inf).argmax(1)


SPEC = AttackSpec(
    rejection,
    kind="budget",
    norms=("l2", "linf"),
    source="Sotgiu et al. 2020, doi:10.1186/s13635-020-00105-y",
    random=True,
    keeps="success",
)
