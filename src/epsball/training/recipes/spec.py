"""What a recipe is: a loss, and the examples it may ask for."""

import functools
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from epsball.errors import InvalidInput
from epsball.tensors import Images, Labels
from epsball.training.measure.losses import weight_penalty
from epsball.training.setup.settings import TrainSettings


@dataclass(frozen=True)
class Batch:
    """One batch, and what a recipe may use beside the model.

    Args:
        images: (n, c, h, w), in [0, 1].
        labels: (n,), int64, the true classes.
        settings: what was asked for.
        generator: of everything random; torch's global one where None.
        sources: other models, frozen and in eval mode, for recipes that take some.
        memory: what a recipe keeps from step to step; part of the checkpoint.
        counts: (k,), float32, training images of each class; None where no setting wants them.
    """

    images: Images
    labels: Labels
    settings: TrainSettings
    generator: torch.Generator | None = None
    sources: Sequence[nn.Module] = ()
    memory: dict[str, Tensor] = field(default_factory=dict)
    counts: Tensor | None = None

    @property
    def eps(self) -> float:
        """Return the radius of the examples.

        Raises:
            InvalidInput: none was given.
        """
        if self.settings.eps is None:
            raise InvalidInput(
                f"train: recipe {self.settings.recipe!r} needs eps, got none; give eps"
            )
        return self.settings.eps


Craft: TypeAlias = Callable[[nn.Module, Batch], Tensor]
# the third argument makes the batch's examples when they are first wanted, and keeps them
Loss: TypeAlias = Callable[[nn.Module, Batch, Callable[[], Tensor]], Tensor]


def no_examples(model: nn.Module, batch: Batch) -> Tensor:
    """Return the images as they are: for a recipe that makes no examples."""
    del model
    return batch.images


@dataclass(frozen=True)
class MadeOnce:
    """Examples made before the first epoch, on a source model; one is trained where none is given.

    Args:
        successes: add only those that fool the source, of images it gets right.
        from_source: training begins at the source's weights, not at fresh ones.
    """

    successes: bool
    from_source: bool


@dataclass(frozen=True)
class RecipeSpec:
    """One way of training.

    Args:
        loss: what a step goes down, without the penalty on weights.
        description: what it does, in one line.
        source: where it comes from.
        parameters: the settings that only some recipes read and this one does; another recipe's
            may not be set, because it would be ignored in silence.
        required: those of them that have no sensible default.
        craft: makes the examples that the loss asks for.
        judge: makes them for the validation loss, where that is done otherwise.
        learned: (batch, examples) after the backward pass, for a recipe that keeps something.
        sources: how many source models it takes, at least and at most (None: any number).
        made_once: examples that are made before the first epoch and added to the images.
    """

    loss: Loss
    description: str
    source: str
    parameters: tuple[str, ...]
    required: tuple[str, ...] = ()
    craft: Craft = no_examples
    judge: Craft | None = None
    learned: Callable[[Batch, Tensor], None] | None = None
    sources: tuple[int, int | None] = (0, 0)
    made_once: MadeOnce | None = None

    def task(
        self,
        model: nn.Module,
        batch: Batch,
        *,
        judging: bool = False,
        aside: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> "Task":
        """Return a batch's loss as something that can be asked for more than once.

        Args:
            model: gives logits (n, k).
            batch: the images.
            judging: whether it is for the validation loss.
            aside: a context for the making of examples, whose passes are not the recipe's own.
        """
        craft = self.judge if judging and self.judge is not None else self.craft
        return Task(model, batch, self.loss, craft, aside)

    def step(
        self,
        model: nn.Module,
        images: Images,
        labels: Labels,
        settings: TrainSettings,
        generator: torch.Generator | None = None,
        *,
        sources: Sequence[nn.Module] = (),
    ) -> Tensor:
        """Return the loss of a batch, penalty included, as a scalar that carries the gradient.

        Args:
            model: gives logits (n, k); in the mode the loss is to be taken in.
            images: (n, c, h, w), in [0, 1].
            labels: (n,), int64, the true classes.
            settings: what was asked for.
            generator: of everything random; torch's global one where None.
            sources: other models, where the recipe takes some.
        """
        batch = Batch(images, labels, settings, generator, sources)
        return self.task(model, batch).total()


@dataclass(frozen=True)
class Task:
    """A batch's loss. Its examples are made once, however often the loss is asked for."""

    model: nn.Module
    batch: Batch
    loss: Loss
    craft: Craft
    aside: Callable[[], AbstractContextManager[Any]]

    @functools.cached_property
    def examples(self) -> Tensor:
        """Return the adversarial examples, (n, c, h, w)."""
        with self.aside():
            return self.craft(self.model, self.batch)

    def data_loss(self) -> Tensor:
        """Return the recipe's loss."""
        return self.loss(self.model, self.batch, lambda: self.examples)

    def total(self) -> Tensor:
        """Return the recipe's loss and the penalty on weights."""
        return weight_penalty(self.model, self.batch.settings) + self.data_loss()
