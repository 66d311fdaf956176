"""What lies in a folder of images: class folders, their order and names, their images."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from epsball.data.spec import Split
from epsball.errors import InvalidInput
from epsball.files import read_lines

CLASSES = "classes.txt"
Order: TypeAlias = Literal["stated", "names", "numbers"]
# the usual names of a split, in lower case and without digits and punctuation
TRAIN = ("train", "training", "trn", "fit")
TEST = (
    *(
        "test",
        "testing",
        "tst",
        "val",
        "valid",
        "validate",
        "validation",
        "eval",
        "evaluation",
        "dev",
    ),
    *("holdout", "heldout"),
)
_ENDINGS = ("set", "data", "images", "split", "folder")
_MOST_NUMBERED = 1000  # more classes than folders by so much: the numbers are no class numbers
EXTENSIONS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm")


def class_folders(root: Path) -> dict[str, Path]:
    """Find the class folders.

    Args:
        root: the folder of one split.

    Returns:
        Name -> path, in alphabetical order, hidden ones left out.

    Raises:
        InvalidInput: there are none, or the folder may not be read.
    """
    try:
        children = sorted(root.iterdir())
    except OSError as error:
        raise InvalidInput(f"folder:{root} cannot be read ({error}): check its rights") from error
    visible = (child for child in children if not _is_hidden(child))
    folders = {child.name: child for child in visible if child.is_dir()}
    if not folders:
        raise InvalidInput(
            f"folder:{root} must hold one sub-folder a class, found none: move the images into "
            "one folder a class"
        )
    return folders


def split_folders(root: Path) -> dict[Split, Path] | None:
    """Find the folders of the splits, by their usual names.

    A split holds class folders: a class that happens to be called "train" holds none.

    Args:
        root: the folder as it was asked for.

    Returns:
        The folder of each split; of a single split it is both. None: the root holds the classes.

    Raises:
        InvalidInput: one split stands beside folders that are none.
    """
    below = [child for child in sorted(root.iterdir()) if not _is_hidden(child)]
    folders = [child for child in below if child.is_dir() and _holds_folders(child)]
    by_split: dict[Split, Path] = {}
    for split, names in (("train", TRAIN), ("test", TEST)):
        ranked = [(names.index(key), f) for f in folders if (key := _split_key(f.name)) in names]
        if ranked:
            by_split[split] = min(ranked)[1]  # type: ignore[index]  # a split's name
    if len(by_split) == 1:
        (only,) = by_split.values()
        others = [child.name for child in below if child.is_dir() and child != only]
        if any(_split_key(other) not in (*TRAIN, *TEST) for other in others):
            raise InvalidInput(
                f"folder:{root} holds {only.name}, which looks like a split, beside {others[0]}: "
                f"name the folder that holds the classes, folder:{only}, or rename {only.name}"
            )
        return {"train": only, "test": only}
    return by_split or None


def _split_key(name: str) -> str:
    """Reduce the name of a folder to the word that splits are recognised by."""
    key = "".join(letter for letter in name.lower() if letter.isalpha())
    for ending in _ENDINGS:
        if key.endswith(ending) and key != ending:
            return key.removesuffix(ending)
    return key


def _holds_folders(path: Path) -> bool:
    return any(child.is_dir() for child in path.iterdir())


def stated_list(root: Path, splits: Iterable[Path]) -> Path:
    """Return the list of classes in a folder, or in the folder of one of its splits.

    Raises:
        InvalidInput: splits have lists that differ.
    """
    below = sorted({split / CLASSES for split in splits if (split / CLASSES).is_file()})
    if (root / CLASSES).is_file() or not below:
        return root / CLASSES
    for other in below[1:]:
        if _lines(other) != _lines(below[0]):
            raise InvalidInput(
                f"{below[0]} and {other} list other classes: put one list into {root / CLASSES}"
            )
    return below[0]


def class_table(file: Path, folders: Sequence[str]) -> tuple[list[tuple[str, str]], Order]:
    """Order and name the classes.

    Args:
        file: one folder name a line, in label order, if you like followed by a tab and the name to
            show. It may list classes that have no folder, where the model knows more classes than
            the images show; such a name may be repeated. Need not exist.
        folders: names of the class folders. Without the file, folders that are all named by
            numbers are the classes of these numbers; else the order is that of the alphabet.

    Returns:
        Per class the folder's name and the name to show; and what decided the order.

    Raises:
        InvalidInput: a line is empty, a folder is listed twice, or not at all.
    """
    if not file.is_file():
        numbers = class_numbers(folders)
        if numbers is None:
            return [(name, name) for name in sorted(folders)], "names"
        count = 1 + max(numbers)
        return [(numbers.get(n, ""), numbers.get(n, str(n))) for n in range(count)], "numbers"
    table: list[tuple[str, str]] = []
    for number, line in enumerate(_lines(file), start=1):
        name, _, shown = (part.strip() for part in line.partition("\t"))
        again = name in folders and any(name == known for known, _ in table)
        if not name or again:
            fault = f"repeats {name!r}" if name else "is empty"
            raise InvalidInput(
                f"{file} must name each class once, line {number} {fault}: correct it"
            )
        table.append((name, shown or name))
    stray = sorted(set(folders) - {name for name, _ in table})
    if stray:
        raise InvalidInput(
            f"{file} must list every class folder, found {stray[0]!r} on disk but not in it: add a "
            "line"
        )
    return table, "stated"


def class_numbers(folders: Sequence[str]) -> dict[int, str] | None:
    """Return the class number of each folder, where all are named by numbers; else None."""
    if not all(name.isascii() and name.isdecimal() for name in folders):
        return None
    numbers = {int(name): name for name in folders}
    if len(numbers) < len(folders):  # "1" and "01"
        return None
    if 1 + max(numbers) > max(_MOST_NUMBERED, 10 * len(folders)):
        return dict(enumerate(numbers[number] for number in sorted(numbers)))
    return numbers


def images_under(folder: Path) -> list[Path]:
    """List the images of one class, deeper folders included, in alphabetical order.

    Raises:
        InvalidInput: there are none.
    """
    images: list[Path] = []
    for place, below, names in os.walk(folder):
        below[:] = sorted(name for name in below if not name.startswith("."))
        images += [Path(place, name) for name in sorted(names) if _is_image(name)]
    if not images:
        raise InvalidInput(
            f"class folder {folder} holds no image ({', '.join(EXTENSIONS)}): add some or remove it"
        )
    return images


def _is_hidden(path: Path) -> bool:
    """Say whether this is no folder of the user's: hidden, or added by an archive of macOS."""
    return path.name.startswith(".") or path.name == "__MACOSX"


def _is_image(name: str) -> bool:
    return not name.startswith(".") and name.lower().endswith(EXTENSIONS)


def _lines(file: Path) -> list[str]:
    try:
        return read_lines(file)
    except ValueError as error:
        raise InvalidInput(f"{file} must be UTF-8 text ({error}): save it so") from error
