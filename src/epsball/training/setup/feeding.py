"""Training images: held as they are stored, turned into batches when they are needed."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from epsball.data import choose, to_unit
from epsball.errors import InvalidInput
from epsball.training.setup.placement import Placement
from epsball.training.setup.settings import TrainSettings
from epsball.types import Dataset, Pixels, Positions

HELD_BYTES = 2 << 30  # images that take more are read batch by batch
_HASHED = 512  # images that go into the fingerprint of a set that is not held
_CHUNKS = 64


@dataclass(frozen=True)
class Feed:
    """A data set, split and ready to be drawn from.

    Args:
        dataset: where images come from.
        held: (n, c, h, w), all of them as stored; None where they would take too much memory.
        train_rows: positions to train on.
        validation_rows: positions to validate on; may be empty.
        added: more images (m, c, h, w) in [0, 1] and labels (m,); their positions follow those of
            the data set.
    """

    dataset: Dataset
    held: Pixels | None
    train_rows: Positions
    validation_rows: Positions
    added: tuple[Tensor, Tensor] | None = None

    def with_added(self, images: Tensor, labels: Tensor) -> "Feed":
        """Return a feed that trains on some more images (m, c, h, w), labels (m,)."""
        more = len(self.dataset) + np.arange(len(labels), dtype=np.int64)
        rows = np.concatenate((self.train_rows, more))
        return replace(self, train_rows=rows, added=(images, labels))

    def pixels(self, rows: Positions) -> Pixels:
        """Return images as they are stored, (m, c, h, w)."""
        return self.dataset.read(rows) if self.held is None else self.held[rows]

    def order(self, size: int, generator: torch.Generator) -> list[Positions]:
        """Return the positions of each batch of one pass, drawn from a CPU generator."""
        drawn = torch.randperm(len(self.train_rows), generator=generator).numpy()
        return list(cut(self.train_rows[drawn], size))

    def validation(self, size: int, placement: Placement) -> Iterator[tuple[Tensor, Tensor]]:
        """Give the held-out images once, in their own order."""
        return self.batches(self.validation_rows, size, placement)

    def batches(
        self, rows: Positions, size: int, placement: Placement
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Give images (m, c, h, w) in [0, 1] and labels (m,), where the model is."""
        place = placement.device
        for some in cut(rows, size):
            images, labels = self._images(some)
            yield images.to(place, memory_format=placement.layout), labels.to(place)

    def _images(self, rows: Positions) -> tuple[Tensor, Tensor]:
        """Return images (m, c, h, w) in [0, 1] and labels (m,) on the CPU."""
        count = len(self.dataset)
        if self.added is None:
            return to_unit(self.pixels(rows)), torch.from_numpy(self.dataset.labels[rows])
        own = torch.from_numpy(rows < count)
        at = torch.from_numpy(rows)
        images, labels = (part[(at - count).clamp_min(0)] for part in self.added)
        images[own] = to_unit(self.pixels(rows[rows < count]))
        labels[own] = torch.from_numpy(self.dataset.labels[rows[rows < count]])
        return images, labels

    def fingerprint(self) -> str:
        """Hash all labels and pixels; of pixels a fixed choice, where they are not held."""
        count = len(self.dataset)
        chosen = count if self.held is not None else min(count, _HASHED)
        rows = np.linspace(0, count - 1, chosen, dtype=np.int64)
        digest = hashlib.sha256(np.ascontiguousarray(self.dataset.labels).tobytes())
        for some in np.array_split(rows, _CHUNKS):
            if len(some):
                digest.update(np.ascontiguousarray(self.pixels(some)).tobytes())
        return digest.hexdigest()


def open_feed(dataset: Dataset, settings: TrainSettings) -> Feed:
    """Read a data set into memory where it fits, and hold the validation share out.

    Args:
        dataset: images, uint8 or float32.
        settings: `validation` and `seed` are read.

    Returns:
        A feed of it.

    Raises:
        InvalidInput: there is no image, or the share leaves nothing on one side.
    """
    if len(dataset) == 0:
        raise InvalidInput(f"train: data {dataset.name!r} holds no image; name another --data")
    train_rows, validation_rows = split_rows(dataset.labels, settings.validation, settings.seed)
    one = dataset.read(np.zeros(1, dtype=np.int64))
    fits = one.nbytes * len(dataset) <= HELD_BYTES
    held = dataset.read(np.arange(len(dataset))) if fits else None
    return Feed(dataset, held, train_rows, validation_rows)


def split_rows(labels: NDArray[np.int64], share: float, seed: int) -> tuple[Positions, Positions]:
    """Hold a share of every class out of training.

    Args:
        labels: (n,), int64.
        share: in [0, 1).
        seed: which images.

    Returns:
        Positions to train on and to validate on, increasing; the second empty where share is 0.

    Raises:
        InvalidInput: the share leaves nothing on one of the two sides.

    Example:
        >>> train, held_out = split_rows(np.array([0, 0, 1, 1, 0, 0, 1, 1]), 0.25, seed=0)
        >>> len(train), len(held_out)
        (6, 2)
    """
    everything = np.arange(len(labels), dtype=np.int64)
    if share == 0:
        return everything, everything[:0]
    count = round(share * len(labels))
    if not 0 < count < len(labels):
        raise InvalidInput(
            f"train: validation={share} of {len(labels)} images leaves {count} to validate on; "
            "both sides need at least one: choose another share, or 0"
        )
    chosen = choose(labels, count, how="stratified", seed=seed)
    return np.setdiff1d(everything, chosen), chosen


def cut(rows: Positions, size: int) -> Iterator[Positions]:
    """Cut rows into batches; a last single image joins the batch before it.

    BatchNorm in train mode cannot normalise one image by itself.
    """
    count = batch_count(len(rows), size)
    for number in range(count):
        end = len(rows) if number == count - 1 else (number + 1) * size
        yield rows[number * size : end]


def batch_count(images: int, size: int) -> int:
    """Return how many batches `cut` makes."""
    whole, rest = divmod(images, size)
    return max(1, whole + (rest > 1))
