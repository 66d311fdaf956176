"""Loaders and data sets around others: what they change is what is audited."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Subset, SubsetRandomSampler, TensorDataset
from torch.utils.data import Dataset as TorchDataset

from epsball.data import from_object
from epsball.data.objects.names import names_of

NAMES = ["cat", "dog", "elk"]
images = torch.rand(12, 3, 4, 5, generator=torch.Generator().manual_seed(0))
labels = torch.arange(12) % 3
rows = TensorDataset(images, labels)


class _Halving(DataLoader[Any]):
    """Gives other images than the data set that it loads."""

    def __iter__(self) -> Any:
        for batch, classes in super().__iter__():
            yield batch / 2, classes


class _Around:
    """Looks like the loader that it holds, and gives other images."""

    def __init__(self, loader: DataLoader[Any]) -> None:
        self.loader = loader

    def __iter__(self) -> Iterator[Any]:
        for batch, classes in self.loader:
            yield batch / 2, classes

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)


@pytest.mark.parametrize("loader", [_Halving(rows, 5), _Around(DataLoader(rows, 5))])
def test_what_a_loader_does_to_images_counts(loader: Any) -> None:
    data = from_object(loader)
    read = torch.from_numpy(data.read(np.arange(len(data))))
    assert torch.equal(read, images / 2)
    assert data.labels.tolist() == labels.tolist()


def test_a_loader_gives_the_images_of_its_batch_sampler() -> None:
    some = BatchSampler(SubsetRandomSampler([3, 4, 5, 6]), 2, drop_last=False)
    assert sorted(from_object(DataLoader(rows, batch_sampler=some)).labels.tolist()) == [0, 0, 1, 2]
    whole = BatchSampler(SubsetRandomSampler(range(12)), 5, drop_last=True)
    assert len(from_object(DataLoader(rows, batch_sampler=whole))) == 10


class _Named(TorchDataset[Any]):
    """A data set that names its classes, and knows its labels if it is asked to."""

    def __init__(self, *, knows_labels: bool) -> None:
        self.classes = NAMES
        if knows_labels:
            self.targets = labels.tolist()

    def __len__(self) -> int:
        return len(labels)

    def __getitem__(self, position: int) -> tuple[Tensor, int]:
        return images[position], int(labels[position])


class _Mapped(TorchDataset[Any]):
    """A data set around another that maps its labels."""

    def __init__(self, dataset: TorchDataset[Any], change: Callable[[int], int]) -> None:
        self.dataset, self.change = dataset, change

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]  # torch's Dataset declares no length

    def __getitem__(self, position: int) -> tuple[Tensor, int]:
        image, label = self.dataset[position]
        return image, self.change(label)


class _MappedPart(TorchDataset[Any]):
    """A part of a data set that maps its labels."""

    def __init__(self, dataset: TorchDataset[Any], indices: list[int]) -> None:
        self.dataset, self.indices = dataset, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> tuple[Tensor, int]:
        image, label = self.dataset[self.indices[position]]
        return image, {0: 0, 1: 2, 2: 1}[label]


@pytest.mark.parametrize("knows_labels", [True, False])
def test_names_are_those_of_labels_that_are_not_changed(knows_labels: bool) -> None:
    named = _Named(knows_labels=knows_labels)
    assert names_of(_Mapped(named, lambda label: label)) == tuple(NAMES)
    assert names_of(_Mapped(Subset(named, [5, 0, 1]), lambda label: label)) == tuple(NAMES)
    assert names_of(DataLoader(Subset(named, [5, 0, 1]))) == tuple(NAMES)
    # one class alone is another: its name would be that of another class
    assert names_of(_Mapped(named, lambda label: max(label, 1))) is None
    assert names_of(_MappedPart(named, [1, 2, 4])) is None
    assert from_object(_MappedPart(named, [1, 2, 4])).class_names == ("0", "1", "2")
