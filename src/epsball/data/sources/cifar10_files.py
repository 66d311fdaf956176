"""The formats in which CIFAR-10 is passed around, decoded without running anything inside."""

import pickletools
import struct
import tarfile
import zlib
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from epsball.data.images import decode_all
from epsball.data.stored import read_arrays
from epsball.errors import InvalidInput

Batch: TypeAlias = tuple[NDArray[np.uint8], NDArray[np.uint8]]  # (n, 32, 32, 3), (n,)
_SIDE = 32
_PIXELS = 3 * _SIDE * _SIDE  # bytes of one image
_BROKEN = (OSError, EOFError, ValueError, LookupError, struct.error, zlib.error, tarfile.TarError)


def read_batches(file: Path, names: Sequence[str], parse: Callable[[bytes], Batch]) -> Batch:
    """Read batch files out of a folder or a gzipped tar archive, in the order named.

    Args:
        file: the folder, or the archive; of a member's path only the last part counts.
        names: the batch files.
        parse: how one of them is decoded.

    Returns:
        Pixels (n, 32, 32, 3) and labels (n,), both uint8.

    Raises:
        InvalidInput: a batch is missing, truncated or not in this format.
    """
    try:
        stored = _members(file, names)
        batches = [parse(stored.pop(name)) for name in names]
    except _BROKEN as error:
        raise InvalidInput(
            f"{file} is truncated or not in CIFAR-10's format ({type(error).__name__}: {error}): "
            "replace it, or delete it to have it downloaded"
        ) from error
    images, labels = zip(*batches, strict=True)
    return np.concatenate(images), np.concatenate(labels)


def read_sheets(file: Path) -> Batch:
    """Read an npz whose images are tiled, row by row, on losslessly compressed sheets.

    Args:
        file: arrays `webp` (uint8, the sheets end to end), `offsets` (sheets + 1) and `labels`
            (n,).

    Returns:
        Pixels (n, 32, 32, 3) and labels (n,), both uint8.

    Raises:
        InvalidInput: the file is truncated or not in this format.
    """
    remedy = "replace it, or delete it to have CIFAR-10 downloaded"
    data, offsets, labels = read_arrays(file, ("webp", "offsets", "labels"), remedy)
    parts = [data[start:stop].tobytes() for start, stop in pairwise(offsets)]
    wheres = [f"sheet {number} of {file}" for number in range(len(parts))]
    sheets = decode_all(parts, wheres, channels=3)  # each (3, rows * 32, columns * 32)
    return np.concatenate([_tiles(sheet) for sheet in sheets]), labels.astype(np.uint8)


def parse_binary(content: bytes) -> Batch:
    """Decode a batch of the binary version: per image a label, then red, green, blue."""
    rows = np.frombuffer(content, np.uint8).reshape(-1, 1 + _PIXELS)
    return _from_planes(rows[:, 1:]), rows[:, 0].copy()


def parse_pickled(content: bytes) -> Batch:
    """Decode a batch of the Python version by reading its opcodes; none is executed.

    The pixels are its longest string, the labels the small integers that follow the word "labels".
    The caller checks their hash.
    """
    pixels, labels, word = b"", bytearray(), b""
    for opcode, value, _ in pickletools.genops(content):
        if isinstance(value, str | bytes) and opcode.stack_after:
            # Python 2 strings come back as latin-1 text; what does not fit in it is not pixels
            word = value if isinstance(value, bytes) else value.encode("latin-1", "replace")
            pixels = max(pixels, word, key=len)
        elif isinstance(value, int) and opcode.name == "BININT1" and word == b"labels":
            labels.append(value)
    planes = np.frombuffer(pixels, np.uint8).reshape(-1, _PIXELS)
    return _from_planes(planes), np.frombuffer(bytes(labels), np.uint8)


def _members(file: Path, names: Sequence[str]) -> dict[str, bytes]:
    if file.is_dir():
        return {name: (file / name).read_bytes() for name in names}
    contents = {}
    with tarfile.open(file, "r|gz") as archive:  # one pass: going back would decompress again
        for member in archive:
            name = PurePosixPath(member.name).name
            stream = archive.extractfile(member) if name in names else None
            if stream is not None:
                contents[name] = stream.read()
    return contents


def _from_planes(planes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    images = planes.reshape(-1, 3, _SIDE, _SIDE)
    return np.ascontiguousarray(images.transpose(0, 2, 3, 1))  # (n, 32, 32, 3)


def _tiles(sheet: NDArray[np.uint8]) -> NDArray[np.uint8]:
    rows, columns = sheet.shape[1] // _SIDE, sheet.shape[2] // _SIDE
    tiles = sheet.reshape(3, rows, _SIDE, columns, _SIDE).transpose(1, 3, 2, 4, 0)
    return tiles.reshape(-1, _SIDE, _SIDE, 3)  # (rows * columns, 32, 32, 3)
