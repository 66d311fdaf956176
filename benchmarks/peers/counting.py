"""Counts what a library asks of a model, row by row, whichever way it asks."""

from typing import Any, Self

from torch import Tensor, nn


class Tally:
    """Rows that went forwards and backwards. Copies of the model go on counting here."""

    def __init__(self) -> None:
        self.forwards = self.backwards = 0

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Stay the same tally: a library may copy the model it is given."""
        return self

    def went_back(self, gradient: Tensor) -> None:
        """Count the rows of scores through which a gradient went."""
        self.backwards += len(gradient)


class Counting(nn.Module):
    """A model that counts.

    Args:
        model: is asked, and stays as it is.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.tally = model, Tally()
        self.train(model.training)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the model's scores."""
        self.tally.forwards += len(inputs)
        scores: Tensor = self.model(inputs)
        if scores.requires_grad:
            hook: Any = scores.register_hook  # torch leaves it untyped
            hook(self.tally.went_back)
        return scores
