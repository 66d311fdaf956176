"""Images of 8 bits through an image file and back, by Pillow."""

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

ByteImages: TypeAlias = NDArray[np.uint8]  # (n, c, h, w)
CHANNELS = (1, 3)  # what PNG and JPEG both hold


def through_png(images: ByteImages) -> ByteImages:
    """Write and read every image as PNG, which is lossless.

    Args:
        images: (n, c, h, w), uint8, one or three channels.
    """
    return _through(images, lambda image, file: image.save(file, "PNG", compress_level=1))


def through_jpeg(images: ByteImages, quality: int) -> ByteImages:
    """Write and read every image as JPEG, colours at half resolution (4:2:0), Pillow's default.

    Args:
        images: (n, c, h, w), uint8, one or three channels.
        quality: 1 (coarse) to 100.

    Example:
        >>> through_jpeg(np.full((1, 1, 8, 8), 128, dtype=np.uint8), 75).max()
        np.uint8(128)
    """
    return _through(images, lambda image, file: image.save(file, "JPEG", quality=quality))


def as_pillow(image: ByteImages) -> Image.Image:
    """Make a Pillow image of one image, (c, h, w) uint8 with one or three channels."""
    return Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0))


def _through(images: ByteImages, save: Callable[[Image.Image, Any], None]) -> ByteImages:
    def one(image: ByteImages) -> ByteImages:
        file = io.BytesIO()
        save(as_pillow(image), file)
        with Image.open(file) as read:
            pixels = np.asarray(read)
        return pixels[None] if len(image) == 1 else pixels.transpose(2, 0, 1)

    # Pillow releases the interpreter's lock while it encodes
    with ThreadPoolExecutor() as pool:
        return np.stack(list(pool.map(one, images))) if len(images) else images
