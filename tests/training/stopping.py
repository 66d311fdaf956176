"""Runs that are stopped on purpose."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from epsball.training import TrainSettings, train
from epsball.types import Dataset

Build = Callable[[], nn.Module]
QUICK = TrainSettings(epochs=4, batch_size=20, lr=0.01, validation=0.2)


class StopHere(Exception):
    pass


def stop_at(epoch: int, batch: int) -> Callable[..., None]:
    def progress(now: int, number: int, batches: int, metrics: Mapping[str, float]) -> None:
        if (now, number) == (epoch, batch):
            raise StopHere

    return progress


def weights(out: Path) -> dict[str, torch.Tensor]:
    return load_file(out / "model.safetensors")


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def begun(dataset: Dataset, build: Build, out: Path) -> None:
    with pytest.raises(StopHere):
        train(build(), dataset, QUICK, out=out, progress=stop_at(2, 8))
