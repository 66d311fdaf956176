"""Counting what a step costs and gets right, without the recipe having to know."""

from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn


class Meter:
    """Watches every forward pass of a model, between `with` and its end.

    A pass that records gradients is one gradient evaluation a picture: recipes and attacks go back
    through every such pass once. Of each step the first pass, which sees the clean pictures, is
    compared with the labels.
    """

    def __init__(self, model: nn.Module) -> None:
        """Watch nothing yet."""
        self.gradient_evaluations = 0
        self._model = model
        self._labels: Tensor | None = None
        self._right: Tensor | int = 0
        self._seen = 0

    def __enter__(self) -> Self:
        """Start watching."""
        self._handle = self._model.register_forward_hook(self._watch)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop watching."""
        self._handle.remove()

    def expect(self, labels: Tensor) -> None:
        """Say which classes the next pass should name; (n,), int64."""
        self._labels = labels

    def start_over(self) -> None:
        """Forget right and wrong answers; keep the cost."""
        self._right, self._seen = 0, 0

    @property
    def accuracy(self) -> float:
        """Return the share of right answers so far."""
        return float(self._right) / max(1, self._seen)

    def _watch(self, model: nn.Module, inputs: tuple[Any, ...], logits: Tensor) -> None:
        del model, inputs
        if torch.is_grad_enabled():
            self.gradient_evaluations += len(logits)
        if self._labels is not None:
            # stays on the device: reading it after every batch would make a GPU wait
            self._right = self._right + (logits.detach().argmax(1) == self._labels).sum()
            self._seen += len(logits)
            self._labels = None
