"""How the server reads images: validated, and never unpickled."""

import io
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epsball.errors import InvalidInput

NPY, PNG, JSON = "application/x-npy", "image/png", "application/json"
_MAGIC = b"\x93NUMPY"


def decode(body: bytes, content_type: str, shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """Read the images of a request.

    Args:
        body: .npy bytes of uint8 or float32 (n, c, h, w); one PNG; or JSON with "images", a nested
            list (n, c, h, w) of numbers in [0, 1].
        content_type: which of them; parameters such as charset are ignored.
        shape: (c, h, w) that the model takes.

    Returns:
        (n, c, h, w), float32 in [0, 1].

    Raises:
        InvalidInput: another form, type, shape or range.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == NPY:
        images = _from_npy(body)
    elif kind == PNG:
        images = _from_png(body)
    elif kind == JSON:
        images = _from_json(body)
    else:
        raise InvalidInput(f"Content-Type must be {NPY}, {PNG} or {JSON}, got {kind!r}")
    if images.ndim != 4 or images.shape[1:] != shape or not len(images):
        raise InvalidInput(
            f"images must be (n, {str(shape)[1:-1]}) with n >= 1, got {images.shape}"
        )
    if images.dtype == np.uint8:
        return images.astype(np.float32) / np.float32(255)
    values = images.astype(np.float32)
    if not bool(((values >= 0) & (values <= 1)).all()):
        raise InvalidInput("images must be uint8, or floats in [0, 1]")
    return values


def _from_npy(body: bytes) -> NDArray[Any]:
    if not body.startswith(_MAGIC):
        raise InvalidInput("the body is not in numpy's .npy format")
    try:
        images: NDArray[Any] = np.load(io.BytesIO(body), allow_pickle=False)
    except (ValueError, EOFError, OSError, MemoryError) as error:
        raise InvalidInput("the .npy body is damaged, or holds objects") from error
    if images.dtype not in (np.uint8, np.float32):
        raise InvalidInput(f"images must be uint8 or float32, got {images.dtype}")
    return images


def _from_png(body: bytes) -> NDArray[Any]:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(body), formats=["PNG"]) as image:
            if image.mode not in ("L", "RGB"):
                raise InvalidInput(f"a PNG must be 8-bit grey or RGB, got mode {image.mode}")
            pixels = np.asarray(image)
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise InvalidInput("the body is no readable PNG") from error
    planes = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    return planes[None]


def _from_json(body: bytes) -> NDArray[Any]:
    try:
        value = json.loads(body)
        images = np.asarray(value["images"], dtype=np.float32)
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInput(
            'the body must be {"images": [...]} with one nested list of numbers'
        ) from error
    return images
