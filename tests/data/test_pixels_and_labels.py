"""Values of images and labels in objects: what is not clear is refused, never guessed."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from epsball.data import from_object
from epsball.errors import InvalidInput


def test_the_axis_of_colours_is_not_guessed() -> None:
    labels, numbers = np.arange(4), np.random.default_rng(0).random((4, 3, 5, 3)).astype("f")
    with pytest.raises(InvalidInput, match="may be channels first or last"):
        from_object((numbers, labels))
    with pytest.raises(InvalidInput, match="may be channels first or last"):
        from_object(list(zip(numbers, labels, strict=True)))
    tensors = torch.from_numpy(numbers)  # of torch, whose convention is known
    for form in (
        (tensors, labels),
        (list(tensors), labels),
        TensorDataset(tensors, tensors.new_zeros(4).long()),
    ):
        assert np.array_equal(from_object(form).read(np.arange(4)), numbers)
    for shape, channels in (((4, 8, 9, 4), 4), ((4, 8, 8, 5), 5), ((4, 9, 8, 2), 2)):
        with pytest.raises(InvalidInput, match=f"seem to have {channels} channels, last"):
            from_object((np.zeros(shape, np.float32), labels))
        assert from_object((np.zeros((4, 13, 8, 8), np.float32), labels)).shape == (13, 8, 8)


def test_black_and_white_are_the_ends_of_the_range() -> None:
    bits = np.random.default_rng(0).random((3, 4, 5)) > 0.5
    for form in ((bits, [0, 1, 0]), [(bit, 0) for bit in bits]):
        assert np.array_equal(from_object(form).read(np.arange(3))[:, 0], bits * 255)


@pytest.mark.parametrize("kind", ["U3", "S3", object])
def test_names_of_classes_in_arrays_of_every_kind(kind: Any) -> None:
    greys, names = np.zeros((3, 4, 4), np.uint8), np.array(["dog", "cat", "dog"], dtype=kind)
    for form in ((greys, names), list(zip(greys, names, strict=True))):
        data = from_object(form)
        assert (data.class_names, data.labels.tolist()) == (("cat", "dog"), [1, 0, 1])


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_a_missing_label_is_named(missing: Any) -> None:
    greys = np.zeros((3, 4, 4), np.uint8)
    column = np.array([0, 1, missing], dtype=object)
    for form in ((greys, column), list(zip(greys, column, strict=True))):
        with pytest.raises(InvalidInput, match="image 2 of the data has no label"):
            from_object(form)


def test_rows_of_numbers_are_no_labels() -> None:
    images, rows = torch.rand(4, 3, 4, 5), torch.eye(4)
    told = "one integer an image.*argmax"
    for form in (
        (images, rows),
        list(zip(images, rows, strict=True)),
        TensorDataset(images, rows),
    ):
        with pytest.raises(InvalidInput, match=told):
            from_object(form)
    with pytest.raises(InvalidInput, match=told):
        from_object(DataLoader(TensorDataset(images, rows), batch_size=3, shuffle=True))


def test_an_array_of_arrays_holds_images_one_by_one() -> None:
    images = np.random.default_rng(0).random((3, 3, 4, 5)).astype("f")
    boxed = np.empty(3, object)
    boxed[:] = list(images)
    assert np.array_equal(from_object((boxed, [0, 1, 0])).read(np.arange(3)), images)
