"""Seconds of an epoch of `train` beside a bare loop with the same arithmetic, and those of `fast`.

The floor is what a person would write down: shuffle, gather, scale to [0, 1], forward under the
same autocast and memory layout, backward, the same fused optimizer; no meter, no mean loss, no
check. All three run in turn, in one process, for several rounds; medians are compared.

    python benchmarks/training_floor.py [--images 8192] [--runs 5] [--model base-cnn]

Uses MNIST or CIFAR-10 where `$EPSBALL_DATA` or the cache has them, random images of their shape
otherwise: the time does not depend on what is in an image.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from epsball.data import load_data
from epsball.errors import EpsballError
from epsball.models import MODELS
from epsball.training import TrainSettings, fresh_weights, train
from epsball.training.setup.optimizers import build_optimizer
from epsball.training.setup.placement import Placement, choose_placement, placed
from epsball.types import Dataset

DATA = {"base-cnn": "mnist", "mlp": "mnist", "vgg-cifar": "cifar10"}
SETTINGS = TrainSettings(epochs=1, validation=0, batch_size=128, lr=1e-3, optimizer="adam")


def images(model: str, count: int) -> Dataset:
    """Return some images of the model's data set, or random ones where it is not at hand."""
    try:
        dataset = load_data(DATA[model], split="train")
        pixels, labels = dataset.read(np.arange(count)), dataset.labels[:count]
        name = dataset.name
    except EpsballError:
        drawn = np.random.default_rng(0)
        shape = MODELS[model].input_shape
        pixels = drawn.integers(0, 256, (count, *shape), dtype=np.uint8)
        labels, name = drawn.integers(0, 10, count), "random"
    names = tuple("0123456789")
    return Dataset(name, labels, names, pixels.shape[1:], lambda rows: pixels[rows])


def bare(model: nn.Module, data: Dataset, placement: Placement) -> float:
    """Return the seconds of one epoch without epsball's trainer."""
    pixels = torch.from_numpy(data.read(np.arange(len(data))))
    labels = torch.from_numpy(data.labels)
    with placed(model, placement):
        optimizer = build_optimizer(model.train(), SETTINGS)
        started = time.perf_counter()
        for rows in torch.randperm(len(labels)).split(SETTINGS.batch_size):
            images = (pixels[rows].float() / 255).to(
                placement.device, memory_format=placement.layout
            )
            optimizer.zero_grad(set_to_none=True)
            with placement.autocast():
                logits = model(images).float()
                loss = nn.functional.cross_entropy(logits, labels[rows].to(placement.device))
            loss.backward()
            optimizer.step()
        if placement.device.startswith("cuda"):
            torch.cuda.synchronize()
        return time.perf_counter() - started


def trained(model: nn.Module, data: Dataset, settings: TrainSettings) -> float:
    """Return the seconds of the epoch of a training run; the watch is off, as in the floor."""
    with tempfile.TemporaryDirectory() as out:
        return train(model, data, settings, out=Path(out) / "run").epochs[0].seconds


def measure(name: str, count: int, runs: int) -> None:
    """Print the medians of one model and their ratios."""
    data = images(name, count)

    def fresh() -> nn.Module:
        with fresh_weights(0):
            return MODELS[name].build()

    sample = torch.from_numpy(data.read(np.arange(8))).float() / 255
    placement = choose_placement(fresh(), sample, SETTINGS)
    fast = SETTINGS.changed(recipe="fast", eps=0.1, watch_every=0)
    ways: dict[str, Callable[[], float]] = {
        "floor": lambda: bare(fresh(), data, placement),
        "standard": lambda: trained(fresh(), data, SETTINGS),
        "fast": lambda: trained(fresh(), data, fast),
    }
    few = replace(data, labels=data.labels[:256])
    bare(fresh(), few, placement)  # the first passes of a process choose kernels
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(runs):
        for way, run in ways.items():
            seconds[way].append(run())
    middle = {way: statistics.median(times) for way, times in seconds.items()}
    print(
        f"{name} on {count} images ({data.name}), {placement.precision}, {placement.device}, "
        f"{placement.threads} threads: floor {count / middle['floor']:,.0f} images a second, "
        f"train {count / middle['standard']:,.0f}: {middle['floor'] / middle['standard']:.3f} of "
        f"it ({_spread(seconds, 'floor', 'standard')}); fast costs "
        f"{middle['fast'] / middle['standard']:.2f} x standard "
        f"({_spread(seconds, 'fast', 'standard')})"
    )


def _spread(seconds: dict[str, list[float]], above: str, below: str) -> str:
    pairs = [a / b for a, b in zip(seconds[above], seconds[below], strict=True)]
    return f"round by round {min(pairs):.2f} to {max(pairs):.2f}"


def main() -> None:
    """Measure one model."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--images", type=int, default=8192)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--model", default="base-cnn", choices=sorted(DATA))
    options = parser.parse_args()
    measure(options.model, options.images, options.runs)


if __name__ == "__main__":
    main()
