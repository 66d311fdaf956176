"""What a generator of adversarial examples costs in training, beside PGD, and what it leaves.

The same network, images, epochs, optimizer and eps for every recipe. All run in turn, in one
process, for several rounds, each with a seed of its own. The table has, of the rounds, the median
seconds of an epoch; the median seconds of the processor, the whole run's over its epochs, which
other processes lengthen less; the gradient evaluations of the classifier for one image (passes of
generator and discriminator are in the seconds alone); and the mean accuracies on test images,
clean and under PGD-40 within eps.

    python benchmarks/generator.py [--images 3000] [--epochs 4] [--eps 2] [--norm l2] [--runs 2]

Uses MNIST where `$EPSBALL_DATA` or the cache has it, the digits of scikit-learn otherwise.
"""

import argparse
import statistics
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from epsball.attacks import pgd
from epsball.data import load_data
from epsball.errors import EpsballError
from epsball.models import MODELS
from epsball.training import TrainSettings, fresh_weights, train
from epsball.types import Dataset

WAYS: dict[str, dict[str, Any]] = {
    "standard": {"recipe": "standard"},
    "fast": {"recipe": "fast"},
    "generator": {"recipe": "generator"},
    "pgd, 7 steps": {"recipe": "pgd", "attack_steps": 7},
    "pgd, 10 steps": {"recipe": "pgd", "attack_steps": 10},
}
TESTED, STEPS = 500, 40
# no dropout: min-max training underfits as it is
SETTINGS = TrainSettings(validation=0, batch_size=128, lr=1e-3, dropout=0.0, watch_every=0)


@dataclass(frozen=True)
class Outcome:
    """What an epoch of one run cost, and the accuracies that it left."""

    seconds: float
    cpu_seconds: float
    gradients: float
    clean: float
    robust: float


@dataclass(frozen=True)
class Trial:
    """What all recipes are given: images to learn from, images to be judged by, a ball."""

    data: Dataset
    images: Tensor
    labels: Tensor
    ball: dict[str, Any]

    def outcome(self, settings: TrainSettings) -> Outcome:
        """Train a fresh network, and attack it."""
        with fresh_weights(settings.seed):
            model = MODELS["base-cnn"].build()
        started = time.process_time()
        with tempfile.TemporaryDirectory() as out:
            result = train(model, self.data, settings, out=Path(out) / "run")
        spent = time.process_time() - started
        drawn = torch.Generator().manual_seed(0)
        attacked = pgd(model, self.images, self.labels, **self.ball, steps=STEPS, generator=drawn)
        return Outcome(
            statistics.median(row.seconds for row in result.epochs),
            spent / settings.epochs,
            result.gradient_evaluations / len(self.data) / settings.epochs,
            self._accuracy(model, self.images),
            self._accuracy(model, attacked),
        )

    def _accuracy(self, model: nn.Module, images: Tensor) -> float:
        with torch.no_grad():
            return float((model(images).argmax(1) == self.labels).double().mean())


def images(count: int, ball: dict[str, Any]) -> Trial:
    """Read some training images, and the test images."""
    try:
        stored, test = (load_data("mnist", split=split) for split in ("train", "test"))
    except EpsballError:
        stored, test = (load_data("digits", split=split) for split in ("train", "test"))
    rows, few = np.arange(min(count, len(stored))), np.arange(min(TESTED, len(test)))
    pixels, labels = stored.read(rows), stored.labels[rows]
    some = Dataset(stored.name, labels, stored.class_names, stored.shape, lambda at: pixels[at])
    images = torch.from_numpy(test.read(few)).float() / 255
    return Trial(some, images, torch.from_numpy(test.labels[few]), ball)


def asked_of(way: str, ball: dict[str, Any], **more: int) -> TrainSettings:
    """Return the settings of one way; `standard` has no ball."""
    own = WAYS[way] | ({} if way == "standard" else ball)
    return SETTINGS.changed(**own, **more)


def table(rounds: dict[str, list[Outcome]]) -> str:
    """Return a Markdown table, one line a way."""
    lines = [
        "| recipe | s an epoch | CPU s | CPU, x standard | gradients an image | clean | PGD-40 |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for way, met in rounds.items():
        wall, spent = (_middle(met, name) for name in ("seconds", "cpu_seconds"))
        clean, robust = (statistics.mean(getattr(o, n) for o in met) for n in ("clean", "robust"))
        lines.append(
            f"| {way} | {wall:.2f} | {spent:.2f} | "
            f"{spent / _middle(rounds['standard'], 'cpu_seconds'):.2f} | "
            f"{met[0].gradients:.1f} | {clean:.1%} | {robust:.1%} |"
        )
    return "\n".join(lines)


def _middle(met: list[Outcome], name: str) -> float:
    return float(statistics.median(getattr(outcome, name) for outcome in met))


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--images", type=int, default=3000)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--eps", type=float, default=2.0)
    parser.add_argument("--norm", default="l2", choices=["l2", "linf"])
    parser.add_argument("--runs", type=int, default=2)
    options = parser.parse_args()
    ball = {"eps": options.eps, "norm": options.norm}
    trial = images(options.images, ball)
    replace(trial, images=trial.images[:8], labels=trial.labels[:8]).outcome(
        SETTINGS.changed(epochs=1)
    )  # the first passes of a process choose kernels
    rounds: dict[str, list[Outcome]] = {way: [] for way in WAYS}
    for seed in range(options.runs):
        for way, met in rounds.items():
            met.append(trial.outcome(asked_of(way, ball, epochs=options.epochs, seed=seed)))
    print(
        f"base-cnn on {len(trial.data)} images of {trial.data.name}, {options.epochs} epochs, "
        f"{options.norm} {options.eps:g}, {len(trial.labels)} test images, {options.runs} rounds, "
        f"{torch.get_num_threads()} threads"
    )
    print(table(rounds))


if __name__ == "__main__":
    main()
