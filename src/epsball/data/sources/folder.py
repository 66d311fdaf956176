"""Images of the user's own: one sub-folder a class. Pixels are read when they are needed."""

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from epsball.data.images import decode_all, measure, undecodable
from epsball.data.sources.folder_tree import (
    class_folders,
    class_table,
    images_under,
    split_folders,
    stated_list,
)
from epsball.data.spec import Split
from epsball.errors import InvalidInput
from epsball.types import Dataset, Positions

_MOST_PROBES = 1000  # headers read on loading, so that mixed sizes show before hours of work
_MOST_TRIED, _SHOWN = 5000, 5  # files that are tried once one is bad, and named
_LARGEST = 4096  # pixels; a larger @SIZE is a typing error


def load(argument: str, split: Split) -> Dataset:
    """Load a folder of images.

    Classes are the sub-folders in alphabetical order, or, where all are named by numbers, those of
    these numbers; or in the order of `classes.txt` where the folder, or that of a split, holds one
    (see `class_table`), which may list classes that have no folder here. Within a class images come
    in alphabetical order, deeper folders included; hidden files and other kinds of file are
    skipped. Sub-folders with the usual names of splits (`train`, `Training`, `test`, `valid`, `val`
    ...) that hold sub-folders themselves are the splits, and classes are those of either; without
    two of them both splits are the same images. Images get one channel where all are grey, else
    three.

    Args:
        argument: the folder; `PATH@224` reads each image with its shorter side scaled to 224
            pixels, centre crop. A folder that really has such a name wins.
        split: "train" or "test".

    Returns:
        Images (c, h, w), uint8, in class order.

    Raises:
        InvalidInput: the folder or a class is missing or empty, an image does not decode, or sizes
            differ; some of this only when the image is read.
    """
    root, size = _parse(argument)
    halves = split_folders(root) or {"train": root, "test": root}
    tree = class_folders(halves[split])
    known = sorted({name for half in set(halves.values()) for name in class_folders(half)})
    table, order = class_table(stated_list(root, halves.values()), known)
    files: list[Path] = []
    labels: list[int] = []
    for label, (name, _) in enumerate(table):
        members = images_under(tree[name]) if name in tree else []
        files += members
        labels += [label] * len(members)
    try:
        shape = _shape(files, size, root)
    except InvalidInput as error:
        raise _every_bad(files, root, error) from error
    return Dataset(
        f"folder:{argument}",
        np.array(labels, dtype=np.int64),
        tuple(shown for _, shown in table),
        shape,
        partial(_read, files, shape, size, root),
        order,
    )


def _parse(argument: str) -> tuple[Path, int | None]:
    path, at, suffix = argument.rpartition("@")
    whole = Path(argument).expanduser()
    if not (at and suffix.isdecimal()) or whole.is_dir():
        root, size = whole, None
    else:
        root, size = Path(path).expanduser(), int(suffix)
    if not root.is_dir():
        raise InvalidInput(f"folder:{root} must be a folder, found none there: check the path")
    if size is not None and not 1 <= size <= _LARGEST:
        raise InvalidInput(f"folder:{argument} must have a size from 1 to {_LARGEST} after the @")
    return root, size


def _shape(files: list[Path], size: int | None, root: Path) -> tuple[int, int, int]:
    """Take the first image's size, and colours where any has them; compare many headers with it."""
    _, height, width = measure(files[0])
    channels = 3 if any(measure(file)[0] == 3 for file in files) else 1
    if size is not None:
        return channels, size, size
    probes = np.unique(np.linspace(0, len(files) - 1, _MOST_PROBES).astype(np.int64))
    for file in (files[probe] for probe in probes):
        _, *sides = measure(file)
        if sides != [height, width]:
            raise _mixed(file, (sides[0], sides[1]), (height, width), files[0], root)
    return channels, height, width


def _read(
    files: list[Path],
    shape: tuple[int, int, int],
    size: int | None,
    root: Path,
    positions: Positions,
) -> NDArray[np.uint8]:
    chosen = [files[row] for row in positions]
    images = np.empty((len(chosen), *shape), np.uint8)
    try:
        decoded = decode_all(chosen, [str(file) for file in chosen], channels=shape[0], size=size)
    except InvalidInput as error:
        raise _every_bad(files, root, error) from error
    for slot, (image, file) in enumerate(zip(decoded, chosen, strict=True)):
        if image.shape != shape:
            raise _mixed(file, image.shape[1:], shape[1:], files[0], root)
        images[slot] = image
    return images


def _every_bad(files: list[Path], root: Path, error: InvalidInput) -> InvalidInput:
    """Name all files that do not decode at once, of the first thousands."""
    bad = undecodable(files[:_MOST_TRIED])
    if len(bad) < 2 or not root.is_dir():
        return error
    some = ", ".join(str(file.relative_to(root)) for file in bad[:_SHOWN])
    more = f" and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
    return InvalidInput(
        f"{len(bad)} images of folder:{root} do not decode ({some}{more}): replace or remove them"
    )


def _mixed(
    file: Path, sides: tuple[int, ...], expected: tuple[int, ...], first: Path, root: Path
) -> InvalidInput:
    return InvalidInput(
        f"images of a folder must have one size, found {file} of {sides[1]}x{sides[0]} and "
        f"{first} of {expected[1]}x{expected[0]}: read them scaled and cropped with "
        f"folder:{root}@{min(expected)}"
    )
