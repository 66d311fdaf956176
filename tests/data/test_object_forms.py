"""Data frames, files, data sets that know their labels, and streams of any length."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import ConcatDataset, DataLoader, Subset

from epsball.data import from_object, load_data
from epsball.data.objects.spool import Spool
from epsball.errors import InvalidInput
from epsball.types import Dataset


def _images(count: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, 3, 6, 5)).astype(np.uint8)


def _read(data: Dataset) -> NDArray[Any]:
    return data.read(np.arange(len(data)))


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    paths = [tmp_path / f"{number}.png" for number in range(4)]
    for path, image in zip(paths, _images(4), strict=True):
        Image.fromarray(image.transpose(1, 2, 0)).save(path)
    return [str(path) for path in paths]


class _Files:
    """As torchvision's data sets: labels in `targets`; counts what is read."""

    def __init__(self, images: NDArray[np.uint8], targets: list[int]) -> None:
        self.images, self.targets, self.reads = images, targets, 0
        self.classes = ["cat", "dog", "elk"]
        self.target_transform: Any = None

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, row: int) -> tuple[NDArray[np.uint8], int]:
        self.reads += 1
        label = self.targets[row]
        transform = self.target_transform
        return self.images[row], label if transform is None else transform(label)


def test_frames_of_paths(files: list[str]) -> None:
    labels = ["dog", "cat", "cat", "elk"]
    frame = pl.DataFrame({"path": files, "label": labels})
    data = from_object(frame)
    assert data.class_names == ("cat", "dog", "elk")
    assert data.labels.tolist() == [1, 0, 0, 2]
    assert data.order == "names"
    assert np.array_equal(_read(data), _images(4))
    pandas = pytest.importorskip("pandas")
    other = from_object(pandas.DataFrame({"file": files, "class": [0, 1, 1, 2]}))
    assert other.labels.tolist() == [0, 1, 1, 2]
    assert other.order == "stated"
    assert np.array_equal(_read(other), _images(4))


def test_files_in_lists_and_pairs(files: list[str]) -> None:
    rows = list(zip(files, ["3", "0", "1", "1"], strict=True))
    for data in (from_object(rows), from_object((files, ["3", "0", "1", "1"]))):
        assert data.labels.tolist() == [3, 0, 1, 1]
        assert data.order == "numbers"
        assert np.array_equal(_read(data), _images(4))
    two = from_object([(files[0], "cat"), (files[1], "dog")])
    assert two.labels.tolist() == [0, 1]
    pair = from_object((files[:2], ["cat", "dog"]))
    assert np.array_equal(_read(two), _read(pair))


def test_undecoded_rows_of_hugging_face(files: list[str]) -> None:
    content = Path(files[1]).read_bytes()
    rows = [
        {"image": {"bytes": None, "path": files[0]}, "label": 0},
        {"image": {"bytes": content, "path": None}, "label": 1},
    ]
    assert np.array_equal(_read(from_object(rows)), _images(2))


def test_images_of_a_data_set_with_known_labels_are_read_when_needed() -> None:
    stored = _Files(_images(2000), [row % 3 for row in range(2000)])
    data = from_object(stored)
    assert stored.reads < 50
    assert data.class_names == ("cat", "dog", "elk")
    assert np.array_equal(data.read(np.array([1999, 7])), stored.images[[1999, 7]])
    loader = from_object(DataLoader(stored, batch_size=7))  # type: ignore[arg-type]  # is one by its methods
    assert stored.reads < 100
    assert loader.labels.tolist() == stored.targets
    part: Any = Subset(stored, [5, 3])  # type: ignore[arg-type]  # likewise
    assert from_object(part).labels.tolist() == [2, 0]
    joined: Any = ConcatDataset([part, part])
    assert from_object(joined).labels.tolist() == [2, 0, 2, 0]


def test_a_target_transform_counts() -> None:
    stored = _Files(_images(5), [0, 1, 2, 0, 1])
    stored.target_transform = lambda label: 2 - label
    assert from_object(stored).labels.tolist() == [2, 1, 0, 2, 1]


def test_labels_that_rows_contradict_are_read_from_the_rows() -> None:
    class Shifted(_Files):
        def __getitem__(self, row: int) -> tuple[NDArray[np.uint8], int]:
            return self.images[row], self.targets[row] + 1

    assert from_object(Shifted(_images(5), [0, 1, 1, 0, 1])).labels.tolist() == [1, 2, 2, 1, 2]


def test_a_label_that_turns_out_another_later_is_refused() -> None:
    stored = _Files(_images(2000), [0] * 2000)
    data = from_object(stored)
    stored.targets[3] = 1
    with pytest.raises(InvalidInput, match="image 3 of the data has label 1, and the data set"):
        data.read(np.array([3]))


def test_random_transforms_are_refused() -> None:
    class Noisy(_Files):
        def __getitem__(self, row: int) -> tuple[NDArray[np.uint8], int]:
            return np.random.default_rng().integers(0, 256, (3, 6, 5)).astype(np.uint8), 0

    with pytest.raises(InvalidInput, match="leave random steps"):
        from_object(Noisy(_images(5), [0] * 5))


def test_a_stream_ends_where_enough_is_read() -> None:
    def endless() -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64]]]:
        while True:
            yield _images(8), np.arange(8)

    assert len(from_object(endless(), most=20)) == 20


def test_a_spool_beyond_its_memory_gives_the_same_images() -> None:
    images = _images(40)
    spool = Spool(memory=1000)
    for start in range(0, 40, 7):
        spool.append(images[start : start + 7])
    places = np.array([39, 0, 0, 21])
    assert np.array_equal(spool.read(places), images[places])


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([(np.zeros((3, 4, 4), np.uint8), 0), (np.zeros((3, 4, 4), np.float32), 1)], "one type"),
        ([("missing.png", "cat")], "missing.png, image 0 of the data, is no file: correct"),
        (pl.DataFrame({"picture": ["a.png"], "label": [0]}), "found picture, label: rename them"),
        (pl.DataFrame({"path": [], "label": []}), "got an empty data frame"),
        (((np.zeros((4, 4)), label) for label in (0, "cat")), "all numbers or all names"),
    ],
)
def test_refusals(rows: Any, told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        from_object(rows)


def test_images_that_are_turned_at_random_are_refused() -> None:
    class Turning(_Files):
        turned = 0

        def __getitem__(self, row: int) -> tuple[NDArray[np.uint8], int]:
            self.turned += row == 3  # one image alone, the others are as they were
            turned = row == 3 and self.turned % 2
            return self.images[row, :, :, :: -1 if turned else 1], 0

    with pytest.raises(InvalidInput, match="image 3 of the data is another one"):
        from_object(Turning(_images(5), [0] * 5))


def test_one_image_with_its_label(files: list[str]) -> None:
    named = load_data(files[0], label="tabby")
    assert (named.class_names, named.order, len(named)) == (("tabby",), "names", 1)
    numbered = load_data(f"image:{files[0]}@3", label="2")
    assert (numbered.shape, numbered.labels.tolist()) == ((3, 3, 3), [2])
    assert np.array_equal(_read(named)[0], _images(1)[0])
    with pytest.raises(InvalidInput, match="needs its true class: add --label NAME"):
        load_data(files[0])
    with pytest.raises(InvalidInput, match="--label is for a single image file"):
        load_data("digits", label="3")


_STREAMED = """
import resource
import numpy as np
from epsball.data import from_object

def images(count):
    for number in range(count):
        yield np.full((3, 32, 32), number % 256, np.uint8), number % 10

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

import epsball.data.objects.spool as spool
spool._MEMORY = 2**22
spool.Spool.__init__.__defaults__ = (2**22,)
from_object(images(2_000))
small = peak()
data = from_object(images(100_000))
for start in range(0, 100_000, 1000):
    data.read(np.arange(start, start + 1000))
print(peak() - small)
"""


@pytest.mark.slow
def test_memory_is_flat_over_a_hundred_thousand_images() -> None:
    """300 MB of pixels; what stays in memory is labels and positions."""
    answer = subprocess.run(
        [sys.executable, "-c", _STREAMED], capture_output=True, text=True, check=True
    )
    assert float(answer.stdout) < 60


def test_tensors_of_a_tensor_dataset_are_known() -> None:
    stored = torch.utils.data.TensorDataset(torch.rand(50, 1, 4, 4), torch.arange(50) % 7)
    data = from_object(stored)
    assert torch.equal(torch.from_numpy(_read(data)), stored.tensors[0])
