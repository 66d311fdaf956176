"""MNIST, from its four IDX files as LeCun, Cortes and Burges published them."""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from epsball.data.download import download
from epsball.data.in_memory import in_memory_dataset
from epsball.data.places import cache, check_content, find
from epsball.data.spec import Split
from epsball.errors import InvalidInput
from epsball.types import Dataset

FOLDER = "mnist"
MIRRORS = (
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
)
# name -> md5 of the published .gz, sha256 of the file inside
FILES = {
    "train-images-idx3-ubyte": (
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    "train-labels-idx1-ubyte": (
        "d53e105ee54ea40749a09fcbcd1e9432",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    "t10k-images-idx3-ubyte": (
        "9fb629c4189551a2d022fa330f9573f3",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    "t10k-labels-idx1-ubyte": (
        "ec29112dd5afa0611ce80d1b7f02629c",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
}
_PREFIX = {"train": "train", "test": "t10k"}
_MAGIC = bytes([0, 0, 0x08])  # 0x08: unsigned bytes, the only type MNIST uses


def load(split: Split) -> Dataset:
    """Load MNIST in its published order.

    Args:
        split: "train" (60,000 images) or "test" (10,000).

    Returns:
        Images (1, 28, 28), uint8.

    Raises:
        InvalidInput: a file is truncated, is not the published one, or cannot be downloaded.

    Source: http://yann.lecun.com/exdb/mnist; the md5 are those of torchvision.datasets.MNIST.
    """
    images = _read(f"{_PREFIX[split]}-images-idx3-ubyte")
    labels = _read(f"{_PREFIX[split]}-labels-idx1-ubyte")
    return in_memory_dataset(
        "mnist", images[:, None], labels, tuple(str(digit) for digit in range(10))
    )


def _read(name: str) -> NDArray[np.uint8]:
    md5, sha256 = FILES[name]
    file = find(FOLDER, (f"{name}.gz", name))
    if file is None:
        urls = [f"{mirror}{name}.gz" for mirror in MIRRORS]
        file = download(f"{name}.gz", urls, cache(FOLDER), md5)
    content = _decompressed(file)
    array = _parse_idx(file, content)
    check_content(file, "decompressed file", content, sha256)
    return array


def _decompressed(file: Path) -> bytes:
    try:
        content = file.read_bytes()
        return gzip.decompress(content) if file.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidInput(
            f"{file} is truncated or cannot be read ({error}): replace it, or delete it to have it "
            "downloaded"
        ) from error


def _parse_idx(file: Path, content: bytes) -> NDArray[np.uint8]:
    """Read two zero bytes, type, rank, the sizes (big-endian, 4 bytes each), then the values."""
    rank = int.from_bytes(content[3:4])
    start = 4 + 4 * rank
    if content[:3] != _MAGIC or not rank or len(content) < start:
        raise InvalidInput(f"{file} is not an IDX file of bytes: replace it, or delete it")
    shape = struct.unpack_from(f">{rank}I", content, 4)
    size, expected = len(content) - start, math.prod(shape)
    if size != expected:
        raise InvalidInput(
            f"{file} must hold {expected} values of shape {shape}, found {size}: replace it, or "
            "delete it to have it downloaded"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
