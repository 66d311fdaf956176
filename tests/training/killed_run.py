"""A training run that can kill itself: python killed_run.py RECIPE OUT EPOCH (0: never)."""

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

from epsball.training import TrainSettings, fresh_weights, train
from epsball.types import Dataset

CHANGES: dict[str, dict[str, Any]] = {
    "fgsm-mix": {"eps": 0.1, "reference": "random", "optimizer": "rmsprop"},
    "free": {"eps": 0.1, "replays": 2, "ema": 0.9},
    "generator": {"eps": 0.5, "norm": "l2", "generator_width": 2, "watch_every": 0},
    "trades": {"eps": 0.1, "attack_steps": 2, "awp": 0.01, "ema": 0.9, "watch_every": 0},
    "two-step": {"eps": 0.1, "attack_steps": 2, "watch_every": 0},
}


def main(recipe: str, out: Path, epoch: int) -> None:
    dataset = load_digits()
    pixels = (dataset.images[:150] * 15).astype(np.uint8)[:, None]
    labels = dataset.target[:150].astype(np.int64)
    data = Dataset("d", labels, tuple("0123456789"), (1, 8, 8), lambda rows: pixels[rows])
    settings = TrainSettings(recipe=recipe, epochs=3, batch_size=5, validation=0.1)
    settings = settings.changed(**CHANGES.get(recipe, {}))
    with fresh_weights(0):
        model = nn.Sequential(
            nn.Conv2d(1, 8, 3),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(),
            nn.Linear(288, 10),
        )

    def die(now: int, batch: int, batches: int, metrics: Mapping[str, float]) -> None:
        if now == epoch and batch < batches:
            os.kill(os.getpid(), signal.SIGKILL)

    train(model, data, settings, out=out, progress=die)


if __name__ == "__main__":
    torch.set_num_threads(1)  # as the tests do
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
