"""The table of recipes. A recipe is a loss that a step goes down, and the examples it asks for.

The trainer does the rest, the same for all: order, optimizer, schedule, checkpoints, resume.
"""

from collections.abc import Mapping

from epsball.errors import InvalidInput, unknown_name
from epsball.training.recipes.adversarial import adversarial_loss, pgd_examples
from epsball.training.recipes.agreement import check_agreement
from epsball.training.recipes.ensemble import ensemble_examples
from epsball.training.recipes.fast import fast_examples
from epsball.training.recipes.free import carry_on, free_examples
from epsball.training.recipes.generator.generator import generator_examples
from epsball.training.recipes.gradient_penalty import gradient_penalty_loss
from epsball.training.recipes.logit_pairing import logit_pairing_loss
from epsball.training.recipes.mart import mart_loss
from epsball.training.recipes.mixes import fgsm_examples, iterative_examples, mixed_loss
from epsball.training.recipes.spec import MadeOnce, RecipeSpec
from epsball.training.recipes.standard import standard_loss
from epsball.training.recipes.trades import trades_examples, trades_loss
from epsball.training.setup.settings import TrainSettings

_WEIGHTS = ("l1", "l2")
_PENALTIES = (*_WEIGHTS, "label_smoothing", "class_weights", "logit_adjustment")
_BALL = ("eps", "norm", "eps_warmup")
_WALK = (*_BALL, "attack_steps", "step_size")
_GENERATOR = ("generator_lr", "generator_width", "gan_weight")
_ONCE = ("eps", "norm", "attack_steps", "step_size")

RECIPES: Mapping[str, RecipeSpec] = {
    "standard": RecipeSpec(
        standard_loss,
        description="clean images only; cross-entropy, with L1 and L2 penalties if asked for",
        source="Limaye, Tirupari and Rangan, Red team, blue team",
        parameters=_PENALTIES,
    ),
    "fgsm-mix": RecipeSpec(
        mixed_loss,
        description="clean images and fresh FGSM examples of them in every step",
        source="Goodfellow et al. 2015, arXiv:1412.6572, section 6",
        parameters=("alpha", *_BALL, "reference", *_PENALTIES),
        required=("eps",),
        craft=fgsm_examples,
    ),
    "iterative-mix": RecipeSpec(
        mixed_loss,
        description="clean images and fresh examples of several small steps",
        source="Kurakin et al. 2017, arXiv:1611.01236",
        parameters=("alpha", *_WALK, "reference", *_PENALTIES),
        required=("eps",),
        craft=iterative_examples,
    ),
    "pgd": RecipeSpec(
        adversarial_loss,
        description="the worst images that several steps find within eps, and nothing else",
        source="Madry et al. 2018, arXiv:1706.06083, section 2.1",
        parameters=(*_WALK, *_PENALTIES),
        required=("eps",),
        craft=pgd_examples,
    ),
    "fast": RecipeSpec(
        adversarial_loss,
        description="one step from a random start, and nothing else; watched, because it may fail",
        source="Wong et al. 2020, arXiv:2001.03994",
        parameters=(*_BALL, "step_size", *_PENALTIES),
        required=("eps",),
        craft=fast_examples,
    ),
    "free": RecipeSpec(
        adversarial_loss,
        description="one gradient moves weights and perturbation; every batch comes replays times",
        source="Shafahi et al. 2019, arXiv:1904.12843",
        parameters=(*_BALL, "replays", *_PENALTIES),
        required=("eps",),
        craft=free_examples,
        judge=fast_examples,
        learned=carry_on,
    ),
    "trades": RecipeSpec(
        trades_loss,
        description="the clean loss, and beta times how much predictions differ within eps",
        source="Zhang et al. 2019, arXiv:1901.08573",
        parameters=(*_WALK, "beta", *_PENALTIES),
        required=("eps",),
        craft=trades_examples,
    ),
    "mart": RecipeSpec(
        mart_loss,
        description="a boosted loss of the worst images; agreement counts most where clean fails",
        source="Wang et al. 2020, ICLR",
        parameters=(*_WALK, "beta", *_WEIGHTS),
        required=("eps",),
        craft=pgd_examples,
    ),
    "logit-pairing": RecipeSpec(
        logit_pairing_loss,
        description="clean images and the worst within eps, whose scores are to be the same",
        source="Kannan et al. 2018, arXiv:1803.06373",
        parameters=("alpha", "beta", *_WALK, *_PENALTIES),
        required=("eps",),
        craft=pgd_examples,
    ),
    "gradient-penalty": RecipeSpec(
        gradient_penalty_loss,
        description="the clean loss, and the size of its gradient with respect to the image",
        source="Ross and Doshi-Velez 2018, arXiv:1711.09404",
        parameters=("gradient_penalty", "gradient_norm", *_PENALTIES),
    ),
    "ensemble": RecipeSpec(
        mixed_loss,
        description="clean images, and FGSM examples made on other models and itself by turns",
        source="Tramer et al. 2018, arXiv:1705.07204",
        parameters=("alpha", *_BALL, "reference", *_PENALTIES),
        required=("eps",),
        craft=ensemble_examples,
        sources=(1, None),
    ),
    "generator": RecipeSpec(
        mixed_loss,
        description="clean images, and examples by one pass of a network that learns to fool",
        source="Xiao et al. 2018, arXiv:1801.02610 (AdvGAN)",
        parameters=("alpha", *_BALL, *_GENERATOR, *_PENALTIES),
        required=("eps",),
        craft=generator_examples,
        judge=fast_examples,
    ),
    "offline": RecipeSpec(
        standard_loss,
        description="examples of all images, made once on a plainly trained model, and added",
        source="Szegedy et al. 2014, arXiv:1312.6199; Goodfellow et al. 2015",
        parameters=(*_ONCE, *_PENALTIES),
        required=("eps",),
        sources=(0, 1),
        made_once=MadeOnce(successes=False, from_source=False),
    ),
    "two-step": RecipeSpec(
        standard_loss,
        description="train, attack, add the examples that fooled it, and train those weights on",
        source="Thanthulage, Neural Rejection and Deep Neural Rejection",
        parameters=(*_ONCE, *_PENALTIES),
        required=("eps",),
        sources=(0, 1),
        made_once=MadeOnce(successes=True, from_source=True),
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
    for name in recipe_settings() - set(recipe.parameters):
        value = getattr(settings, name)
        if value != TrainSettings.model_fields[name].default:
            raise InvalidInput(
                f"train: recipe {settings.recipe!r} does not use {name}, got {name}={value!r}; "
                f"leave it out or take {' or '.join(_users(name))}"
            )
    check_agreement(settings)
    return recipe


def recipe_settings() -> set[str]:
    """Return the names of the settings that only some recipes read."""
    return {name for recipe in RECIPES.values() for name in recipe.parameters}


def _users(setting: str) -> list[str]:
    return [name for name, recipe in RECIPES.items() if setting in recipe.parameters]
