"""Settings that suit a model, for a command without flags. Imports no torch."""

import math
from dataclasses import dataclass
from typing import Any

from epsball.training.settings import TrainSettings


@dataclass(frozen=True)
class Defaults:
    """What is proposed for one model.

    Args:
        settings: values that differ from those of `TrainSettings`.
        epochs: passes over a data set of the usual size.
        updates: steps to take at least: a small data set gets more epochs.
    """

    settings: dict[str, Any]
    epochs: int
    updates: int


_ONE_CYCLE = {"optimizer": "adam", "lr": 2e-3, "schedule": "one-cycle", "batch_size": 128}

DEFAULTS: dict[str, Defaults] = {
    "base-cnn": Defaults(_ONE_CYCLE, epochs=6, updates=250),
    "mlp": Defaults({"optimizer": "rmsprop", "lr": 1e-3}, epochs=15, updates=400),
    "vgg-cifar": Defaults(_ONE_CYCLE, epochs=30, updates=400),
}
OTHERS = Defaults(_ONE_CYCLE, epochs=10, updates=400)


def default_settings(model: str, pictures: int, **changes: Any) -> TrainSettings:  # noqa: ANN401
    """Propose settings for a model and a number of training pictures.

    Args:
        model: as it is asked for, "zoo:base-cnn"; models without an entry share one.
        pictures: size of the training set, validation share included.
        changes: settings that the caller decides.

    Returns:
        The changes, over what is proposed, over the defaults of `TrainSettings`.

    Raises:
        InvalidInput: a change is out of its range, or no setting.

    Example:
        >>> default_settings("zoo:base-cnn", 60_000).epochs
        6
        >>> default_settings("zoo:base-cnn", 1_438).epochs
        23
    """
    proposed = DEFAULTS.get(model.removeprefix("zoo:"), OTHERS)
    settings = TrainSettings(**{**proposed.settings, **changes})
    if "epochs" in changes:
        return settings
    steps = math.ceil(pictures * (1 - settings.validation) / settings.batch_size)
    enough = math.ceil(proposed.updates / max(1, steps))
    return settings.changed(epochs=max(proposed.epochs, enough))
