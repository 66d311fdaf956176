"""Does an adversarial image stay one when it is saved as an image?"""

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

Bytes = NDArray[np.uint8]
# float32 sums miss an exact level by some 1e-5 levels: 8/255 * 255 may read 7.99998
_SLACK = 1e-3
_GREY, _COLOUR = 1, 3


def to_8bit(adversarial: Tensor, clean: Tensor) -> Bytes:
    """Round to 8 bits, towards the clean image, so that the eps-ball still holds.

    Args:
        adversarial: (n, c, h, w), float in [0, 1].
        clean: (n, c, h, w), float in [0, 1].

    Returns:
        (n, c, h, w), uint8. No pixel lies farther from a clean pixel of 8 bits than it did. Where
        the clean pixel is not on the grid and no level lies between, the clean pixel's nearest.

    Example:
        >>> clean, moved = torch.full((1, 1, 1, 1), 100 / 255), torch.full((1, 1, 1, 1), 0.4117)
        >>> int(to_8bit(moved, clean)[0, 0, 0, 0])  # 104.98 levels, rounded towards 100
        104
    """
    levels, origin = adversarial.double() * 255, clean.double() * 255
    rising = levels > origin
    inward = torch.where(rising, (levels + _SLACK).floor(), (levels - _SLACK).ceil())
    # off the grid, a move of less than a level may have no level between its ends
    overshot = torch.where(rising, inward < origin - _SLACK, inward > origin + _SLACK)
    rounded = torch.where(overshot | (levels == origin), origin.round(), inward)
    return rounded.clamp(0, 255).to(torch.uint8).numpy()


def through_png(images: Bytes) -> Bytes | None:
    """Write and read every image as PNG; None where PNG has no such number of channels."""
    return _through(images, lambda image, file: image.save(file, "PNG", compress_level=1))


def through_jpeg(images: Bytes, quality: int) -> Bytes | None:
    """Write and read every image as JPEG of a quality (1 to 95); None for odd channels."""
    return _through(images, lambda image, file: image.save(file, "JPEG", quality=quality))


def as_image(image: Bytes) -> Image.Image:
    """Make a Pillow image of one image, (c, h, w) uint8 with one or three channels."""
    return Image.fromarray(image[0] if len(image) == _GREY else image.transpose(1, 2, 0))


def _through(images: Bytes, save: Callable[[Image.Image, Any], None]) -> Bytes | None:
    if images.shape[1] not in (_GREY, _COLOUR):
        return None

    def one(image: Bytes) -> Bytes:
        file = io.BytesIO()
        save(as_image(image), file)
        read = np.asarray(Image.open(file))
        return read[None] if len(image) == _GREY else read.transpose(2, 0, 1)

    # Pillow lets go of the interpreter's lock while it encodes
    with ThreadPoolExecutor() as pool:
        return np.stack(list(pool.map(one, images))) if len(images) else images
