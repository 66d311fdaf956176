"""Arrays out of an npz file, without unpickling; one clear refusal for all that may be wrong."""

import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from epsball.errors import InvalidInput

_BROKEN = (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error)


def list_arrays(file: Path, remedy: str) -> list[str]:
    """List the names of the arrays; see `read_arrays`."""
    with _opened(file, remedy) as stored:
        return list(stored.files)


def read_arrays(file: Path, names: Sequence[str], remedy: str) -> list[NDArray[Any]]:
    """Read arrays by name.

    Args:
        file: an npz file.
        names: which arrays.
        remedy: what to do about a file that will not do, for the message.

    Returns:
        The arrays, in the order of the names.

    Raises:
        InvalidInput: the file is missing, truncated, no npz file, lacks a name, or an array holds
            Python objects.
    """
    with _opened(file, remedy) as stored:
        missing = [name for name in names if name not in stored.files]
        if missing:
            raise InvalidInput(
                f"{file} lacks {' and '.join(missing)}, found {', '.join(stored.files)}: {remedy}"
            )
        return [stored[name] for name in names]


@contextmanager
def _opened(file: Path, remedy: str) -> Iterator[NpzFile]:
    try:
        # opened here, because numpy leaves a broken archive open
        with file.open("rb") as stream:
            stored = np.load(stream, allow_pickle=False)
            if not isinstance(stored, NpzFile):
                raise InvalidInput(f"{file} holds one array and is no npz file: {remedy}")
            with stored:
                yield stored
    except InvalidInput:
        raise
    except FileNotFoundError as error:
        raise InvalidInput(f"{file} must be an npz file, found none there: {remedy}") from error
    except _BROKEN as error:
        raise InvalidInput(
            f"{file} is damaged, no npz file, or holds Python objects, which are refused "
            f"({type(error).__name__}: {error}): {remedy}"
        ) from error
