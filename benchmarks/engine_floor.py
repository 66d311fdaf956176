"""Seconds of PGD-40 through the engine over seconds of the passes it cannot do without.

The floor is a loop that does nothing but the same number of forward-and-input-gradient calls, at
the micro-batch that is fastest for it. Both run in turn, in one process; medians of several runs.

    python benchmarks/engine_floor.py [--images 256] [--runs 5]

Uses MNIST and CIFAR-10 where `$EPSBALL_DATA` or the cache has them, random images of their shape
otherwise: the time does not depend on what is in an image. Weights are fresh for the same reason.
"""

import argparse
import statistics
import time

import numpy as np
import torch
from torch import Tensor, nn

from epsball.data import load_data, to_unit
from epsball.errors import EpsballError
from epsball.evaluation.engine.attacking import attack_examples
from epsball.evaluation.engine.config import EngineConfig
from epsball.evaluation.engine.engine import Engine
from epsball.evaluation.engine.examples import Examples, read_scores
from epsball.evaluation.settings import make_settings
from epsball.models import MODELS
from epsball.types import ModelInfo, Precision

STEPS, EPS = 40, 0.1
PAIRS = (("base-cnn", "mnist"), ("vgg-cifar", "cifar10"))
BATCHES = (16, 32, 64, 128, 256)


def dataset(data: str, model: str, count: int) -> tuple[Tensor, Tensor, str]:
    """Return images of a data set, or random ones where it is not at hand."""
    try:
        stored = load_data(data)
        chosen = np.arange(count)
        return to_unit(stored.read(chosen)), torch.from_numpy(stored.labels[chosen]), data
    except EpsballError:
        shape = MODELS[model].input_shape
        return torch.rand(count, *shape), torch.randint(10, (count,)), f"random, shaped as {data}"


def floor(model: nn.Module, images: Tensor, labels: Tensor, batch: int, steps: int) -> float:
    """Return the seconds of steps bare gradients of every image."""
    started = time.perf_counter()
    for rows in torch.arange(len(images)).split(batch):
        for _ in range(steps):
            point = images[rows].requires_grad_()
            loss = nn.functional.cross_entropy(model(point), labels[rows], reduction="sum")
            torch.autograd.grad(loss, point)
    return time.perf_counter() - started


def engine(
    model: nn.Module, images: Tensor, labels: Tensor, batch: int, precision: Precision
) -> float:
    """Return the seconds of PGD-40 and its verdicts, the clean pass included."""
    (setting,) = make_settings(["pgd"], norm="linf", eps=[EPS], steps=STEPS)
    info = ModelInfo(10)
    config = EngineConfig(
        device="cpu",
        precision=precision,
        micro_batch=batch,
        threads=torch.get_num_threads(),
    )
    running = Engine(model, info, config)
    started = time.perf_counter()
    read_scores(running.scores(images), labels, info)
    examples = Examples(images, labels, torch.arange(len(images)))
    (attacked,) = attack_examples(running, setting, examples)
    read_scores(running.scores(attacked.images), labels, info)
    return time.perf_counter() - started


def ratio_to_floor(name: str, data: str, count: int, runs: int) -> float:
    """Print one line for a model, and return the engine's seconds over those of bare passes."""
    torch.manual_seed(0)
    model = MODELS[name].build().eval()
    images, labels, source = dataset(data, name, count)
    # fewer steps suffice to find the fastest batch; the first round warms up
    few = {b: min(floor(model, images, labels, b, 2) for _ in range(3)) for b in BATCHES}
    batch = min(few, key=lambda b: few[b])
    times: dict[str, list[float]] = {"floor": [], "engine": [], "bfloat16": []}
    for _ in range(runs):
        times["floor"].append(floor(model, images, labels, batch, STEPS))
        times["engine"].append(engine(model, images, labels, batch, "float32"))
        times["bfloat16"].append(engine(model, images, labels, batch, "bfloat16"))
    middle = {key: statistics.median(seconds) for key, seconds in times.items()}
    pairs = [e / f for e, f in zip(times["engine"], times["floor"], strict=True)]
    ratio = middle["engine"] / middle["floor"]
    print(
        f"{name} on {count} images ({source}), PGD-{STEPS}, micro-batch {batch}, "
        f"{torch.get_num_threads()} threads: engine {middle['engine']:.2f} s, "
        f"floor {middle['floor']:.2f} s, ratio {ratio:.3f} "
        f"(pair by pair {min(pairs):.3f} to {max(pairs):.3f}); "
        f"searching in bfloat16 {middle['bfloat16']:.2f} s"
    )
    return ratio


def main() -> None:
    """Measure every pair."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    for name, data in PAIRS:
        ratio_to_floor(name, data, options.images, options.runs)


if __name__ == "__main__":
    main()
