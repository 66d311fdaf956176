"""Which class's gradient is used, in which direction, and what a step is made of.

The choices of the sources (Possas 2017, sections 3.3 to 3.5; Kurakin et al. 2017), shared by
`fgsm` and `bim`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor

from epsball.attacks.core.ascent import Visit
from epsball.attacks.core.asking import class_count
from epsball.errors import InvalidInput, unknown_name
from epsball.geometry import project, steepest
from epsball.objectives import cross_entropy, is_adversarial
from epsball.randomness import ImageStreams, Randomness, random_below
from epsball.rejecting import against_rejection
from epsball.tensors import Classifier
from epsball.types import Norm

Direction: TypeAlias = Literal["ascent", "descent"]
Reference: TypeAlias = Literal[
    "true", "predicted", "least_likely", "least_likely_top5", "second", "random", "given"
]
GradientForm: TypeAlias = Literal["sign", "l2", "raw"]
Scale: TypeAlias = Literal["log-softmax", "softmax", "logit"]
_TOP = 5


@dataclass(frozen=True)
class Choice:
    """A resolved member of the family: `direction` along the loss of the class `reference`.

    Args:
        direction: "ascent" or "descent".
        reference: whose loss is followed.
        scale: what the loss is the negative of: the class's log-softmax (cross-entropy), its
            softmax or its logit.
    """

    direction: Direction
    reference: Reference
    scale: Scale = "log-softmax"


def resolve(
    attack: str,
    direction: Direction | None,
    reference: Reference | None,
    targets: Tensor | None,
    scale: Scale = "log-softmax",
) -> Choice:
    """Fill in defaults: away from the truth, or, with targets, towards them.

    Raises:
        InvalidInput: an unknown name, or reference "given" without targets.
    """
    chosen = Choice(
        direction or ("ascent" if targets is None else "descent"),
        reference or ("true" if targets is None else "given"),
        scale,
    )
    if chosen.direction not in get_args(Direction):
        raise unknown_name("direction", chosen.direction, get_args(Direction))
    if chosen.reference not in get_args(Reference):
        raise unknown_name("reference", chosen.reference, get_args(Reference))
    if chosen.scale not in get_args(Scale):
        raise unknown_name("scale", chosen.scale, get_args(Scale))
    if chosen.reference == "given" and targets is None:
        raise InvalidInput(f"{attack}: reference 'given' needs targets, got None; pass targets")
    return chosen


def reference_class(
    logits: Tensor,
    labels: Tensor,
    reference: Reference,
    *,
    targets: Tensor | None = None,
    generator: Randomness = None,
) -> Tensor:
    """Choose for each row the class whose loss is followed.

    Args:
        logits: (n, k), scores of the clean images, the classes only.
        labels: (n,), the true classes.
        reference: "true"; "predicted"; "second": the runner-up; "least_likely": of all classes;
            "least_likely_top5": the fifth (the last, where there are fewer); "random": any class
            but the true one; "given": targets.
        targets: (n,), for "given".
        generator: for "random".

    Returns:
        (n,), int64.
    """
    if reference == "true":
        return labels
    if reference == "given" and targets is not None:
        return targets
    classes = logits.shape[1]
    if reference == "random":
        others = random_below(torch.full_like(labels, classes - 1), generator)
        return others + (others >= labels)
    if reference == "least_likely":
        return logits.argmin(1)
    rank = {"predicted": 1, "second": 2, "least_likely_top5": _TOP}[reference]
    return logits.topk(min(rank, classes), dim=1).indices[:, -1]


@dataclass
class FamilyGoal:
    """Cross-entropy of a class that is chosen once for each row, from the first scores that come.

    A walk of this family starts at the clean image, so those are the clean scores.

    Args:
        model: the classifier.
        labels: (n,), the true classes.
        choice: which class, and away from it or towards it.
        targets: (n,), for reference "given".
        generator: for reference "random".
        chosen: (n,), int64, the class that is followed; -1 where none is chosen yet.
    """

    model: Classifier
    labels: Tensor
    choice: Choice
    targets: Tensor | None
    generator: Randomness
    chosen: Tensor | None = None

    def value(self, logits: Tensor) -> Tensor:
        """Return the loss of the followed class, its sign turned for descent."""
        self.settle(lambda: logits.detach())
        followed = self.labels if self.chosen is None else self.chosen
        if self.choice.direction == "ascent":  # towards a class, the reject score is one to beat
            logits = against_rejection(logits, followed, class_count(self.model, logits))
        loss = _loss(logits, followed, self.choice.scale)
        return loss if self.choice.direction == "ascent" else -loss

    def settle(self, clean: Callable[[], Tensor]) -> None:
        """Choose the followed classes by the clean scores, unless they are chosen already."""
        if self.chosen is not None:
            return
        if self.choice.reference in ("true", "given"):  # known without asking
            self.chosen = self.labels if self.choice.reference == "true" else self.targets
            return
        logits = clean()
        self.chosen = reference_class(
            logits[:, : class_count(self.model, logits)],
            self.labels,
            self.choice.reference,
            targets=self.targets,
            generator=self.generator,
        )

    def success(self, logits: Tensor) -> Tensor:
        """Judge success against targets or labels, whichever class is followed."""
        classes = class_count(self.model, logits)
        return is_adversarial(logits, self.labels, self.targets, classes=classes)

    def rows(self, chosen: Tensor) -> "FamilyGoal":
        """Return the goal of some rows."""
        generator = self.generator
        if isinstance(generator, ImageStreams):
            generator = generator.rows(chosen)
        return replace(
            self,
            labels=self.labels[chosen],
            targets=None if self.targets is None else self.targets[chosen],
            generator=generator,
            chosen=None if self.chosen is None else self.chosen[chosen],
        )


@dataclass(frozen=True)
class FamilyStep:
    """Along the sign, the unit gradient or the raw one; then back into ball and box.

    Args:
        inputs: (n, c, h, w), the clean images.
        eps: radius of the ball.
        norm: its geometry.
        step_size: length of a step, or a function of its number.
        form: what a step is made of.
        clip: keep pixels in [0, 1].
    """

    inputs: Tensor
    eps: float
    norm: Norm
    step_size: float | Callable[[int], float]
    form: GradientForm
    clip: bool = True

    def __call__(self, visit: Visit) -> Tensor:
        """Return the next points."""
        length = self.step_size(visit.number) if callable(self.step_size) else self.step_size
        delta = visit.point + length * _shaped(visit.slope, self.form) - self.inputs
        moved = self.inputs + project(delta, self.eps, self.norm)
        return moved.clamp(0, 1) if self.clip else moved

    def rows(self, chosen: Tensor) -> "FamilyStep":
        """Return the step of some rows."""
        return replace(self, inputs=self.inputs[chosen])


def family_step(
    inputs: Tensor,
    *,
    eps: float,
    norm: Norm,
    step_size: float | Callable[[int], float],
    gradient: GradientForm | None,
    clip: bool,
) -> FamilyStep:
    """Build the step, the norm's own form of gradient filled in.

    Raises:
        InvalidInput: no such form of gradient.
    """
    form = gradient or default_form(norm)
    if form not in get_args(GradientForm):
        raise unknown_name("gradient", form, get_args(GradientForm))
    return FamilyStep(inputs.detach(), eps, norm, step_size, form, clip)


def default_form(norm: Norm) -> GradientForm:
    """Return the steepest step's form: the sign in linf, the unit gradient in l2."""
    return "sign" if norm == "linf" else "l2"


def _loss(logits: Tensor, followed: Tensor, scale: Scale) -> Tensor:
    """Return (n,), the negative of the followed class's score on a scale."""
    if scale == "log-softmax":
        return cross_entropy(logits, followed)
    scores = logits.softmax(1) if scale == "softmax" else logits
    return -scores.gather(1, followed[:, None])[:, 0]


def _shaped(slope: Tensor, form: GradientForm) -> Tensor:
    if form == "raw":
        return slope
    return steepest(slope, "linf" if form == "sign" else "l2")
