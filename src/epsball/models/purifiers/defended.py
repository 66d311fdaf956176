"""A model behind a preprocessing step that is to remove perturbations."""

from typing import Literal, Protocol, TypeAlias, runtime_checkable

from torch import Tensor, nn

from epsball.straight_through import Step, StraightThrough
from epsball.tensors import Classifier
from epsball.types import ModelInfo

# What an attacker does about a step. "bpda": its gradient is missing, zero or poor, that of its
# stand-in serves. "expectation": it is random, the mean of many passes serves. "none": nothing is
# needed, the gradient goes through.
Remedy: TypeAlias = Literal["bpda", "expectation", "none"]


@runtime_checkable
class Masking(Protocol):
    """A step without a useful gradient, that brings along something with one."""

    def __call__(self, inputs: Tensor, /) -> Tensor:
        """Return the washed images, (n, c, h, w)."""
        ...

    def stand_in(self, inputs: Tensor, /) -> Tensor:
        """Return nearly the same, with a useful gradient."""
        ...


class Defended(nn.Module):
    """A model behind a preprocessing defence; see `defended` for the arguments.

    The mode (train or eval) is the model's own, and so is `info` where it has one.
    """

    info: ModelInfo

    def __init__(self, model: Classifier, step: Step) -> None:
        super().__init__()
        self.step = step
        self.model = model
        # set by hand: train() would reach into the model and change layers that its owner froze
        self.training = bool(getattr(model, "training", False))
        if isinstance(info := getattr(model, "info", None), ModelInfo):
            self.info = info

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the model's scores for images (n, c, h, w) in [0, 1]."""
        return self.model(self.step(inputs))

    @property
    def remedies(self) -> frozenset[Remedy]:
        """Return what an attacker has to do about this step and those behind it."""
        inner = self.model.remedies if isinstance(self.model, Defended) else frozenset()
        own: Remedy = getattr(self.step, "remedy", "none")
        return (inner | {own}) - {"none"}

    def relaxed(self) -> "Defended":
        """Return a twin to search on: the same scores, with the gradient of the stand-ins.

        Steps that are random stay so: attack `epsball.attacks.expectation` of the twin.
        """
        model = self.model.relaxed() if isinstance(self.model, Defended) else self.model
        step = self.step
        return Defended(
            model, StraightThrough(step, step.stand_in) if isinstance(step, Masking) else step
        )


def defended(model: Classifier, step: Step) -> Defended:
    """Put a preprocessing defence before a model.

    Args:
        model: (n, c, h, w) in [0, 1] to scores (n, k); neither copied nor changed.
        step: what images go through first: one of `DEFENCES`, or any function of images.

    Returns:
        The defended model. `remedies` states how its defences are broken, `relaxed()` is its copy
        for an adaptive attacker.

    Example:
        >>> import torch
        >>> from epsball.models.purifiers.bit_depth import BitDepth
        >>> model = defended(nn.Flatten().eval(), BitDepth(bits=1))
        >>> model(torch.tensor([[[[0.2, 0.7]]]])).tolist()
        [[0.0, 1.0]]
        >>> sorted(model.remedies)
        ['bpda']
    """
    return Defended(model, step)
