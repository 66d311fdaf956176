import numpy as np
import pytest
import torch

from epsball.data import to_unit
from epsball.errors import InvalidInput


def test_every_byte_is_divided_by_255_and_rounded_once() -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    unit = to_unit(pixels)
    assert unit.dtype == torch.float32
    assert (unit.numpy() == pixels.astype(np.float32) / np.float32(255)).all()
    assert unit.min() == 0
    assert unit.max() == 1
    assert ((unit * 255).round().to(torch.uint8).numpy() == pixels).all()


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_source_may_be_read_only_and_is_not_shared(dtype: str) -> None:
    pixels = np.ones((1, 1, 2, 2), dtype)
    pixels.flags.writeable = False
    unit = to_unit(pixels)
    unit.fill_(0.5)
    assert (pixels == 1).all()


def test_floats_stay_as_they_are() -> None:
    pixels = np.array([0, 0.1, 1], np.float32)
    assert (to_unit(pixels).numpy() == pixels).all()


@pytest.mark.parametrize("dtype", ["float64", "int64", "bool"])
def test_other_types_are_refused(dtype: str) -> None:
    with pytest.raises(InvalidInput, match="uint8 or float32"):
        to_unit(np.zeros(3, dtype))
