"""Counting what every single image costs, retired ones included."""

from typing import Any

import torch
from torch import Tensor

from epsball.evaluation.engine.asking import ask
from epsball.tensors import Classifier
from epsball.types import ModelInfo


class Tally:
    """Forward and backward passes of each image of a batch.

    Args:
        count: how many images.
        device: where the counting is done: where the model is, so that nothing waits for it.
    """

    def __init__(self, count: int, device: str) -> None:
        """Start at nothing."""
        self.forwards = torch.zeros(count, dtype=torch.int64, device=device)
        self.backwards = torch.zeros(count, dtype=torch.int64, device=device)

    def rows_of(self, asked: int, told: Tensor | None) -> Tensor:
        """Return which image each row of a question is about."""
        count, device = len(self.forwards), self.forwards.device
        if told is not None and len(told) == asked:
            return told.to(device)
        # an attack that says nothing asks about all of its images, perhaps several times over;
        # what is left is laid on the first ones
        return torch.arange(asked, device=device) % max(1, count)


class Counted:
    """A classifier that counts, for each image, the rows it passes forwards and backwards."""

    def __init__(self, model: Classifier, info: ModelInfo, tally: Tally) -> None:
        """Wrap a model; it stays as it is."""
        self.model, self.info, self.tally = model, info, tally
        self.told: Tensor | None = None

    def about(self, rows: Tensor) -> None:
        """Say which images the rows of the next question belong to."""
        self.told = rows

    def relaxed(self) -> "Counted | None":
        """Return the model's differentiable stand-in for itself, if it has one; it counts too."""
        relaxed = getattr(self.model, "relaxed", None)
        held = relaxed() if callable(relaxed) else None  # a defence has one where its model has
        return None if held is None else Counted(held, self.info, self.tally)

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return the model's scores, in the dtype of the images."""
        rows, self.told = self.tally.rows_of(len(inputs), self.told), None
        self.tally.forwards.index_add_(0, rows, torch.ones_like(rows))
        scores = ask(self.model, inputs)
        if scores.requires_grad:

            def count(gradient: Tensor) -> None:  # noqa: ARG001 - the hook's signature
                self.tally.backwards.index_add_(0, rows, torch.ones_like(rows))

            hook: Any = scores.register_hook  # torch leaves it untyped
            hook(count)
        return scores.to(inputs.dtype)
