"""Measures robustness after an epoch with cheap attacks, to show its trend."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from epsball.attacks import fgsm, pgd
from epsball.training.run.directory import TrainRun
from epsball.training.setup.randomness import seeded
from epsball.types import Positions

IMAGES, STEPS = 300, 10


@dataclass(frozen=True)
class Watched:
    """Accuracy on the watch's images: clean, under FGSM with the true label, and under PGD."""

    clean: float
    fgsm: float
    pgd: float


def look(run: TrainRun) -> Watched:
    """Attack the same few hundred images, with the same random starts, as after every epoch.

    Args:
        run: under way; its model in eval mode, with the weights that are to be judged.

    Returns:
        Accuracies. They are those of a few images under a short attack: a curve, no verdict.
    """
    settings, model = run.context.settings, run.context.model
    eps = settings.watch_eps or settings.eps or 0.0
    generator = seeded(settings.seed, 0, "watch", run.placement.device)
    right, count = torch.zeros(3, dtype=torch.int64), 0
    for images, labels in _images(run):
        with run.placement.autocast():
            points = (
                images,
                fgsm(model, images, labels, eps=eps, norm=settings.norm),
                pgd(
                    model,
                    images,
                    labels,
                    eps=eps,
                    norm=settings.norm,
                    steps=STEPS,
                    generator=generator,
                ),
            )
            right += torch.stack([_right(model, point, labels) for point in points]).cpu()
        count += len(labels)
    return Watched(*(right.double() / count).tolist())


def watched_rows(validation_rows: Positions, train_rows: Positions) -> Positions:
    """Choose the images of the watch: held-out ones, evenly spread; training ones without."""
    rows = validation_rows if len(validation_rows) else train_rows
    chosen = np.linspace(0, len(rows) - 1, min(len(rows), IMAGES), dtype=np.int64)
    return rows[chosen]


def _images(run: TrainRun) -> Iterator[tuple[Tensor, Tensor]]:
    feed = run.context.feed
    rows = watched_rows(feed.validation_rows, feed.train_rows)
    return feed.batches(rows, run.context.settings.batch_size, run.placement)


def _right(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    with torch.no_grad():
        right: Tensor = (model(images).argmax(1) == labels).sum()
    return right
