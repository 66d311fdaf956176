"""Files: writing so that a kill at any moment leaves either the whole file or none of it."""

import codecs
import errno
import json
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from epsball.errors import InvalidInput


def write_atomically(file: Path, write: Callable[[Path], object]) -> None:
    """Write beside, then rename.

    Args:
        file: where the file will stand.
        write: writes everything to the path it is given.

    Raises:
        InvalidInput: the disk is full, or the place may not be written to.
    """
    beside = file.with_name(f".{file.name}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write(beside)
        beside.replace(file)
    except OSError as error:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise unwritable(file, error) from error


def write_bytes(file: Path, content: bytes) -> Path:
    """Write all of a file's content, as `write_atomically` does, and return the file."""
    write_atomically(file, lambda beside: beside.write_bytes(content))
    return file


def write_npz(file: Path, arrays: Mapping[str, ArrayLike]) -> Path:
    """Write named arrays as a compressed npz file, as `write_atomically` does, and return it."""

    def write(beside: Path) -> None:
        # by hand: numpy compresses at zlib's level 6, at which noise takes four times as long and
        # comes out as large
        with zipfile.ZipFile(beside, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for name, array in arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)

    write_atomically(file, write)
    return file


def read_npz(file: Path) -> dict[str, NDArray[Any]]:
    """Read all arrays of an npz file that `write_npz` wrote."""
    with file.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
        return dict(stored)


def read_json(file: Path, command: str) -> dict[str, Any]:
    """Read an object that a command of ours wrote.

    Args:
        file: in the command's directory.
        command: "audit", whose --out it is.

    Raises:
        InvalidInput: it is not there, or is no JSON.
    """
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise InvalidInput(
            f"{file.parent} holds no {file.name}: name a directory that "
            f"`epsball {command} --out` finished"
        ) from None
    except ValueError as error:
        raise InvalidInput(f"{file} is not valid JSON ({error}): run the {command} again") from None


def read_lines(file: Path) -> list[str]:
    """Read the lines of a text file in UTF-8, or in the encoding that its byte order mark states.

    Raises:
        OSError: it cannot be read.
        ValueError: it is text of another encoding.
    """
    content = file.read_bytes()
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if wide else "utf-8-sig").rstrip().splitlines()


def unwritable(file: Path, error: OSError) -> InvalidInput:
    """Say in one line why nothing could be written, and what to do."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    remedy = (
        "free some space, then give the same command again: it continues"
        if full
        else "choose another --out"
    )
    return InvalidInput(f"cannot write {file}: {error.strerror or error}; {remedy}")
