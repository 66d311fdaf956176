"""The images of a run: opened, read through once, and sampled."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from epsball.data import load_data, to_unit
from epsball.errors import InvalidInput
from epsball.evaluation.checks.before import check_range
from epsball.types import Dataset, Finding, Positions

Data: TypeAlias = str | Dataset | tuple[Any, Any]
_READ = 500  # images read at once while the content is hashed


def open_data(data: Data) -> Dataset:
    """Load data by name, or take a data set or (images, labels) as they are.

    Args:
        data: "mnist", a `Dataset`, or a pair: (n, c, h, w) uint8 or float, and (n,) integers.

    Raises:
        InvalidInput: the pair does not fit together.
    """
    if isinstance(data, str):
        return load_data(data)
    if isinstance(data, Dataset):
        highest = int(data.labels.max()) if len(data.labels) else -1
        if highest < 0 or highest >= len(data.class_names):
            raise InvalidInput(
                f"{data.name}: needs at least one image and a name for every label, got "
                f"{len(data.labels)} images, labels up to {highest}, "
                f"{len(data.class_names)} class names"
            )
        return data
    images, labels = (_as_array(part) for part in data)
    if images.ndim != 4 or labels.shape != (len(images),):
        raise InvalidInput(
            "data given as a pair must be images (n, c, h, w) and labels (n,), "
            f"got {images.shape} and {labels.shape}"
        )
    if not np.issubdtype(labels.dtype, np.integer) or not len(labels) or labels.min() < 0:
        raise InvalidInput(f"labels must be integers >= 0, got {labels.dtype}: {labels[:5]}")
    if images.dtype != np.uint8:
        images = images.astype(np.float32)
    names = tuple(str(i) for i in range(int(labels.max()) + 1))
    channels, height, width = images.shape[1:]
    shape = (channels, height, width)
    return Dataset("tensors", labels.astype(np.int64), names, shape, lambda p: images[p])


def _as_array(part: Any) -> NDArray[Any]:  # noqa: ANN401 - tensors, arrays, lists
    array: NDArray[Any] = part.detach().cpu().numpy() if torch.is_tensor(part) else np.asarray(part)
    return array


@dataclass(frozen=True)
class Content:
    """What was found while every image was read once, before the run.

    Args:
        sha256: of pixels and labels, in order.
        findings: images outside [0, 1].
    """

    sha256: str
    findings: tuple[Finding, ...]


def read_through(
    data: Dataset, positions: Positions, advance: Callable[[int], None] = lambda _: None
) -> Content:
    """Read every image once: a bad file stops the run here, before anything is written.

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
        advance(len(chosen))
    findings = check_range(lowest, highest) if highest >= lowest else []
    return Content(digest.hexdigest(), tuple(findings))


def sample_of(data: Dataset, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Read the first images: (m, c, h, w) float32 and (m,) labels."""
    chosen = np.arange(min(count, len(data)))
    return to_unit(data.read(chosen)), torch.from_numpy(data.labels[chosen])


def spread(positions: Positions, count: int) -> Positions:
    """Choose some positions, evenly over all."""
    places = np.linspace(0, len(positions) - 1, min(count, len(positions)))
    return np.asarray(positions[np.unique(places.astype(np.int64))])
