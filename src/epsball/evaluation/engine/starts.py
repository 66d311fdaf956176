"""Images to begin with, for attacks that need an adversarial one: clean ones of another class."""

import torch
from torch import Tensor

from epsball.evaluation.engine.examples import Examples


def choose_starts(pool: Examples, examples: Examples) -> Tensor:
    """Choose a start for each image; it depends only on the image, not on its batch.

    Args:
        pool: m clean images, their scores read.
        examples: n images to be attacked.

    Returns:
        (n, c, h, w), an image that is taken for another class than the label, and not rejected;
        where there is none, the image itself.
    """
    predictions = torch.where(pool.reading.rejected, -1, pool.reading.prediction)  # (m,)
    turn = (examples.positions[:, None] + torch.arange(len(predictions))) % len(
        predictions
    )  # (n, m)
    predictions = predictions[turn]
    fools = (predictions >= 0) & (predictions != examples.labels[:, None])
    chosen = turn.gather(1, fools.int().argmax(1, keepdim=True))[:, 0]
    any_fools = fools.any(1)[:, None, None, None]
    return torch.where(any_fools, pool.images[chosen], examples.images)
