"""Writing a file so that a reader finds the old one or the new one, never half of either."""

import os
from contextlib import suppress
from pathlib import Path

from epsball.errors import InvalidInput


def write_file(path: Path, content: bytes) -> Path:
    """Write beside, then rename.

    Args:
        path: the file; its directory is made if absent.
        content: all of it.

    Returns:
        The path.

    Raises:
        InvalidInput: the directory cannot be made or written, or the disk is full.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_bytes(content)
        beside.replace(path)
    except OSError as error:
        with suppress(OSError):  # where the directory could not be made there is nothing to undo
            beside.unlink()
        why = error.strerror or type(error).__name__
        raise InvalidInput(
            f"{path} could not be written ({why}): free some room or name another directory"
        ) from error
    return path
