"""Training: a table of recipes, one trainer for all, checkpoints that survive a kill.

The names are loaded when they are first asked for, so that importing epsball costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from epsball.training.defaults import default_settings as default_settings
    from epsball.training.history import EpochRow as EpochRow
    from epsball.training.randomness import fresh_weights as fresh_weights
    from epsball.training.recipe import RecipeSpec as RecipeSpec
    from epsball.training.recipes import RECIPES as RECIPES
    from epsball.training.results import Progress as Progress
    from epsball.training.results import TrainResult as TrainResult
    from epsball.training.settings import TrainSettings as TrainSettings
    from epsball.training.trainer import train as train

_HOME = {
    "EpochRow": "history",
    "Progress": "results",
    "RECIPES": "recipes",
    "RecipeSpec": "recipe",
    "TrainResult": "results",
    "TrainSettings": "settings",
    "default_settings": "defaults",
    "fresh_weights": "randomness",
    "train": "trainer",
}

__all__ = [
    "EpochRow",
    "Progress",
    "RECIPES",
    "RecipeSpec",
    "TrainResult",
    "TrainSettings",
    "default_settings",
    "fresh_weights",
    "train",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - the names have as many types
    """Load a public name from its file."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value
