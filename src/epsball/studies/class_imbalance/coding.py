"""One outcome an image, as text that is small enough to lie in a row. Imports no torch."""

import numpy as np
from numpy.typing import NDArray


def named_counts(text: str) -> list[int]:
    """Read "named" of a row: how many images are taken for each class."""
    return [int(count) for count in text.split()]


def write_mask(mask: NDArray[np.bool_]) -> str:
    """Write which images are meant, (n,), as hexadecimal digits.

    Example:
        >>> write_mask(np.array([True, False, True, True]))
        'b0'
    """
    return np.packbits(mask).tobytes().hex()


def read_mask(text: str, count: int) -> NDArray[np.bool_]:
    """Read which of so many images are meant.

    Example:
        >>> read_mask("b0", 4)
        array([ True, False,  True,  True])
    """
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(text), np.uint8), count=count)
    return bits.astype(np.bool_)


def write_values(values: NDArray[np.floating]) -> str:
    """Write one number an image, (n,), rounded to half precision, as hexadecimal digits."""
    return np.asarray(values, dtype="<f2").tobytes().hex()


def read_values(text: str) -> NDArray[np.float64]:
    """Read one number an image.

    Example:
        >>> read_values(write_values(np.array([0.25, np.inf])))
        array([0.25,  inf])
    """
    return np.frombuffer(bytes.fromhex(text), "<f2").astype(np.float64)
