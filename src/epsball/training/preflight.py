"""What is checked before the first step, so that a mistake costs seconds and not an epoch."""

import numpy as np
import torch
from torch import Tensor, nn

from epsball.data import to_unit
from epsball.errors import InvalidInput
from epsball.models import probe
from epsball.training.feeding import Feed
from epsball.training.modes import evaluating
from epsball.types import ModelInfo

_SHOWN = 8  # pictures
_TRAINABLE = ("logits", "log-probabilities")  # cross-entropy is the same for both


def check_fit(model: nn.Module, feed: Feed) -> Tensor:
    """Check that the model takes these pictures and can name these labels.

    Args:
        model: shown a few pictures, in eval mode, where it is.
        feed: the training pictures.

    Returns:
        Those few pictures, (m, c, h, w) in [0, 1].

    Raises:
        InvalidInput: the model has nothing to train, gives no logits, rejects, or names fewer
            classes than the labels.
        BrokenContract: the model does not take the pictures, or gives no scores (n, k).
    """
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    if not weights:
        raise InvalidInput(
            f"train: {type(model).__name__} has no parameter that wants a gradient, so there is "
            "nothing to train; unfreeze some with requires_grad_()"
        )
    sample = to_unit(feed.pixels(np.arange(min(_SHOWN, len(feed.dataset)))))
    with evaluating(model), torch.no_grad():
        info = probe(model, sample.to(weights[0].device))
    _check_scores(info)
    _check_labels(feed.dataset.labels, info.classes, feed.dataset.name)
    return sample


def _check_scores(info: ModelInfo) -> None:
    if info.gives not in _TRAINABLE:
        raise InvalidInput(
            f"train: the model gives {info.gives}, and training needs logits; leave what turns "
            "logits into them (a softmax, an argmax) out of its end"
        )
    if info.rejects:
        raise InvalidInput(
            "train: the model has a column that means reject, which no label names; train the "
            "network inside it, then fit the defence"
        )


def _check_labels(labels: np.ndarray, classes: int, name: str) -> None:
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise InvalidInput(
            f"train: labels must lie in [0, {classes - 1}] for a model of {classes} classes, but "
            f"{name!r} has labels from {low} to {high}; build the model with {high + 1} classes"
        )
