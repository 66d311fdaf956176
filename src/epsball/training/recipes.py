"""The table of recipes. A recipe is one function that says what loss a step goes down.

The trainer does the rest, the same for all: order, optimizer, schedule, checkpoints, resume.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn

from epsball.errors import InvalidInput, unknown_name
from epsball.training.adversarial import pgd_step
from epsball.training.fgsm_mix import fgsm_mix_step
from epsball.training.settings import TrainSettings
from epsball.training.standard import standard_step

# (model, images (n, c, h, w), labels (n,), settings, generator) -> scalar loss
RecipeStep: TypeAlias = Callable[
    [nn.Module, Tensor, Tensor, TrainSettings, torch.Generator | None], Tensor
]


@dataclass(frozen=True)
class RecipeSpec:
    """One way of training.

    Args:
        step: the loss of a batch.
        description: what it does, in one line.
        source: where it comes from.
        parameters: the settings that only some recipes read and this one does; another recipe's
            may not be set, because it would be ignored in silence.
        required: those of them that have no sensible default.
    """

    step: RecipeStep
    description: str
    source: str
    parameters: tuple[str, ...]
    required: tuple[str, ...] = ()


_PENALTIES = ("l1", "l2", "label_smoothing")

RECIPES: Mapping[str, RecipeSpec] = {
    "standard": RecipeSpec(
        standard_step,
        description="clean pictures only; cross-entropy, with L1 and L2 penalties if asked for",
        source="Limaye, Tirupari and Rangan, Red team, blue team",
        parameters=_PENALTIES,
    ),
    "fgsm-mix": RecipeSpec(
        fgsm_mix_step,
        description="clean pictures and fresh FGSM examples of them in every step",
        source="Goodfellow et al. 2015, arXiv:1412.6572, section 6",
        parameters=("alpha", "eps", "reference", *_PENALTIES),
        required=("eps",),
    ),
    "pgd": RecipeSpec(
        pgd_step,
        description="the worst pictures that several steps find within eps, and nothing else",
        source="Madry et al. 2018, arXiv:1706.06083, section 2.1",
        parameters=("eps", "attack_steps", *_PENALTIES),
        required=("eps",),
    ),
}


def recipe_of(settings: TrainSettings) -> RecipeSpec:
    """Return the recipe that the settings name, after checking that they suit it.

    Args:
        settings: what was asked for.

    Returns:
        The table's entry.

    Raises:
        InvalidInput: no such recipe, a required setting is missing, or a setting was given that
            this recipe would ignore.

    Example:
        >>> recipe_of(TrainSettings(recipe="fgsm-mix"))
        Traceback (most recent call last):
        epsball.errors.InvalidInput: train: recipe 'fgsm-mix' needs eps, got none; give eps
    """
    if settings.recipe not in RECIPES:
        raise unknown_name("recipe", settings.recipe, RECIPES)
    recipe = RECIPES[settings.recipe]
    for name in recipe.required:
        if getattr(settings, name) is None:
            raise InvalidInput(
                f"train: recipe {settings.recipe!r} needs {name}, got none; give {name}"
            )
    for name in _recipe_settings() - set(recipe.parameters):
        value = getattr(settings, name)
        if value != TrainSettings.model_fields[name].default:
            raise InvalidInput(
                f"train: recipe {settings.recipe!r} does not use {name}, got {name}={value!r}; "
                f"leave it out or take {' or '.join(_users(name))}"
            )
    return recipe


def _recipe_settings() -> set[str]:
    return {name for recipe in RECIPES.values() for name in recipe.parameters}


def _users(setting: str) -> list[str]:
    return [name for name, recipe in RECIPES.items() if setting in recipe.parameters]
