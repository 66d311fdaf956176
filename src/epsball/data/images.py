"""Decodes images: colour modes, bit depths, sizes and damaged files.

EXIF orientation is ignored, as torchvision, timm and most training pipelines do: a model sees here
what it saw in training. Transparency is dropped, and of an animation the first frame counts.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from epsball.errors import InvalidInput

_GREY = ("1", "L", "LA", "La")
_DEEP = ("I;16", "I;16B", "I;16L", "I;16N")
_DEEP_FORMATS = ("PNG", "PPM")  # where Pillow may give 16-bit greys as mode "I"
_THREADS = 8  # Pillow decodes outside the interpreter's lock; more would only wait for the disk


def measure(file: Path) -> tuple[int, int, int]:
    """Read an image's header, without decoding it.

    Args:
        file: the image.

    Returns:
        (c, h, w): one channel for greys of any depth, else three.

    Raises:
        InvalidInput: it is no image.
    """
    with _naming(str(file)), Image.open(file) as image:
        is_grey = image.mode in (*_GREY, *_DEEP, "I", "F")
        return 1 if is_grey else 3, image.height, image.width


def decode(
    source: Path | bytes, where: str, *, channels: int, size: int | None = None
) -> NDArray[np.uint8]:
    """Decode one image.

    Args:
        source: the file, or its content.
        where: names the image in messages.
        channels: 1 (colours become greys) or 3 (greys become colours).
        size: scale the shorter side to this many pixels (bicubic) and crop the centre; None: as it
            is.

    Returns:
        (c, h, w), uint8; 16-bit greys are scaled to 8.

    Raises:
        InvalidInput: it does not decode, is truncated, or has pixels of unknown range.
    """
    stream = BytesIO(source) if isinstance(source, bytes) else source
    with _naming(where), Image.open(stream) as image:
        converted = _convert(image, where).convert("L" if channels == 1 else "RGB")
        if size is not None:
            converted = ImageOps.fit(converted, (size, size), Image.Resampling.BICUBIC)
        pixels = np.asarray(converted)
    return pixels[None] if channels == 1 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def pixels_of(image: Image.Image, where: str) -> NDArray[np.uint8]:
    """Return the pixels of an opened image, (c, h, w), one channel for greys, else three.

    Raises:
        InvalidInput: it does not decode, or has pixels of unknown range.
    """
    with _naming(where):
        is_grey = image.mode in (*_GREY, *_DEEP, "I")
        pixels = np.asarray(_convert(image, where).convert("L" if is_grey else "RGB"))
    return pixels[None] if is_grey else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def decode_any(source: Path | BytesIO, where: str) -> NDArray[np.uint8]:
    """Decode one image, (c, h, w): one channel for greys, else three.

    Raises:
        InvalidInput: there is no such file, or it does not decode.
    """
    if isinstance(source, Path) and not source.is_file():
        raise InvalidInput(f"{where} is no file: correct the path")
    with _naming(where), Image.open(source) as image:
        return pixels_of(image, where)


def decode_all(
    sources: Sequence[Path] | Sequence[bytes],
    wheres: Sequence[str],
    *,
    channels: int,
    size: int | None = None,
) -> list[NDArray[np.uint8]]:
    """Decode several images at once, in a few threads; see `decode`."""

    def one(source: Path | bytes, where: str) -> NDArray[np.uint8]:
        return decode(source, where, channels=channels, size=size)

    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:
        return list(pool.map(one, sources, wheres))


def undecodable(files: Sequence[Path]) -> list[Path]:
    """Return the files that do not decode."""

    def is_bad(file: Path) -> bool:
        try:
            decode(file, str(file), channels=3)
        except InvalidInput:
            return True
        return False

    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:
        return [file for file, bad in zip(files, pool.map(is_bad, files), strict=True) if bad]


def _convert(image: Image.Image, where: str) -> Image.Image:
    """Bring modes that Pillow would clip or warn about to ones that convert cleanly."""
    if image.mode in _DEEP or (image.mode == "I" and image.format in _DEEP_FORMATS):
        deep = np.asarray(image).astype(np.uint32)
        return Image.fromarray(((deep * 255 + 32767) // 65535).astype(np.uint8))  # rounded
    if image.mode in ("I", "F"):
        raise InvalidInput(
            f"{where} has 32-bit pixels, whose range is unknown: save it with 8 or 16 bits"
        )
    return image.convert("RGBA") if image.mode == "P" else image


@contextmanager
def _naming(where: str) -> Iterator[None]:
    """Turn any error of a decoder into one that names the image."""
    try:
        yield
    except (InvalidInput, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise InvalidInput(f"{where} is not an image that Pillow can read: remove it") from error
    except Exception as error:  # decoders raise anything on damage, from OSError to IndexError
        raise InvalidInput(
            f"{where} does not decode ({type(error).__name__}: {error}): replace or remove it"
        ) from error
