"""Tiny numbers are zero while a network trains, and what they were before and after."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from epsball.training import TrainSettings, train
from epsball.training.setup.arithmetic import without_denormals
from epsball.types import Dataset


def product() -> float:
    value: float = (torch.tensor(1e-30) * 1e-10).item()
    return value


def test_tiny_numbers_are_zero_inside_and_only_there() -> None:
    assert product() > 0
    with without_denormals():
        assert product() == 0
        with without_denormals():
            assert product() == 0
        assert product() == 0
    assert product() > 0


def test_an_error_puts_the_arithmetic_back() -> None:
    try:
        with without_denormals():
            raise ValueError
    except ValueError:
        assert product() > 0


class Asking(nn.Module):
    """Notes how the processor calculates whenever it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.seen = nn.Sequential(nn.Flatten(), nn.Linear(1, 2)), list[float]()

    def forward(self, inputs: Tensor) -> Tensor:
        if self.training:
            self.seen.append(product())
        scores: Tensor = self.body(inputs)
        return scores


def test_training_calculates_so(tmp_path: Path) -> None:
    pixels = np.repeat(np.array([0, 255], np.uint8), 8).reshape(16, 1, 1, 1)
    labels = np.repeat([0, 1], 8)
    data = Dataset("dots", labels, ("dark", "light"), (1, 1, 1), lambda rows: pixels[rows])
    model = Asking()
    train(model, data, TrainSettings(epochs=1, batch_size=8), out=tmp_path)
    assert model.seen
    assert set(model.seen) == {0.0}
    assert product() > 0
