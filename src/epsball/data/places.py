"""Where a named data set may lie on this machine, and whether it is the one its publisher made."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from epsball.errors import InvalidInput

VARIABLE = "EPSBALL_DATA"


def cache(folder: str) -> Path:
    """Return the folder of the user's cache where downloads of one data set are kept."""
    import pooch

    return Path(pooch.os_cache("epsball")) / folder


def places(folder: str) -> tuple[Path, ...]:
    """Return the folders where a data set may lie, best first.

    Args:
        folder: the data set's own folder name: "mnist".

    Returns:
        `$EPSBALL_DATA/folder` where the variable is set, then the user's cache; need not exist.

    Raises:
        InvalidInput: the variable names no folder, so that a set in it would be passed over unseen.
    """
    given = os.environ.get(VARIABLE)
    if not given:
        return (cache(folder),)
    root = Path(given).expanduser()
    if not root.is_dir():
        raise InvalidInput(f"{VARIABLE} must name a folder, found {given!r}: correct or unset it")
    return root / folder, cache(folder)


def find(folder: str, names: Iterable[str]) -> Path | None:
    """Return the first of the files that exists, searching place by place; None where none does."""
    wanted = tuple(names)
    candidates = (place / name for place in places(folder) for name in wanted)
    return next((candidate for candidate in candidates if candidate.exists()), None)


def check_content(file: Path, what: str, content: bytes | memoryview, expected: str) -> None:
    """Refuse data that differ from the published ones.

    Args:
        file: where the content came from, for the message.
        what: which content, for the message: "decompressed file".
        content: the decoded bytes, C-contiguous; compression does not count.
        expected: sha256, in hexadecimal.

    Raises:
        InvalidInput: the hash differs.
    """
    digest = hashlib.sha256(content).hexdigest()
    if digest != expected:
        raise InvalidInput(
            f"{file} is not the published data: sha256 of the {what} must be {expected}, found "
            f"{digest}: delete it to have it downloaded, or load data of your own with folder:PATH "
            "or npz:PATH"
        )
