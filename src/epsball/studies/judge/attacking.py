"""The loop that all judges share: the images of a data set under attacks, a shard at a time."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from torch import Tensor

from epsball.evaluation.engine.attacked import Attacked
from epsball.evaluation.engine.attacking import attack_examples
from epsball.evaluation.engine.engine import Engine
from epsball.evaluation.engine.examples import Examples, Reading, read_scores
from epsball.evaluation.records.shards import read_clean, shards_of
from epsball.evaluation.settings import AttackSetting
from epsball.types import Dataset

SHARD = 1000  # images held in memory with all their attacked versions


@dataclass(frozen=True)
class Outcome:
    """One attack at one eps on some images.

    Args:
        engine: which attacked.
        clean: the images before.
        setting: the attack.
        eps: the radius.
        attacked: the images after, and the passes they cost.
        seconds: that the attack took.
    """

    engine: Engine
    clean: Examples
    setting: AttackSetting
    eps: float
    attacked: Attacked
    seconds: float

    @cached_property
    def reading(self) -> Reading:
        """Return the predictions of the engine's own model for the attacked images."""
        return read_images(self.engine, self.attacked.images, self.clean.labels)


def attack_shards(
    engine: Engine, dataset: Dataset, settings: Sequence[AttackSetting], size: int | None = None
) -> Iterator[tuple[Examples, Iterator[Outcome]]]:
    """Attack all images of a data set.

    Args:
        engine: of the attacked model.
        dataset: all images are used, those misclassified when clean included.
        settings: the attacks.
        size: images of a shard; None: `SHARD`.

    Yields:
        For each shard its clean images, and the outcomes attack by attack, eps rising; they are
        computed when they are read.
    """
    for shard in shards_of(np.arange(len(dataset)), size or SHARD):
        clean = read_clean(engine, dataset, shard.positions)
        yield clean, run_attacks(engine, clean, settings)


def run_attacks(
    engine: Engine, clean: Examples, settings: Sequence[AttackSetting]
) -> Iterator[Outcome]:
    """Attack some images; see `attack_shards`."""
    for setting in settings:
        started = time.perf_counter()
        results = attack_examples(engine, setting, clean)
        seconds = (time.perf_counter() - started) / len(setting.eps)
        for eps, attacked in zip(setting.eps, results, strict=True):
            yield Outcome(engine, clean, setting, eps, attacked, seconds)


def read_images(engine: Engine, images: Tensor, labels: Tensor) -> Reading:
    """Return the predictions of the engine's own model for images, (n, c, h, w)."""
    return read_scores(engine.scores(images), labels, engine.info)


def accuracy_of(right: Tensor) -> dict[str, int | float]:
    """Return n, right and accuracy as columns of a row.

    Args:
        right: (n,), bool.
    """
    return {"n": len(right), "right": int(right.sum()), "accuracy": float(right.double().mean())}
