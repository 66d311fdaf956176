"""Images with labels on which small networks reach a useful accuracy in a few hundred steps."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from epsball.data import load_data

TRAINED, TESTED = 6000, 1000
_COLOURS = np.array([[0.95, 0.35, 0.15], [0.15, 0.4, 0.95]])  # of coloured digits: red, blue
_DIGITS = 6  # of the coloured digits: twelve classes, so that "10" sorts before "2" as text


@dataclass(frozen=True)
class Task:
    """Images and labels to train on and to be judged by.

    Args:
        name: of the task.
        train: (n, c, h, w), uint8.
        train_labels: (n,), int64.
        test: (m, c, h, w), uint8.
        test_labels: (m,), int64.
        names: of the classes, in label order.
        mean: of the training images, per channel, in [0, 1].
        std: likewise.
    """

    name: str
    train: NDArray[np.uint8]
    train_labels: NDArray[np.int64]
    test: NDArray[np.uint8]
    test_labels: NDArray[np.int64]
    names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def classes(self) -> int:
        """Return the number of classes."""
        return len(self.names)

    @property
    def shape(self) -> tuple[int, ...]:
        """Return (c, h, w)."""
        return self.test.shape[1:]


def load_tasks() -> dict[str, Task]:
    """Read MNIST (grey digits, coloured digits, threes against eights) and CIFAR-10."""
    digits = [_read("mnist", split) for split in ("train", "test")]
    words = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    coloured_names = tuple(f"{word} in {c}" for c in ("red", "blue") for word in words[:_DIGITS])
    objects = [_read("cifar10", split) for split in ("train", "test")]
    cifar = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship")
    tasks = [
        _task("digits", digits, words),
        _task("coloured", [_coloured(*half) for half in digits], coloured_names),
        _task("binary", [_threes_and_eights(*half) for half in digits], ("three", "eight")),
        _task("cifar10", objects, (*cifar, "truck")),
    ]
    return {task.name: task for task in tasks}


def _read(name: str, split: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    data = load_data(name, split=split)
    count = min(len(data), 3 * TRAINED if split == "train" else 3 * TESTED)
    return data.read(np.arange(count)), data.labels[:count]


def _task(name: str, halves: list[tuple[NDArray, NDArray]], names: tuple[str, ...]) -> Task:
    (train, train_labels), (test, test_labels) = halves
    train, train_labels = train[:TRAINED], train_labels[:TRAINED]
    unit = train / 255
    mean = tuple(np.round(unit.mean((0, 2, 3)), 4).tolist())
    std = tuple(np.round(unit.std((0, 2, 3)), 4).tolist())
    return Task(name, train, train_labels, test[:TESTED], test_labels[:TESTED], names, mean, std)


def _coloured(images: NDArray, labels: NDArray) -> tuple[NDArray, NDArray]:
    """Paint digits below six red or blue, at half the size; the colour is part of the class."""
    chosen = labels < _DIGITS
    rng = np.random.default_rng(0)
    grey, digit = images[chosen, 0] / 255, labels[chosen]
    small = grey.reshape(len(grey), 14, 2, 14, 2).mean((2, 4))
    blue = rng.integers(0, 2, len(small))
    paint = np.clip(_COLOURS[blue] + rng.normal(0, 0.08, (len(small), 3)), 0, 1)
    ground = rng.uniform(0, 0.15, (len(small), 3, 1, 1))
    painted = ground + (1 - ground) * small[:, None] * paint[:, :, None, None]
    return (painted * 255).round().astype(np.uint8), digit + _DIGITS * blue


def _threes_and_eights(images: NDArray, labels: NDArray) -> tuple[NDArray, NDArray]:
    chosen = np.isin(labels, (3, 8))
    return images[chosen], (labels[chosen] == 8).astype(np.int64)
