from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from epsball.data import load_data
from epsball.types import Dataset

Refusal = Callable[..., str]
BYTES = np.random.default_rng(0).integers(0, 256, (4, 3, 6, 5), dtype=np.uint8)
LABELS = np.array([0, 2, 1, 2])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "some.npz"


def _load(file: Path, images: object = BYTES, labels: object = LABELS, **more: object) -> Dataset:
    kept = {"images": images, "labels": labels, **more}
    np.savez(file, **{key: np.asarray(value) for key, value in kept.items() if value is not None})  # type: ignore[arg-type]  # numpy's own stub takes no mapping
    return load_data(f"npz:{file}")


def _all(dataset: Dataset) -> NDArray[np.uint8] | NDArray[np.float32]:
    return dataset.read(np.arange(len(dataset)))


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (BYTES, BYTES),
        (BYTES.transpose(0, 2, 3, 1), BYTES),
        (BYTES[:, 0], BYTES[:, :1]),
        (BYTES[:, :1], BYTES[:, :1]),
        (BYTES[:, 0, :, :, None], BYTES[:, :1]),
        (BYTES.astype(np.int64), BYTES),
        (BYTES.astype(">u2"), BYTES),
    ],
)
def test_layouts_and_integers_give_bytes_channels_first(
    images: NDArray[np.uint8], expected: NDArray[np.uint8], file: Path
) -> None:
    loaded = _load(file, images)
    assert loaded.shape == expected.shape[1:]
    assert _all(loaded).dtype == np.uint8
    assert (_all(loaded) == expected).all()
    assert loaded.labels.tolist() == LABELS.tolist()
    assert loaded.class_names == ("0", "1", "2")
    assert loaded.name == f"npz:{file}"


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_floats_stay_floats(dtype: str, file: Path) -> None:
    images = (BYTES / 255).astype(dtype)
    pixels = _all(_load(file, images))
    assert pixels.dtype == np.float32
    assert (pixels == images.astype(np.float32)).all()


def test_class_names_and_column_labels(file: Path) -> None:
    names = np.array(["cat", "dog", "hen", "owl"])
    loaded = _load(file, labels=LABELS[:, None].astype(np.uint8), class_names=names)
    assert loaded.class_names == tuple(names)
    assert loaded.labels.dtype == np.int64


def test_splits_use_their_own_arrays_and_share_classes(file: Path) -> None:
    np.savez(
        file, train_images=BYTES[:3], train_labels=[0, 1, 7], test_images=BYTES[3:], test_labels=[2]
    )
    train, test = (load_data(f"npz:{file}", split="train"), load_data(f"npz:{file}"))
    assert (_all(train) == BYTES[:3]).all()
    assert (_all(test) == BYTES[3:]).all()
    assert train.class_names == test.class_names == tuple("01234567")


def test_one_split_beside_plain_arrays(file: Path) -> None:
    np.savez(file, images=BYTES, labels=LABELS, train_images=BYTES[:1], train_labels=[0])
    assert len(load_data(f"npz:{file}", split="train")) == 1
    assert len(load_data(f"npz:{file}", split="test")) == 4


def _with(value: float, dtype: str) -> NDArray[np.float64]:
    images = BYTES.astype(dtype) if dtype.startswith("int") else (BYTES / 255).astype(dtype)
    images[2, 1, 4, 3] = value
    images[3, 0, 0, 0] = value
    return images


@pytest.mark.parametrize(
    ("value", "dtype", "kind"),
    [
        (np.nan, "float32", "floats in [0, 1], found nan"),
        (np.inf, "float64", "floats in [0, 1], found inf"),
        (-np.inf, "float16", "floats in [0, 1], found -inf"),
        (1.001, "float64", "floats in [0, 1], found 1.001"),
        (-1e-5, "float64", "floats in [0, 1], found -1e-05"),
        (256, "int64", "integers in [0, 255], found 256"),
        (-1, "int16", "integers in [0, 255], found -1"),
    ],
)
def test_first_pixel_out_of_range_is_named(
    value: float, dtype: str, kind: str, file: Path, refusal: Refusal
) -> None:
    message = refusal(_load, file, _with(value, dtype))
    assert f"must be {kind} in image 2 (channel 1, row 4, column 3)" in message


def test_offender_is_named_as_channels_first(file: Path, refusal: Refusal) -> None:
    images = _with(2, "float32").transpose(0, 2, 3, 1)
    assert "image 2 (channel 1, row 4, column 3)" in refusal(_load, file, images)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((4, 3, 6, 3), np.uint8), "may be channels first or last"),
        (np.zeros((4, 1, 6, 3), np.uint8), "may be channels first or last"),
        (np.zeros((4, 2, 6, 5), np.uint8), "found shape (4, 2, 6, 5)"),
        (np.zeros((4, 30), np.uint8), "found shape (4, 30)"),
        (np.zeros((4, 1, 3, 6, 5), np.uint8), "found shape (4, 1, 3, 6, 5)"),
        (np.zeros((0, 3, 6, 5), np.uint8), "are empty"),
        (np.zeros((4, 3, 0, 5), np.uint8), "are empty"),
        (np.zeros((4, 3, 6, 5), np.complex64), "found complex64: convert them"),
        (np.zeros((4, 3, 6, 5), np.complex64), "found complex64"),
        (np.full((4, 3, 6, 5), "x"), "found <U1"),
    ],
)
def test_images_of_another_kind_are_refused(
    images: object, message: str, file: Path, refusal: Refusal
) -> None:
    assert message in refusal(_load, file, images)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1, 2], "found 4 images and 3 labels"),
        ([0, 1, -1, -2], "number 2 is -1"),
        ([0, 1, 10**12, 3], "number 2 is 1000000000000"),
        (np.array([0, 1, 2, 2**64 - 1], np.uint64), "number 3 is 18446744073709551615"),
        ([0, 1.5, 2, 0.5], "found float64, number 1 being 1.5"),
        ([0.0, 1.0, np.nan, 0], "number 2 being nan"),
        (["a", "b", "c", "d"], "must be integers, found <U1"),
        (np.eye(4, dtype=np.int64), "found shape (4, 4)"),
        (np.array(3), "found shape ()"),
        (np.array([], np.int64), "at least one image"),
    ],
)
def test_wrong_labels_are_refused(
    labels: object, message: str, file: Path, refusal: Refusal
) -> None:
    assert message in refusal(_load, file, labels=labels)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a", "b"], "must be below 2, the number of class_names, number 1 is 2"),
        ([1, 2, 3], "must be text"),
        ([["a", "b", "c"]], "of shape (1, 3)"),
    ],
)
def test_wrong_class_names_are_refused(
    names: object, message: str, file: Path, refusal: Refusal
) -> None:
    assert message in refusal(_load, file, class_names=names)


@pytest.mark.parametrize("missing", ["images", "labels"])
def test_missing_array_is_named(missing: str, file: Path, refusal: Refusal) -> None:
    message = refusal(_load, file, **{missing: None, "other": [1]})
    assert f"lacks {missing}, found" in message
    assert "other" in message


def test_split_without_its_labels_is_refused(file: Path, refusal: Refusal) -> None:
    np.savez(file, images=BYTES, labels=LABELS, train_images=BYTES)
    assert "lacks train_labels" in refusal(load_data, f"npz:{file}", split="train")


def test_objects_are_refused_and_not_unpickled(file: Path, refusal: Refusal) -> None:
    np.savez(file, images=BYTES, labels=np.array([0, 1, None, "x"], dtype=object))
    assert "Python objects, which are refused" in refusal(load_data, f"npz:{file}")


@given(
    images=arrays(
        np.float64, (2, 1, 4, 4), elements=st.floats(width=64, allow_nan=True, allow_infinity=True)
    )
)
def test_what_is_read_is_always_in_the_unit_box(
    images: NDArray[np.float64], tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("npz") / "any.npz"
    fits = bool(((images >= -1e-6) & (images <= 1 + 1e-6)).all())  # rounding is taken off
    try:
        pixels = _all(_load(file, images, [0, 1]))
    except ValueError:
        assert not fits
    else:
        assert fits
        assert ((pixels >= 0) & (pixels <= 1)).all()


@pytest.mark.parametrize("names", [("x", "y"), ("X_test", "y_test"), ("x_test", "y_test")])
def test_names_of_other_libraries(tmp_path: Path, names: tuple[str, str]) -> None:
    images, labels = np.arange(12, dtype=np.uint8).reshape(3, 2, 2), np.array([0, 2, 1])
    np.savez(tmp_path / "a.npz", **{names[0]: images, names[1]: labels})  # type: ignore[arg-type]  # no name is allow_pickle
    data = load_data(f"npz:{tmp_path}/a.npz")
    assert data.labels.tolist() == [0, 2, 1]
    assert data.read(np.array([1]))[0, 0].tolist() == images[1].tolist()


def test_our_own_names_win(tmp_path: Path) -> None:
    images, labels = np.zeros((3, 2, 2), np.uint8), np.array([0, 2, 1])
    np.savez(tmp_path / "a.npz", x=images + 9, y=labels[::-1], images=images, labels=labels)
    data = load_data(f"npz:{tmp_path}/a.npz")
    assert data.labels.tolist() == [0, 2, 1]
    assert data.read(np.array([0])).max() == 0
