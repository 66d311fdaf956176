"""The moving average of a model's weights, which is often more robust than any of them."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

_START = 10  # the average follows closely for about so many updates


class Average:
    """An exponential moving average of parameters and of BatchNorm's running statistics.

    Attributes:
        tensors: the averages, under the names of the model's state.
    """

    def __init__(self, model: nn.Module, keep: float) -> None:
        """Begin at the weights that the model has.

        Args:
            model: where it is trained.
            keep: how much of the average an update leaves, in (0, 1). Fewer are left of the first
                averages: min(keep, (1 + updates) / (10 + updates)), or the first weights would
                weigh on a short run to its end.
        """
        self._keep = keep
        self.tensors = {name: value.clone() for name, value in _floats(model).items()}

    def update(self, model: nn.Module, updates: int) -> None:
        """Take in the weights after an update; `updates` were made before it."""
        keep = min(self._keep, (1 + updates) / (_START + updates))
        now = _floats(model)
        torch._foreach_lerp_(list(self.tensors.values()), list(now.values()), 1 - keep)

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Continue from averages that were written down."""
        for name, value in tensors.items():
            self.tensors[name].copy_(value)

    @contextmanager
    def in_place(self, model: nn.Module) -> Iterator[None]:
        """Run a block with the averages in the model; its own weights come back."""
        own = _floats(model)
        before = {name: value.clone() for name, value in own.items()}
        try:
            _fill(own, self.tensors)
            yield
        finally:
            _fill(own, before)


def _floats(model: nn.Module) -> dict[str, Tensor]:
    """Return the tensors of a model's state that can be averaged; they share its memory."""
    return {name: v for name, v in model.state_dict().items() if v.is_floating_point()}


def _fill(tensors: dict[str, Tensor], values: dict[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        tensor.copy_(values[name])
