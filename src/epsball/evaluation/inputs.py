"""The images of a run: opened, read through once, and sampled."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from epsball.data import from_object, load_data, to_unit
from epsball.errors import InvalidInput
from epsball.evaluation.checks.before import check_range
from epsball.types import Dataset, Finding, Pixels, Positions

# what `epsball.data.from_object` takes is more than a type can say
Data: TypeAlias = Any
_READ = 500  # images read at once while the content is hashed
_MEMORY = 2**30  # bytes of decoded images that are kept


def open_data(data: Data, *, label: str | int | None = None, most: int | None = None) -> Dataset:
    """Load data by name, or take it out of the object that holds it.

    Args:
        data: "mnist", a `Dataset`, or what `from_object` takes: a pair (images, labels), a data
            set or a loader of torch or Hugging Face, a list of (image, label), a data frame.
        label: of a single image: its class's name or number.
        most: images that are taken from an iterable, at most; None: all.

    Raises:
        InvalidInput: images and labels do not fit together, or there are none.
    """
    if isinstance(data, str):
        return load_data(data, label=label)
    if label is not None:
        raise InvalidInput("label is for a single image file: data given as objects have labels")
    if isinstance(data, Dataset):
        highest = int(data.labels.max()) if len(data.labels) else -1
        if highest < 0 or highest >= len(data.class_names):
            raise InvalidInput(
                f"{data.name}: needs at least one image and a name for every label, got "
                f"{len(data.labels)} images, labels up to {highest}, "
                f"{len(data.class_names)} class names"
            )
        return data
    return from_object(data, most=most)


def decoded_once(data: Dataset, limit: int = _MEMORY) -> Dataset:
    """Return the data set with every image kept that was read once, as long as memory allows.

    Args:
        data: the images; reading one may mean to decode a file.
        limit: bytes; images beyond them are read again.
    """
    if data.in_memory:
        return data
    images: dict[int, NDArray[Any]] = {}

    def read(positions: Positions) -> Pixels:
        missing = [place for place in dict.fromkeys(positions.tolist()) if place not in images]
        fresh = data.read(np.array(missing, dtype=np.int64)) if missing else ()
        decoded = dict(zip(missing, fresh, strict=True))
        each = next(iter((*decoded.values(), *images.values())), np.empty(0)).nbytes
        for place in missing[: max(0, limit // max(1, each) - len(images))]:
            images[place] = decoded[place]
        if not len(positions):
            return data.read(positions)
        return np.stack([decoded[p] if p in decoded else images[p] for p in positions.tolist()])

    return replace(data, read=read)


def read_through(
    data: Dataset, positions: Positions, advance: Callable[[int], None] = lambda _: None
) -> tuple[str, list[Finding]]:
    """Read every image once: a bad file stops the run here, before anything is written.

    Returns:
        The SHA-256 of pixels and labels, in order, and findings: images outside [0, 1].

    Raises:
        InvalidInput: an image cannot be read, or holds NaN.
    """
    digest = hashlib.sha256()
    lowest, highest = np.inf, -np.inf
    for first in range(0, len(positions), _READ):
        chosen = positions[first : first + _READ]
        pixels = np.ascontiguousarray(data.read(chosen))
        digest.update(f"{pixels.dtype}{pixels.shape[1:]}".encode())
        digest.update(pixels.tobytes())
        digest.update(data.labels[chosen].tobytes())
        if pixels.dtype != np.uint8:
            finite = np.isfinite(pixels).reshape(len(pixels), -1).all(1)
            if not finite.all():
                where = int(chosen[int(np.flatnonzero(~finite)[0])])
                raise InvalidInput(f"{data.name}: image {where} holds NaN or infinity; mend it")
            lowest = min(lowest, float(pixels.min()))
            highest = max(highest, float(pixels.max()))
        else:
            lowest, highest = 0.0, max(highest, float(pixels.max()) / 255)
        advance(len(chosen))
    return digest.hexdigest(), check_range(lowest, highest) if highest >= lowest else []


def sample_of(data: Dataset, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Read the first images: (m, c, h, w) float32 and (m,) labels."""
    chosen = np.arange(min(count, len(data)))
    images = to_unit(data.read(chosen))
    check_finite(data, images, chosen)
    return images, torch.from_numpy(data.labels[chosen])


def check_finite(data: Dataset, images: torch.Tensor, positions: Positions) -> None:
    """Refuse images that hold NaN: a model would be blamed for its scores.

    Args:
        data: where they come from.
        images: (m, c, h, w).
        positions: (m,), of them.

    Raises:
        InvalidInput: one does.
    """
    finite = images.flatten(1).isfinite().all(1)
    if not bool(finite.all()):
        where = int(positions[int(torch.nonzero(~finite)[0])])
        raise InvalidInput(f"{data.name}: image {where} holds NaN or infinity; mend it")


def spread(positions: Positions, count: int) -> Positions:
    """Choose some positions, evenly over all."""
    places = np.linspace(0, len(positions) - 1, min(count, len(positions)))
    return np.asarray(positions[np.unique(places.astype(np.int64))])
