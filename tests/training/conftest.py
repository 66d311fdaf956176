"""Small real images and small models, so that a run takes a moment."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from epsball.training import fresh_weights
from epsball.types import Dataset


def digits_8x8(count: int) -> Dataset:
    digits = load_digits()
    pixels = np.rint(digits.images[:count] * 15.9375).astype(np.uint8)[:, None]
    labels = digits.target[:count].astype(np.int64)
    names = tuple("0123456789")
    return Dataset("tiny-digits", labels, names, (1, 8, 8), lambda rows: pixels[rows])


def small_cnn() -> nn.Module:
    with fresh_weights(3):
        return nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Linear(64, 10),
        )


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Models this small lose time to a second thread, and a lot of it on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def dataset() -> Dataset:
    return digits_8x8(200)


@pytest.fixture
def build() -> Callable[[], nn.Module]:
    return small_cnn


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    dataset = digits_8x8(12)
    pixels = torch.from_numpy(dataset.read(np.arange(12)))
    return pixels.float() / 255, torch.from_numpy(dataset.labels)
