"""Parameters of a corruption at its five severities, for small and for large images."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from torch import Tensor

SMALL = 64  # pixels; an image whose longer side has no more takes the values of CIFAR-10-C
SEVERITIES = (1, 2, 3, 4, 5)
Value = TypeVar("Value")


@dataclass(frozen=True)
class Levels(Generic[Value]):
    """The values of one corruption.

    Args:
        small: those of CIFAR-10-C, for severities 1 to 5.
        large: those of ImageNet-C.
    """

    small: tuple[Value, Value, Value, Value, Value]
    large: tuple[Value, Value, Value, Value, Value]

    def at(self, inputs: Tensor, severity: int) -> Value:
        """Return the value for images of this size, (n, c, h, w), at a severity from 1 to 5."""
        return (self.small if is_small(inputs) else self.large)[severity - 1]


def is_small(inputs: Tensor) -> bool:
    """Say whether images (n, c, h, w) are corrupted as those of CIFAR-10-C are."""
    return max(inputs.shape[2:]) <= SMALL
