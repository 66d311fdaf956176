"""A small sample of ImageNet, kept as JPEG in one file and decoded when read."""

from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from epsball.data.images import decode_all
from epsball.data.places import find, places
from epsball.data.spec import Split
from epsball.data.stored import read_arrays
from epsball.errors import InvalidInput
from epsball.types import Dataset, Positions

FOLDER = "imagenet_sample"
ARCHIVE = "imagenet_sample_224.npz"
NAMES = "class_names.txt"
_SHAPE = (3, 224, 224)


def load(split: Split) -> Dataset:
    """Load the sample. It has no publisher: nothing is downloaded, and no hash is published.

    Args:
        split: "test"; a thousand images are nothing to train on.

    Returns:
        Images (3, 224, 224), uint8; 1,000 in the usual sample, one a class.

    Raises:
        InvalidInput: the sample is absent, truncated, or its parts do not fit together.
    """
    if split != "test":
        raise InvalidInput(
            f"imagenet-sample has no {split} split, only test: use folder:PATH@224 with "
            "images of your own"
        )
    archive = find(FOLDER, [ARCHIVE])
    if archive is None:
        raise _absent()
    jpeg, offsets, labels, wnids = _arrays(archive)
    names = _class_names(archive.with_name(NAMES), labels, wnids)
    return Dataset("imagenet-sample", labels, names, _SHAPE, partial(_read, jpeg, offsets, archive))


def _read(
    jpeg: NDArray[np.uint8], offsets: NDArray[np.int64], archive: Path, positions: Positions
) -> NDArray[np.uint8]:
    parts = [jpeg[offsets[row] : offsets[row + 1]].tobytes() for row in positions]
    wheres = [f"image {row} of {archive}" for row in positions]
    images = np.empty((len(parts), *_SHAPE), np.uint8)
    for slot, (image, where) in enumerate(
        zip(decode_all(parts, wheres, channels=3), wheres, strict=True)
    ):
        if image.shape != _SHAPE:
            raise InvalidInput(f"{where} must be {_SHAPE}, found {image.shape}: make it anew")
        images[slot] = image
    return images


def _arrays(
    archive: Path,
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64], NDArray[np.str_]]:
    names = ("jpeg", "offsets", "labels", "wnids")
    jpeg, offsets, labels, wnids = read_arrays(archive, names, "replace it")
    ends_fit = len(offsets) > 0 and offsets[0] == 0 and offsets[-1] == len(jpeg)
    if not ends_fit or (np.diff(offsets) <= 0).any() or not len(labels):
        raise InvalidInput(f"{archive} is damaged: offsets must rise from 0 to the length of jpeg")
    if not len(labels) == len(wnids) == len(offsets) - 1:
        raise InvalidInput(
            f"{archive} must hold as many labels and wnids as images, found {len(labels)} and "
            f"{len(wnids)} for {len(offsets) - 1}: make it anew"
        )
    return jpeg, offsets, labels.astype(np.int64), wnids


def _class_names(file: Path, labels: NDArray[np.int64], wnids: NDArray[np.str_]) -> tuple[str, ...]:
    """Read one name a line; a name that two classes share gets its WordNet id."""
    try:
        names = file.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{file} must hold one class name a line ({error}): add it") from error
    if labels.min() < 0 or labels.max() >= len(names):
        raise InvalidInput(
            f"{file} names {len(names)} classes, but labels run from {labels.min()} to "
            f"{labels.max()}: give one line a class"
        )
    ids = dict(zip(labels.tolist(), wnids.tolist(), strict=True))
    uses = Counter(names)
    return tuple(
        f"{name} ({ids.get(number, number)})" if uses[name] > 1 else name
        for number, name in enumerate(names)
    )


def _absent() -> InvalidInput:
    looked = " and ".join(str(place) for place in places(FOLDER))
    return InvalidInput(
        f"imagenet-sample was not found in {looked}, and it has no publisher to download it from: "
        "put images of your own into one folder a class and use folder:PATH@224, or put "
        f"{ARCHIVE} (arrays jpeg: 224x224 files end to end; offsets: n + 1; labels: n; wnids: n) "
        f"and {NAMES} (a name a line) there"
    )
