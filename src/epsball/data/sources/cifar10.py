"""CIFAR-10, from the published archives or from lossless sheets. Nothing is unpickled."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from epsball.data.download import download
from epsball.data.in_memory import in_memory_dataset
from epsball.data.places import cache, check_content, places
from epsball.data.sources.cifar10_files import (
    Batch,
    parse_binary,
    parse_pickled,
    read_batches,
    read_sheets,
)
from epsball.data.spec import Split
from epsball.types import Dataset

FOLDER = "cifar10"
ARCHIVE = "cifar-10-binary.tar.gz"
URLS = (f"https://www.cs.toronto.edu/~kriz/{ARCHIVE}",)
MD5 = "c32a1d4ab5d03f1284b67883e8d87530"  # as the publisher's page gives it
# of the decoded pixels, (n, 32, 32, 3) in C order, and of the labels as single bytes
SHA256 = {
    "train": (
        "47af8b02cfcfb6cdf3dbbd1969ad7f1b70f4413f6f80f437b020ee4e5bc8304a",
        "2b7cd2f24487317614016b72ffd53071c3062f592f0eb300c18a770d41ae1253",
    ),
    "test": (
        "f9b1e2130bab680db56eb06d886f7f1ad0f1183907ceff4659d1735c890f5b04",
        "cec8a24a1e92aa2ecaa0bbd3dbfa86bf6cd8759fbd209a832824c8cf0afca9d5",
    ),
}
# folder or archive -> how its batches end and are parsed
FORMS = {
    "cifar-10-batches-bin": (".bin", parse_binary),
    ARCHIVE: (".bin", parse_binary),
    "cifar-10-batches-py": ("", parse_pickled),
    "cifar-10-python.tar.gz": ("", parse_pickled),
}
_BATCHES = {
    "train": tuple(f"data_batch_{number}" for number in range(1, 6)),
    "test": ("test_batch",),
}
_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def load(split: Split) -> Dataset:
    """Load CIFAR-10 in its published order.

    Looks in each place for, in this order: `{split}.npz` (see `read_sheets`), the binary version
    unpacked or as its archive, the Python version unpacked or as its archive.

    Args:
        split: "train" (50,000 images) or "test" (10,000).

    Returns:
        Images (3, 32, 32), uint8, red first.

    Raises:
        InvalidInput: a file is truncated, is not the published one, or cannot be downloaded.

    Source: Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images";
        https://www.cs.toronto.edu/~kriz/cifar.html
    """
    file, (images, labels) = _read(split)
    pixels_sha256, labels_sha256 = SHA256[split]
    check_content(file, "decoded pixels", images.data, pixels_sha256)
    check_content(file, "labels", labels.data, labels_sha256)
    return in_memory_dataset("cifar10", _channels_first(images), labels, _NAMES)


def _read(split: Split) -> tuple[Path, Batch]:
    for place in places(FOLDER):
        sheets = place / f"{split}.npz"
        if sheets.is_file():
            return sheets, read_sheets(sheets)
        for name in FORMS:
            if (place / name).exists():
                return place / name, _read_form(place / name, split)
    file = download(ARCHIVE, URLS, cache(FOLDER), MD5)
    return file, _read_form(file, split)


def _read_form(file: Path, split: Split) -> Batch:
    ending, parse = FORMS[file.name]
    return read_batches(file, [f"{batch}{ending}" for batch in _BATCHES[split]], parse)


def _channels_first(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return images.transpose(0, 3, 1, 2)  # (n, 3, 32, 32), a view
