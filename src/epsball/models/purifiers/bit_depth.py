"""Fewer greys: the defence that rounds pixels."""

from torch import Tensor, nn

from epsball.errors import InvalidInput
from epsball.models.purifiers.defended import Remedy

DEEPEST = 8


class BitDepth(nn.Module):
    """Round every pixel to one of 2 ** bits evenly spaced values.

    The gradient of rounding is zero everywhere, so a plain gradient attack stands still.

    Args:
        bits: bits a channel, 1 to 8.

    Raises:
        InvalidInput: bits is outside 1 to 8.

    Source: Xu et al. 2018, arXiv:1704.01155, section III-A; Guo et al. 2018, arXiv:1711.00117.

    Example:
        >>> import torch
        >>> BitDepth(bits=2)(torch.tensor([[[[0.1, 0.3, 0.6, 1.0]]]])).mul(3).tolist()
        [[[[0.0, 1.0, 2.0, 3.0]]]]
    """

    remedy: Remedy = "bpda"

    def __init__(self, bits: int = 3) -> None:
        super().__init__()
        if not 1 <= bits <= DEEPEST:
            raise InvalidInput(f"BitDepth: bits must be 1 to {DEEPEST}, got {bits}")
        self.bits = bits
        self.training = False  # there is no other mode

    def forward(self, inputs: Tensor) -> Tensor:
        """Return images of the same shape, (n, c, h, w)."""
        top = 2**self.bits - 1
        rounded: Tensor = (inputs * top).round() / top
        return rounded

    def stand_in(self, inputs: Tensor) -> Tensor:
        """Return the images themselves: rounding moves a pixel by half a step at most."""
        return inputs

    def extra_repr(self) -> str:
        """Return the settings: they are part of what the model is."""
        return f"bits={self.bits}"
