"""Data as the objects that people hold: whatever the form, the same images and labels."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import ConcatDataset, DataLoader, Subset, TensorDataset
from torch.utils.data import Dataset as TorchDataset

from epsball.data import from_object
from epsball.errors import InvalidInput
from epsball.types import Dataset


class _Rows:
    """A data set as torch knows it: positions and a length, no iteration."""

    def __init__(self, rows: list[Any], classes: list[str] | None = None) -> None:
        self.rows = rows
        if classes is not None:
            self.classes = classes

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, position: int) -> Any:
        if position >= len(self.rows):
            raise KeyError(position)  # an iteration by __getitem__ would end in this
        return self.rows[position]


class _Names:
    names = ("cat", "dog", "elk")


class _HuggingFace:
    """A split of Hugging Face: rows are mappings, names hang on the label's feature."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.features = {"image": object(), "label": _Names()}
        self.rows = rows

    def __iter__(self) -> Any:
        return iter(self.rows)


def _drawn(count: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (count, 3, 4, 5)).astype(np.uint8)
    return images, random.integers(0, 3, count)


def _pillow(image: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(image.transpose(1, 2, 0))


_FORMS: dict[str, Callable[[Any, Any], Any]] = {
    "pair": lambda x, y: (x, y),
    "pair of tensors": lambda x, y: [torch.tensor(x), torch.tensor(y)],
    "pair of lists": lambda x, y: (list(torch.tensor(x)), y.tolist()),
    "pair of int64": lambda x, y: (x.astype(np.int64), y[:, None]),
    "pair, channels last": lambda x, y: (x.transpose(0, 2, 3, 1), y),
    "list of rows": lambda x, y: list(zip(x, y, strict=True)),
    "list of Pillow rows": lambda x, y: [(_pillow(a), int(b)) for a, b in zip(x, y, strict=True)],
    "TensorDataset": lambda x, y: TensorDataset(torch.tensor(x), torch.tensor(y)),
    "Subset": lambda x, y: Subset(
        TensorDataset(torch.tensor(x), torch.tensor(y)), list(range(len(x)))
    ),
    "DataLoader": lambda x, y: DataLoader(
        TensorDataset(torch.tensor(x), torch.tensor(y)), batch_size=3
    ),
    "DataLoader of one": lambda x, y: DataLoader(TensorDataset(torch.tensor(x), torch.tensor(y))),
    "rows without iteration": lambda x, y: _Rows(list(zip(x, y, strict=True))),
    "generator": lambda x, y: (pair for pair in zip(x, y, strict=True)),
    "batches": lambda x, y: [(x[:2], y[:2]), (x[2:3], y[2:3]), (x[3:], y[3:])],
    "mapping": lambda x, y: {"images": x, "labels": y},
    "Hugging Face": lambda x, y: _HuggingFace(
        [{"image": _pillow(a), "label": int(b)} for a, b in zip(x, y, strict=True)]
    ),
}


def _read(data: Dataset) -> NDArray[Any]:
    return data.read(np.arange(len(data)))


@given(st.integers(4, 9), st.integers(0, 10**6))
def test_every_form_gives_the_same_images(count: int, seed: int) -> None:
    images, labels = _drawn(count, seed)
    for name, form in _FORMS.items():
        data = from_object(form(images, labels))
        assert np.array_equal(_read(data), images), name
        assert np.array_equal(data.labels, labels), name


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_floats_of_any_precision_become_float32(dtype: torch.dtype) -> None:
    images = torch.rand(4, 1, 3, 3).to(dtype)
    data = from_object((images, torch.arange(4)))
    assert _read(data).dtype == np.float32
    assert torch.equal(torch.from_numpy(_read(data)), images.float())


def test_names_are_found_behind_loaders_and_subsets() -> None:
    images, labels = _drawn(6, 0)
    rows: TorchDataset[Any] = _Rows(list(zip(images, labels, strict=True)), ["a", "b", "c"])  # type: ignore[assignment]  # is one by its methods
    assert from_object(Subset(rows, [0, 1, 2])).class_names[:3] == ("a", "b", "c")
    assert from_object(DataLoader(rows, batch_size=2)).class_names == ("a", "b", "c")
    named = _HuggingFace([{"image": images[0], "label": 1}])
    assert from_object(named).class_names == ("cat", "dog", "elk")


def test_greys_among_colours_keep_the_colours() -> None:
    images, _ = _drawn(2, 0)
    grey = Image.fromarray(images[0, 0])
    data = from_object([(grey, 0), (_pillow(images[1]), 1)])
    assert np.array_equal(_read(data)[1], images[1])
    assert np.array_equal(_read(data)[0], np.repeat(images[0, :1], 3, axis=0))


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ([], "at least one image, got none"),
        (7, "data must be a name such as 'mnist', a pair .*, got int"),
        ({"train": 1, "test": 2}, r"got a mapping with train, test: name one split, data\['train'"),
        ([(np.zeros((3, 4, 4)), 0, 1)], r"row 0 of the data must be \(image, label\), found 3 val"),
        ([{"image": np.zeros((3, 4, 4)), "caption": "x"}], "found image, caption: rename its col"),
        (
            [(np.zeros((3, 4, 4), np.uint8), 0), (np.zeros((3, 5, 5), np.uint8), 1)],
            "must have one shape",
        ),
        ((np.zeros((4, 3, 4, 4), np.uint8), np.eye(4)), r"for one-hot rows take argmax\(1\)"),
        ((np.zeros((4, 3, 4, 4), np.uint8), [0, 1, -1, 2]), "number 2 is -1"),
        ((np.zeros((4, 3, 4, 4), np.uint8), [0, 1]), "must be images .* and labels"),
        ((np.full((4, 3, 4, 4), 300), [0, 1, 2, 3]), r"integers in \[0, 255\], found 300"),
        ((np.zeros((0, 1, 4, 4), dtype=np.float32), np.zeros(0, dtype=np.int64)), "at least one"),
    ],
)
def test_what_is_no_data_is_refused(data: Any, told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        from_object(data)


@given(st.permutations(["ant", "bee", "cat"]))
def test_categories_of_a_data_frame_state_the_order_of_classes(order: list[str]) -> None:
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    grey, names = [np.zeros((4, 4), np.uint8)] * 3, ["cat", "ant", "bee"]
    frames = (
        pandas.DataFrame({"image": grey, "label": pandas.Categorical(names, categories=order)}),
        polars.DataFrame(
            {"image": grey, "label": names},
            schema_overrides={"image": polars.Object, "label": polars.Enum(order)},
        ),
    )
    for frame in frames:
        data = from_object(frame)
        assert data.class_names == tuple(order)
        assert data.labels.tolist() == [order.index(name) for name in names]
        assert data.order == ("names" if order == sorted(order) else "stated")


def test_joined_data_sets_must_number_their_classes_alike() -> None:
    rows = [(np.zeros((4, 4), np.uint8), 0), (np.zeros((4, 4), np.uint8), 1)]
    parts: list[Any] = [_Rows(rows, ["cat", "dog"]), _Rows(rows, ["cat", "dog", "elk"])]
    assert from_object(ConcatDataset(parts)).class_names == ("cat", "dog", "elk")
    two: list[Any] = [_Rows(rows, ["cat", "dog"]), _Rows(rows, ["dog", "cat"])]
    with pytest.raises(InvalidInput, match="must number their classes alike"):
        from_object(ConcatDataset(two))
    for part in two:  # what the message says; the labels of the rows are then mapped ones
        part.target_transform = int
    assert from_object(ConcatDataset(two)).class_names == ("0", "1")


def test_a_mapping_may_name_its_classes() -> None:
    arrays = {"images": np.zeros((2, 4, 4), np.uint8), "labels": [1, 0], "classes": ["dog", "cat"]}
    assert from_object(arrays).class_names == ("dog", "cat")


def test_rounding_outside_the_unit_interval_is_taken_off() -> None:
    images = np.array([[[[-1e-7, 1 + 2e-7]]], [[[0.5, 0.5]]]], np.float32)
    read = from_object((images, [0, 1])).read(np.arange(2))
    assert read.min() == 0
    assert read.max() == 1
    beyond = from_object((images + np.float32(1e-3), [0, 1])).read(np.arange(2))
    assert beyond.max() > 1


def test_boolean_labels_are_two_classes() -> None:
    data = from_object((np.zeros((2, 1, 4, 4), np.uint8), np.array([True, False])))
    assert data.labels.tolist() == [1, 0]


def _of_mode(mode: str) -> list[Image.Image]:
    """Colour images in a mode of Pillow; its palettes, bits and colour spaces are no pixels."""
    random = np.random.default_rng(0)
    colours = [Image.fromarray(random.integers(0, 256, (6, 5, 3), dtype=np.uint8)) for _ in "abc"]
    return [image.convert(mode) for image in colours]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"])
def test_images_of_pillow_are_read_one_by_one_in_every_form(mode: str) -> None:
    images, labels = _of_mode(mode), [0, 2, 1]
    grey = mode in ("1", "L", "LA")
    pixels = np.stack([np.asarray(image.convert("L" if grey else "RGB")) for image in images])
    expected = pixels[:, None] if grey else pixels.transpose(0, 3, 1, 2)
    rows = list(zip(images, labels, strict=True))
    boxed = np.empty(3, object)
    boxed[:] = images
    forms: list[Any] = [
        *((images, labels), (tuple(images), np.array(labels)), (boxed, labels), rows),
        *(
            {"image": images, "label": labels},
            iter(rows),
            [(images, labels)],
            iter([(images, labels)]),
        ),
    ]
    for form in forms:
        data = from_object(form)
        np.testing.assert_array_equal(data.read(np.arange(3)), expected)
        assert data.labels.tolist() == labels


def test_a_pair_may_hold_greys_and_colours() -> None:
    grey, colours = np.full((4, 5), 7, np.uint8), np.full((4, 5, 3), 9, np.uint8)
    for images in ([grey, colours], [Image.fromarray(grey), Image.fromarray(colours)]):
        data = from_object((images, [0, 1]))
        assert data.shape == (3, 4, 5)
        assert data.read(np.arange(2))[:, :, 0, 0].tolist() == [[7, 7, 7], [9, 9, 9]]
