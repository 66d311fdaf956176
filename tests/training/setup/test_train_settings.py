"""What may be asked of a training run, and what is proposed."""

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epsball.errors import InvalidInput
from epsball.training import RECIPES, TrainSettings, default_settings
from epsball.training.recipes.table import recipe_of


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"alpha": 1.01}, "alpha"),
        ({"alpha": -0.01}, "alpha"),
        ({"alpha": float("nan")}, "alpha"),
        ({"eps": -0.1}, "eps"),
        ({"eps": 8}, "eps"),
        ({"l1": -1e-9}, "l1"),
        ({"label_smoothing": 1.0}, "label_smoothing"),
        ({"epochs": 0}, "epochs"),
        ({"batch_size": 0}, "batch_size"),
        ({"lr": 0}, "lr"),
        ({"momentum": 1.0}, "momentum"),
        ({"validation": 1.0}, "validation"),
        ({"patience": 0}, "patience"),
        ({"optimizer": "lion"}, "optimizer"),
        ({"schedule": "steps"}, "schedule"),
        ({"reference": "given"}, "reference"),
        ({"precision": "float16"}, "precision"),
        ({"learning_rate": 0.1}, "learning_rate"),
    ],
)
def test_a_value_out_of_its_range_is_one_line_that_names_it(
    values: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidInput) as error:
        TrainSettings(**values)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_changes_are_checked_too() -> None:
    with pytest.raises(InvalidInput, match="alpha"):
        TrainSettings().changed(alpha=2)


def test_settings_survive_being_written_down() -> None:
    settings = TrainSettings(recipe="fgsm-mix", eps=8 / 255, patience=3, lr=1e-4, decay=1e-6)
    assert TrainSettings(**settings.model_dump(mode="json")) == settings


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"recipe": "fgsm-mx"}, "did you mean 'fgsm-mix'"),
        ({"recipe": "fgsm-mix"}, "needs eps"),
        ({"eps": 0.1}, "does not use eps"),
        ({"alpha": 0.3}, "take fgsm-mix"),
        ({"reference": "random"}, "does not use reference"),
    ],
)
def test_settings_that_do_not_suit_the_recipe_are_refused(
    values: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidInput, match=said):
        recipe_of(TrainSettings(**values))


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_describes_itself(name: str) -> None:
    recipe = RECIPES[name]
    assert recipe.description
    assert recipe.source
    assert set(recipe.required) <= set(recipe.parameters) <= set(TrainSettings.model_fields)


@given(dataset=st.integers(1, 100_000), batch_size=st.integers(1, 512))
def test_a_small_set_gets_more_epochs_but_no_fewer_steps(dataset: int, batch_size: int) -> None:
    settings = default_settings("zoo:base-cnn", dataset, batch_size=batch_size)
    trained_on = dataset * (1 - settings.validation)
    assert settings.epochs * max(1, trained_on / batch_size + 1) >= 250
    assert default_settings("zoo:base-cnn", 60_000).epochs <= settings.epochs or dataset > 60_000


def test_what_the_caller_says_wins_over_what_is_proposed() -> None:
    settings = default_settings("zoo:mlp", 1_000, epochs=2, optimizer="sgd", lr=0.5)
    assert (settings.epochs, settings.optimizer, settings.lr) == (2, "sgd", 0.5)


def test_a_recipe_has_a_say_unless_recipes_are_compared() -> None:
    plain = default_settings("zoo:base-cnn", 60_000)
    hardened = default_settings("zoo:base-cnn", 60_000, recipe="pgd", eps=0.3, lr=0.01)
    assert hardened.epochs > plain.epochs
    assert (hardened.dropout, hardened.lr) == (0.0, 0.01)
    alike = default_settings("zoo:base-cnn", 60_000, by_recipe=False, recipe="pgd", eps=0.3)
    assert alike == plain.changed(recipe="pgd", eps=0.3)


def test_settings_and_defaults_need_no_torch() -> None:
    code = (
        "import sys; from epsball.training import TrainSettings, default_settings; "
        "default_settings('zoo:mlp', 100); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
