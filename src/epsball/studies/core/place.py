"""Where a study's work is done: its directory, its images, its device."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from epsball.data import choose, load_data
from epsball.data.spec import Split
from epsball.evaluation.inputs import read_through
from epsball.studies.core.materials import Materials
from epsball.types import Dataset, Positions

_CONTENT = 16  # hexadecimal digits


@dataclass(frozen=True)
class Place:
    """A study's directory, images and device, as plain data.

    Args:
        out: the directory.
        data: as `load_data` takes it.
        device: "auto", "cpu", "cuda" ...
    """

    out: Path
    data: str
    device: str = "auto"

    def model(self, cell: str) -> Path:
        """Return the directory of a trained network, by its cell's hash."""
        return self.out / "models" / cell

    def search(self, cell: str) -> Path:
        """Return the directory of an audit under way, by its cell's hash."""
        return self.out / "searches" / cell

    def examples(self, cell: str) -> Path:
        """Return the file of adversarial examples, by their cell's hash."""
        return self.out / "examples" / f"{cell}.npz"

    def images(self, cell: str) -> Path:
        """Return the file of kept images, by their cell's hash."""
        return self.out / "images" / f"{cell}.npz"

    def train_set(self, limit: int | None = None) -> Dataset:
        """Return the training images, or a fair share of them."""
        return _some(_loaded(self.data, "train"), limit)

    def test_set(self, limit: int | None = None) -> Dataset:
        """Return the test images, or the first of them (a fair share, where sorted by class)."""
        return _some(_loaded(self.data, "test"), limit)

    def materials(self) -> Materials:
        """Read all images once and say what they are.

        Raises:
            InvalidInput: data that are unknown, missing or damaged.
        """
        train, test = self.train_set(), self.test_set()
        hashes = [read_through(one, np.arange(len(one))).sha256 for one in (train, test)]
        return Materials(
            data=self.data.partition(":")[0],
            content="-".join(digest[:_CONTENT] for digest in hashes),
            train=len(train),
            test=len(test),
            shape=train.shape,
            classes=len(train.class_names),
        )


@cache
def _loaded(data: str, split: Split) -> Dataset:
    return load_data(data, split=split)


def _some(whole: Dataset, limit: int | None) -> Dataset:
    if limit is None or limit >= len(whole):
        return whole
    return part_of(whole, choose(whole.labels, limit))


def part_of(whole: Dataset, chosen: Positions) -> Dataset:
    """Return some images of a data set, in the order that is asked for.

    Args:
        whole: the data set.
        chosen: (m,), positions in it.
    """
    labels, read = whole.labels[chosen], whole.read
    return Dataset(
        whole.name, labels, whole.class_names, whole.shape, lambda rows: read(chosen[rows])
    )
