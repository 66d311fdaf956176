"""What lies in a folder of images: class folders, their order and names, their images."""

import os
from collections.abc import Sequence
from pathlib import Path

from epsball.errors import InvalidInput

CLASSES = "classes.txt"
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
    visible = (child for child in children if not child.name.startswith("."))
    found = {child.name: child for child in visible if child.is_dir()}
    if not found:
        raise InvalidInput(
            f"folder:{root} must hold one sub-folder a class, found none: move the images into "
            "one folder a class"
        )
    return found


def class_table(file: Path, folders: Sequence[str]) -> list[tuple[str, str]]:
    """Order and name the classes.

    Args:
        file: one folder name a line, in label order, if you like followed by a tab and the name to
            show. It may list classes that have no folder, where the model knows more classes than
            the images show. Need not exist.
        folders: names of the class folders, in alphabetical order: the order without such a file.

    Returns:
        Per class the folder's name and the name to show.

    Raises:
        InvalidInput: a line is empty or repeated, or a folder is not listed.
    """
    if not file.is_file():
        return [(name, name) for name in folders]
    lines = _lines(file)
    table: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        name, _, shown = (part.strip() for part in line.partition("\t"))
        if not name or name in table:
            fault = f"repeats {name!r}" if name else "is empty"
            raise InvalidInput(
                f"{file} must name each class once, line {number} {fault}: correct it"
            )
        table[name] = shown or name
    stray = sorted(set(folders) - set(table))
    if stray:
        raise InvalidInput(
            f"{file} must list every class folder, found {stray[0]!r} on disk but not in it: add a "
            "line"
        )
    return list(table.items())


def images_under(folder: Path) -> list[Path]:
    """List the images of one class, deeper folders included, in alphabetical order.

    Raises:
        InvalidInput: there are none.
    """
    found: list[Path] = []
    for place, below, names in os.walk(folder):
        below[:] = sorted(name for name in below if not name.startswith("."))
        found += [Path(place, name) for name in sorted(names) if _is_image(name)]
    if not found:
        raise InvalidInput(
            f"class folder {folder} holds no image ({', '.join(EXTENSIONS)}): add some or remove it"
        )
    return found


def _is_image(name: str) -> bool:
    return not name.startswith(".") and name.lower().endswith(EXTENSIONS)


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").rstrip().splitlines()
    except ValueError as error:
        raise InvalidInput(f"{file} must be UTF-8 text ({error}): save it so") from error
