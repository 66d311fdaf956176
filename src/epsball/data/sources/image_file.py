"""One image of the user's own, with the label that is given beside it."""

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from epsball.data.images import decode, measure
from epsball.data.sources.folder_tree import EXTENSIONS
from epsball.data.spec import Split
from epsball.errors import InvalidInput
from epsball.types import Dataset, Positions

_LARGEST = 4096  # pixels; a larger @SIZE is a typing error


def load(argument: str, split: Split, label: str | int | None) -> Dataset:  # noqa: ARG001 - no split
    """Load one image file.

    Args:
        argument: the file; `PATH@224` scales the shorter side to 224 pixels and crops the centre.
        split: both splits are the same image.
        label: the number of its class, or the class's name, which is matched to the model's.

    Returns:
        One image (c, h, w), uint8.

    Raises:
        InvalidInput: no label, no such file, or it does not decode.
    """
    file, size = _parse(argument)
    if label is None:
        raise InvalidInput(
            f"{file} needs its true class: add --label NAME or --label NUMBER (in Python label=)"
        )
    text = str(label).strip()
    number = int(text) if text.isdecimal() else 0
    channels, height, width = measure(file)
    names = tuple(map(str, range(number + 1))) if text.isdecimal() else (text,)
    return Dataset(
        f"image:{argument}",
        np.array([number], np.int64),
        names,
        (channels, size or height, size or width),
        partial(_read, file, channels, size),
        "numbers" if text.isdecimal() else "names",
    )


def is_image_file(spec: str) -> bool:
    """Say whether what was typed after --data is the path of an image."""
    path = Path(spec.rpartition("@")[0] if spec.rpartition("@")[2].isdecimal() else spec)
    return path.suffix.lower() in EXTENSIONS and path.expanduser().is_file()


def _parse(argument: str) -> tuple[Path, int | None]:
    path, at, suffix = argument.rpartition("@")
    whole = Path(argument).expanduser()
    sized = bool(at) and suffix.isdecimal() and not whole.is_file()
    file, size = (Path(path).expanduser(), int(suffix)) if sized else (whole, None)
    if not file.is_file():
        raise InvalidInput(f"image:{file} must be an image file, found none there: check the path")
    if size is not None and not 1 <= size <= _LARGEST:
        raise InvalidInput(f"image:{argument} must have a size from 1 to {_LARGEST} after the @")
    return file, size


def _read(file: Path, channels: int, size: int | None, positions: Positions) -> NDArray[np.uint8]:
    pixels = decode(file, str(file), channels=channels, size=size)
    return np.repeat(pixels[None], len(positions), axis=0)
