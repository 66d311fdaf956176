"""Smoothing: the defence that asks a pixel's neighbours."""

from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from epsball.errors import InvalidInput, unknown_name
from epsball.models.purifiers.defended import Remedy

Kind: TypeAlias = Literal["median", "gaussian"]
WIDEST = 31


class Smoothing(nn.Module):
    """Replace every pixel by the median, or by a weighted mean, of a window around it.

    The gradient goes through, so an adaptive attack can use it.

    Args:
        kernel: side of the window in pixels, 2 to 31; one that is even reaches further up and left.
        kind: "median"; or "gaussian", a bell curve with a standard deviation of
            0.15 * kernel + 0.35 pixels.

    Raises:
        InvalidInput: an argument breaks its rule, or an image is smaller than half the window.

    Source: Xu et al. 2018, arXiv:1704.01155, section III-B, where the median is scipy's, which has
    no gradient; borders are mirrored as there. The deviation follows OpenCV.

    Example:
        >>> speck = torch.zeros(1, 1, 3, 3)
        >>> speck[0, 0, 1, 1] = 1
        >>> float(Smoothing(kernel=3)(speck).max())
        0.0
    """

    remedy: Remedy = "none"

    def __init__(self, kernel: int = 3, kind: Kind = "median") -> None:
        super().__init__()
        if not 1 < kernel <= WIDEST:
            raise InvalidInput(f"Smoothing: kernel must be 2 to {WIDEST}, got {kernel}")
        if kind not in get_args(Kind):
            raise unknown_name("kind of smoothing", kind, get_args(Kind))
        self.kernel = kernel
        self.kind = kind
        self.training = False  # there is no other mode

    def forward(self, inputs: Tensor) -> Tensor:
        """Return images of the same shape, (n, c, h, w)."""
        wide = _mirrored(_mirrored(inputs, 2, self.kernel), 3, self.kernel)
        return _mean(wide, self.kernel) if self.kind == "gaussian" else _median(wide, self.kernel)

    def extra_repr(self) -> str:
        """Return the settings: they are part of what the model is."""
        return f"kernel={self.kernel}, kind={self.kind}"


def _mirrored(images: Tensor, axis: int, kernel: int) -> Tensor:
    """Continue images beyond their borders, which are repeated: c b a | a b c | c b a."""
    size, before, after = images.shape[axis], kernel // 2, (kernel - 1) // 2
    if before > size:
        raise InvalidInput(
            f"Smoothing: kernel must be at most {2 * size + 1} for images of {size} pixels, "
            f"got {kernel}"
        )
    at = torch.arange(-before, size + after, device=images.device)
    at = torch.where(at < 0, -1 - at, at)
    at = torch.where(at >= size, 2 * size - 1 - at, at)
    return images.index_select(axis, at)


def _median(wide: Tensor, kernel: int) -> Tensor:
    windows = wide.unfold(2, kernel, 1).unfold(3, kernel, 1).flatten(4)  # (n, c, h, w, kernel^2)
    # of an even number of pixels the upper of the middle two, as scipy has it
    return windows.sort(-1).values[..., kernel**2 // 2]


def _mean(wide: Tensor, kernel: int) -> Tensor:
    at = torch.arange(kernel, device=wide.device, dtype=wide.dtype) - kernel // 2
    weights = (-(at**2) / (2 * (0.15 * kernel + 0.35) ** 2)).exp()
    weights = weights / weights.sum()
    single = wide.flatten(0, 1)[:, None]  # (n c, 1, h', w')
    across = conv2d(conv2d(single, weights.view(1, 1, -1, 1)), weights.view(1, 1, 1, -1))
    return across.view(*wide.shape[:2], *across.shape[2:])
