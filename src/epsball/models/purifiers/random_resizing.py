"""Random resizing and padding: the defence that never shows the same image twice."""

import torch
from torch import Tensor, nn

from epsball.errors import InvalidInput
from epsball.models.purifiers.defended import Remedy


class RandomResizing(nn.Module):
    """Shrink every image to a random size and put it at a random place on black.

    Numbers are drawn from torch's global generator, anew for every image of every pass. The
    gradient goes through, but it differs from one pass to the next.

    Args:
        smallest: the least side, as a share of the image's own, above 0 and up to 1.

    Raises:
        InvalidInput: smallest is outside its range.

    Source: Xie et al. 2018, arXiv:1711.01991. Departures: they enlarge images of 299 pixels to
    299 to 330 and pad to 331, for a network that takes any size; here images keep their size, so
    that any network of the zoo can stand behind. Pixels are interpolated bilinearly, not taken
    from the nearest neighbour, and each image of a batch has a size of its own.

    Example:
        >>> white = torch.ones(1, 1, 10, 10)
        >>> sides = RandomResizing(smallest=0.5)(white).sum((2, 3)).sqrt()
        >>> bool(5 <= sides <= 10)
        True
    """

    remedy: Remedy = "expectation"

    def __init__(self, smallest: float = 0.9) -> None:
        super().__init__()
        if not 0 < smallest <= 1:
            raise InvalidInput(
                f"RandomResizing: smallest must be above 0 and at most 1, got {smallest}"
            )
        self.smallest = smallest
        self.training = False  # there is no other mode

    def forward(self, inputs: Tensor) -> Tensor:
        """Return images of the same shape, (n, c, h, w)."""
        count, _, height, width = inputs.shape
        shrink, down, right = torch.rand((3, count), device=inputs.device)
        rows = _resampling(height, self.smallest, shrink, down).to(inputs)
        columns = _resampling(width, self.smallest, shrink, right).to(inputs)
        return rows[:, None] @ inputs @ columns[:, None].mT

    def extra_repr(self) -> str:
        """Return the settings: they are part of what the model is."""
        return f"smallest={self.smallest}"


def _resampling(size: int, smallest: float, shrink: Tensor, shift: Tensor) -> Tensor:
    """Return the matrices that shrink an axis and put it at its place.

    Products of matrices, because interpolation at free places has no deterministic gradient on a
    GPU.

    Args:
        size: pixels along this axis.
        smallest: share of it.
        shrink: (n,), in [0, 1), chooses the new size.
        shift: (n,), in [0, 1), chooses the place.

    Returns:
        (n, size, size); each row holds the weights of the old pixels that make up a new one, two
        neighbours at most, or zeros where the result is black.
    """
    least = max(1, round(smallest * size))
    side = least + (shrink * (size - least + 1)).floor()
    offset = (shift * (size - side + 1)).floor()
    old = torch.arange(size, device=shrink.device, dtype=shrink.dtype)
    new = old - offset[:, None]  # (n, size)
    place = ((new + 0.5) * (size / side)[:, None] - 0.5).clamp(0, size - 1)
    inside = (new >= 0) & (new < side[:, None])
    weights = (1 - (place[:, :, None] - old).abs()).clamp_min(0)  # (n, size, size)
    return weights * inside[:, :, None]
