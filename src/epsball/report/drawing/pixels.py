"""From arrays to images that a page can hold: data addresses, and perturbations made visible."""

import base64
import io
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SHARP = 64  # pixels: up to this side an image is kept exactly and shown with square pixels
_LONGEST = 224  # pixels: a longer side is scaled down for the page
_QUALITY = 80
_RGB = 3

ImageArray = NDArray[np.float32]  # (c, h, w) in [0, 1]


def data_address(array: ImageArray) -> str:
    """Encode an image for the `src` of an image.

    Args:
        array: (c, h, w) in [0, 1]. One channel is grey, three are colours; of more the first
            three are shown, of two the mean.

    Returns:
        A data address: PNG, exact at 8 bits, for small images; WebP for larger ones.
    """
    image = _pil_image(array)
    small = max(image.size) <= SHARP
    buffer = io.BytesIO()
    if small:
        image.save(buffer, "PNG", optimize=True)
    else:
        image.thumbnail((_LONGEST, _LONGEST))
        image.save(buffer, "WEBP", quality=_QUALITY, method=4)
    kind = "png" if small else "webp"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def magnify(difference: ImageArray) -> tuple[ImageArray, int]:
    """Make a perturbation visible: no change is mid-grey, brighter and darker mean what they say.

    Args:
        difference: (c, h, w), adversarial minus clean, in [-1, 1].

    Returns:
        The image, and the factor it was multiplied by: the largest of 1, 2, 5, 10, 20 ... that
        keeps every value in [0, 1].
    """
    largest = float(np.abs(difference).max(initial=0.0))
    factor = _round_down(0.5 / largest) if largest > 0 else 1
    shown = np.clip(0.5 + factor * difference, 0, 1)
    return shown.astype(np.float32), factor


def _round_down(value: float) -> int:
    slack = max(value, 1.0) * (1 + 1e-4)  # 0.5 / 0.05 in float32 lies just below 10
    power: int = 10 ** math.floor(math.log10(slack))
    return max(step * power for step in (1, 2, 5) if step * power <= slack)


def _pil_image(array: ImageArray) -> Image.Image:
    values = np.round(np.clip(array, 0, 1) * 255).astype(np.uint8)
    if len(values) >= _RGB:
        return Image.fromarray(np.ascontiguousarray(values[:_RGB].transpose(1, 2, 0)))
    return Image.fromarray(values.mean(0).round().astype(np.uint8))
