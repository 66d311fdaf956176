"""From stored pixels to what a classifier takes. The only file of this room that needs torch."""

import numpy as np
import torch
from torch import Tensor

from epsball.errors import InvalidInput
from epsball.types import Pixels


def to_unit(pixels: Pixels) -> Tensor:
    """Turn pixels as a data set gives them into a float32 tensor in [0, 1] of its own memory.

    Args:
        pixels: any shape, usually (m, c, h, w); uint8, or float32 in [0, 1].

    Returns:
        The same shape, float32: uint8 divided by 255, float32 as it is.

    Raises:
        InvalidInput: another dtype, whose range is unknown.

    Example:
        >>> to_unit(np.array([0, 51, 255], dtype=np.uint8))
        tensor([0.0000, 0.2000, 1.0000])
    """
    if pixels.dtype == np.uint8:
        return torch.from_numpy(pixels.astype(np.float32)).div_(255)
    if pixels.dtype == np.float32:
        return torch.from_numpy(pixels.copy())
    raise InvalidInput(
        f"to_unit takes uint8 or float32 pixels, got {pixels.dtype}: convert them first"
    )
