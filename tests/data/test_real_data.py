"""The real data sets, in the folder that EPSBALL_DATA names."""

import os
from pathlib import Path

import numpy as np
import pytest

from epsball.data import load_data
from epsball.data.spec import Split

pytestmark = pytest.mark.data
TRAIN_DIGITS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
TEST_DIGITS = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


@pytest.fixture(autouse=True)
def _needs(request: pytest.FixtureRequest) -> None:
    folder = request.function.__name__.removeprefix("test_").partition("_is_")[0]
    if not (Path(os.environ.get("EPSBALL_DATA", "/nowhere")) / folder).is_dir():
        pytest.skip(f"EPSBALL_DATA names no folder that holds {folder}")


@pytest.mark.parametrize(("split", "counts"), [("train", TRAIN_DIGITS), ("test", TEST_DIGITS)])
def test_mnist_is_whole(split: Split, counts: list[int]) -> None:
    digits = load_data("mnist", split=split)
    assert np.bincount(digits.labels).tolist() == counts
    pixels = digits.read(np.arange(len(digits)))
    assert pixels.shape == (sum(counts), 1, 28, 28)
    assert (pixels.mean() / 255).round(2) == 0.13  # the mean that everyone normalises with


@pytest.mark.parametrize(("split", "each"), [("train", 5000), ("test", 1000)])
def test_cifar10_is_whole(split: Split, each: int) -> None:
    things = load_data("cifar10", split=split)
    assert np.bincount(things.labels).tolist() == [each] * 10
    means = things.read(np.arange(len(things))).mean((0, 2, 3)) / 255
    assert means == pytest.approx([0.491, 0.482, 0.447], abs=0.004)  # red first


def test_imagenet_sample_is_whole() -> None:
    sample = load_data("imagenet-sample")
    assert sample.labels.tolist() == list(range(1000))
    assert len(set(sample.class_names)) == 1000
    assert sample.class_names[134].startswith("crane (n")
    pixels = sample.read(np.arange(0, 1000, 100))
    assert pixels.shape == (10, 3, 224, 224)
    assert (pixels.std((1, 2, 3)) > 5).all()
