"""Training images: held as they are stored, turned into batches when they are needed."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from epsball.data import choose, imbalanced, to_unit
from epsball.errors import InvalidInput
from epsball.training.setup.placement import Placement
from epsball.training.setup.resampling import draw_rows, synthetic_images
from epsball.training.setup.settings import SamplingName, TrainSettings
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
        held_out: a data set of its own to validate on, in place of `validation_rows`.
    """

    dataset: Dataset
    held: Pixels | None
    train_rows: Positions
    validation_rows: Positions
    added: tuple[Tensor, Tensor] | None = None
    held_out: Dataset | None = None

    def with_added(self, images: Tensor, labels: Tensor) -> "Feed":
        """Return a feed that trains on some more images (m, c, h, w), labels (m,)."""
        more = len(self.dataset) + np.arange(len(labels), dtype=np.int64)
        rows = np.concatenate((self.train_rows, more))
        return replace(self, train_rows=rows, added=(images, labels))

    def pixels(self, rows: Positions) -> Pixels:
        """Return images as they are stored, (m, c, h, w)."""
        return self.dataset.read(rows) if self.held is None else self.held[rows]

    def order(
        self, size: int, generator: torch.Generator, sampling: SamplingName = "natural"
    ) -> list[Positions]:
        """Return the positions of each batch of one pass, drawn from a CPU generator."""
        rows = draw_rows(self.train_labels, sampling, generator)
        return list(cut(self.train_rows[rows], size))

    @property
    def train_labels(self) -> NDArray[np.int64]:
        """Return the labels of the images that are trained on, (m,), added ones included."""
        labels = self.dataset.labels
        if self.added is not None:
            labels = np.concatenate((labels, self.added[1].numpy()))
        return np.asarray(labels[self.train_rows], dtype=np.int64)

    @property
    def validated(self) -> int:
        """Return the number of images to validate on."""
        return len(self.validation_rows) if self.held_out is None else len(self.held_out)

    def validation(self, size: int, placement: Placement) -> Iterator[tuple[Tensor, Tensor]]:
        """Give the held-out images once, in their own order."""
        if self.held_out is None:
            return self.batches(self.validation_rows, size, placement)
        rows = np.arange(len(self.held_out), dtype=np.int64)
        return Feed(self.held_out, None, rows, rows[:0]).batches(rows, size, placement)

    def batches(
        self, rows: Positions, size: int, placement: Placement
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Give images (m, c, h, w) in [0, 1] and labels (m,), where the model is."""
        place = placement.device
        for some in cut(rows, size):
            images, labels = self.images(some)
            yield images.to(place, memory_format=placement.layout), labels.to(place)

    def images(self, rows: Positions) -> tuple[Tensor, Tensor]:
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


def open_feed(dataset: Dataset, settings: TrainSettings, held_out: Dataset | None = None) -> Feed:
    """Read a data set into memory where it fits, and hold the validation share out.

    Args:
        dataset: images, uint8 or float32.
        settings: `imbalance`, `resample`, `validation` and `seed` are read.
        held_out: images to validate on, in place of a share.

    Returns:
        A feed of it.

    Raises:
        InvalidInput: there is no image, the share leaves nothing on one side, or both a share and
            a data set to validate on were given.
    """
    if len(dataset) == 0:
        raise InvalidInput(f"train: data {dataset.name!r} holds no image; name another --data")
    if held_out is not None and settings.validation:
        raise InvalidInput(
            f"train: validation={settings.validation} holds training images out, and there is a "
            "data set to validate on already; give validation=0"
        )
    if settings.imbalance is not None:
        dataset = imbalanced(dataset, settings.imbalance, seed=settings.seed)
    train_rows, validation_rows = split_rows(dataset.labels, settings.validation, settings.seed)
    one = dataset.read(np.zeros(1, dtype=np.int64))
    fits = one.nbytes * len(dataset) <= HELD_BYTES
    stored = dataset.read(np.arange(len(dataset))) if fits else None
    feed = Feed(dataset, stored, train_rows, validation_rows, held_out=held_out)
    if settings.resample == "none":
        return feed
    images, labels = feed.images(train_rows)
    return feed.with_added(*synthetic_images(images, labels, settings.resample, settings.seed))


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
