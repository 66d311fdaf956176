"""Images of a stream, written once and read at any position: memory first, then a file."""

import weakref
from array import array
from tempfile import SpooledTemporaryFile
from threading import Lock
from typing import Any

import numpy as np

from epsball.errors import InvalidInput
from epsball.types import Pixels, Positions

_MEMORY = 2**26  # bytes; what is beyond them goes to a temporary file


class Spool:
    """Images of one size, read in any order, any number of them.

    Args:
        memory: bytes that stay in memory; a larger spool is a file of the temporary folder, which
            is gone when the spool is.
    """

    def __init__(self, memory: int = _MEMORY) -> None:
        self._open(memory)
        self._starts, self._channels = array("q"), array("b")
        self._sides: tuple[int, ...] = ()
        self._dtype: np.dtype[Any] = np.dtype(np.uint8)

    def _open(self, memory: int) -> None:
        self._file = SpooledTemporaryFile(memory)  # noqa: SIM115 - closed when the spool goes
        self._lock = Lock()
        weakref.finalize(self, self._file.close)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._starts)

    def append(self, images: Pixels) -> None:
        """Add images (m, c, h, w) of uint8 or float32.

        Raises:
            InvalidInput: another size, or another type, than the images before.
        """
        if not len(self):
            self._sides, self._dtype = images.shape[2:], images.dtype
        before = (int(self._channels[0]) if len(self) else images.shape[1], *self._sides)
        if images.shape[2:] != self._sides or (
            images.shape[1] != before[0] and {images.shape[1], before[0]} != {1, 3}
        ):
            raise differing_shapes(before, images.shape[1:], len(self))
        if images.dtype != self._dtype:
            raise differing_types(self._dtype, images.dtype, len(self))
        for image in images:
            self._starts.append(self._file.tell())
            self._channels.append(image.shape[0])
            self._file.write(np.ascontiguousarray(image).tobytes())

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return (c, h, w): colours where any image has them."""
        return max(self._channels), self._sides[0], self._sides[1]

    def read(self, positions: Positions) -> Pixels:
        """Return images (m, c, h, w); greys among colours have three equal channels."""
        images = np.empty((len(positions), *self.shape), self._dtype)
        with self._lock:
            for slot, position in enumerate(positions.tolist()):
                shape = (int(self._channels[position]), *self._sides)
                self._file.seek(self._starts[position])
                content = self._file.read(int(np.prod(shape)) * self._dtype.itemsize)
                images[slot] = np.frombuffer(content, self._dtype).reshape(shape)
        return images

    def __getstate__(self) -> dict[str, Any]:
        """Return all images: a copy in another process has no file here."""
        with self._lock:
            self._file.seek(0)
            content = self._file.read()
        rest = {key: value for key, value in vars(self).items() if key not in ("_file", "_lock")}
        return rest | {"content": content}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over the images of another process."""
        content = state.pop("content")
        vars(self).update(state)
        self._open(_MEMORY)
        self._file.write(content)


def differing_shapes(one: tuple[int, ...], other: tuple[int, ...], number: int) -> InvalidInput:
    """Build the error for images of several shapes."""
    return InvalidInput(
        f"images of the data must have one shape, found {one} and, image {number}, {other}: scale "
        "and crop them alike in its transform"
    )


def differing_types(one: Any, other: Any, number: int) -> InvalidInput:  # noqa: ANN401 - dtypes
    """Build the error for images of several types."""
    return InvalidInput(
        f"images of the data must have one type, found {one} and, image {number}, {other}: "
        "convert them alike in its transform"
    )
