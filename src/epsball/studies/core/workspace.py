"""Where a study's cells work: its directory, its images, its device."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epsball.data import choose, load_data
from epsball.data.spec import Split
from epsball.errors import InvalidInput
from epsball.evaluation.inputs import read_through
from epsball.files import read_npz
from epsball.studies.core.data_summary import DataSummary
from epsball.types import Dataset, Positions

_CONTENT = 16  # hexadecimal digits


@dataclass(frozen=True)
class Workspace:
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
        """Return the directory of an unfinished audit, by its cell's hash."""
        return self.out / "searches" / cell

    def examples(self, cell: str) -> Path:
        """Return the file of adversarial examples, by their cell's hash."""
        return self.out / "examples" / f"{cell}.npz"

    def images(self, cell: str) -> Path:
        """Return the file of images for the report, by their cell's hash."""
        return self.out / "images" / f"{cell}.npz"

    def artefacts(self, cell: str) -> tuple[Path, ...]:
        """Return every file and directory that other cells or the report may read."""
        return self.model(cell), self.examples(cell), self.images(cell)

    def train_set(self, limit: int | None = None) -> Dataset:
        """Return the training images, or a class-balanced sample of them."""
        return _sample(_load(self.data, "train"), limit)

    def test_set(self, limit: int | None = None) -> Dataset:
        """Return the test images, or the first of them (a sample, where sorted by class)."""
        return _sample(_load(self.data, "test"), limit)

    def summarise_data(self, *, train: bool = True) -> DataSummary:
        """Read all images once and return the facts that a plan depends on.

        Args:
            train: whether the study uses the training split; without it only test images count.

        Raises:
            InvalidInput: data that are unknown, missing or damaged.
        """
        test = self.test_set()
        splits = [self.train_set(), test] if train else [test]
        hashes = [read_through(one, np.arange(len(one)))[0] for one in splits]
        return DataSummary(
            name=self.data.partition(":")[0],
            content="-".join(digest[:_CONTENT] for digest in hashes),
            train=len(splits[0]) if train else 0,
            test=len(test),
            shape=test.shape,
            classes=len(test.class_names),
            class_names=tuple(test.class_names),
        )


def read_examples_of(file: Path) -> dict[str, NDArray[Any]]:
    """Read the arrays that another cell left in its file of examples.

    Raises:
        InvalidInput: the file is missing.
    """
    try:
        return read_npz(file)
    except FileNotFoundError:
        raise InvalidInput(
            f"study: {file} is missing: delete {file.parent.parent / 'rows' / file.stem}.parquet "
            "too, and give the command again"
        ) from None


_PROVIDED: dict[tuple[str, Split], Dataset] = {}


def provide(data: str, split: Split, dataset: Dataset) -> None:
    """Make a data set available in this process without reading it from disk.

    Args:
        data: the name under which `Workspace` asks for it.
        split: "train" or "test".
        dataset: its images.
    """
    _PROVIDED[data, split] = dataset
    _load.cache_clear()


@cache
def _load(data: str, split: Split) -> Dataset:
    return _PROVIDED.get((data, split)) or load_data(data, split=split)


def _sample(whole: Dataset, limit: int | None) -> Dataset:
    if limit is None or limit >= len(whole):
        return whole
    return part_of(whole, choose(whole.labels, limit))


def part_of(whole: Dataset, chosen: Positions) -> Dataset:
    """Return some images of a data set, in the given order.

    Args:
        whole: the data set.
        chosen: (m,), positions in it.
    """
    labels, read = whole.labels[chosen], whole.read
    return Dataset(
        whole.name, labels, whole.class_names, whole.shape, lambda rows: read(chosen[rows])
    )
