"""Settings that suit a model, for a command without flags. Imports no torch."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from epsball.training.setup.settings import TrainSettings


@dataclass(frozen=True)
class Defaults:
    """What is proposed for one model.

    Args:
        settings: values that differ from those of `TrainSettings`.
        epochs: passes over a data set of the usual size.
        updates: steps to take at least: a small data set gets more epochs.
        recipes: what other recipes want in place of that, by name.
    """

    settings: dict[str, Any]
    epochs: int
    updates: int
    recipes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


_ONE_CYCLE = {"optimizer": "adam", "lr": 2e-3, "schedule": "one-cycle", "batch_size": 128}
# Min-max training underfits where plain training overfits: no dropout, longer, and an eps that
# rises, since at 0.3 a fresh network may otherwise learn to answer one class.
_MIN_MAX = {
    "epochs": 14,
    "attack_steps": 8,
    "ema": 0.998,
    "eps_warmup": 0.2,
    "dropout": 0.0,
    "validation": 0.0,
}

DEFAULTS: dict[str, Defaults] = {
    "base-cnn": Defaults(_ONE_CYCLE, epochs=6, updates=250, recipes={"pgd": _MIN_MAX}),
    "mlp": Defaults({"optimizer": "rmsprop", "lr": 1e-3}, epochs=15, updates=400),
    "vgg-cifar": Defaults(_ONE_CYCLE, epochs=30, updates=400),
}
OTHERS = Defaults(_ONE_CYCLE, epochs=10, updates=400)


def default_settings(
    model: str,
    images: int,
    *,
    by_recipe: bool = True,
    **changes: Any,  # noqa: ANN401 - values of any setting
) -> TrainSettings:
    """Propose settings for a model and a number of training images.

    Args:
        model: as it is asked for, "zoo:base-cnn"; models without an entry share one.
        images: size of the training set, validation share included.
        by_recipe: let the recipe have a say; False: all recipes get the same, to be compared.
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
        >>> default_settings("zoo:base-cnn", 60_000, recipe="pgd", eps=0.3).epochs
        14
    """
    proposed = DEFAULTS.get(model.removeprefix("zoo:"), OTHERS)
    own = proposed.recipes.get(str(changes.get("recipe")), {}) if by_recipe else {}
    settings = TrainSettings(**{**proposed.settings, "epochs": proposed.epochs, **own, **changes})
    if "epochs" in changes:
        return settings
    steps = math.ceil(images * (1 - settings.validation) / settings.batch_size)
    enough = math.ceil(proposed.updates / max(1, steps))
    return settings.changed(epochs=max(settings.epochs, enough))
