"""What every entry of RECIPES must keep to; a new recipe is tested on arrival."""

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from epsball.errors import InvalidInput
from epsball.training import RECIPES, TrainResult, TrainSettings, fresh_weights, train
from epsball.training.recipes.table import recipe_of, recipe_settings
from epsball.training.setup.feeding import batch_count
from epsball.types import Dataset

Build = Callable[[], nn.Module]
STEPS = 3
EPOCHS = 4
# gradient evaluations: (of a training image, of a held-out one), each epoch
COST = {
    "standard": (1, 0),
    "fgsm-mix": (3, 1),
    "iterative-mix": (2 + STEPS, STEPS),
    "pgd": (1 + STEPS, STEPS),
    "fast": (2, 1),
    "free": (1, 1),
    "trades": (2 + STEPS, STEPS),
    "logit-pairing": (2 + STEPS, STEPS),
    "mart": (2 + STEPS, STEPS),
    "gradient-penalty": (2, 1),
    "ensemble": (3, 1),
    "generator": (3, 1),
    "offline": (1, 0),
    "two-step": (1, 0),
}
TRAIN_MODE_PASSES = {
    "fgsm-mix": 2,
    "iterative-mix": 2,
    "trades": 2,
    "logit-pairing": 2,
    "mart": 2,
    "ensemble": 2,
    "generator": 2,
}
every_recipe = pytest.mark.parametrize("name", RECIPES)


def settings_of(name: str, **changes: Any) -> TrainSettings:
    """Settings of a recipe, quick and small."""
    recipe = RECIPES[name]
    own = {"eps": 0.05, "attack_steps": STEPS, "replays": 2, "reference": "random"}
    chosen = {key: value for key, value in own.items() if key in recipe.parameters}
    quick = {
        "epochs": EPOCHS,
        "batch_size": 20,
        "lr": 0.01,
        "validation": 0.2,
        "precision": "float32",
    }
    return TrainSettings(**{"recipe": name, **quick, **chosen, **changes})


def other(classes: int = 10) -> nn.Module:
    with fresh_weights(8):
        return nn.Sequential(nn.Flatten(), nn.Linear(64, classes))


def run(
    settings: TrainSettings, data: Dataset, model: nn.Module, out: Path, **more: Any
) -> TrainResult:
    sources = [other(len(data.class_names))] if RECIPES[settings.recipe].sources[0] else []
    return train(model, data, settings, out=out, sources=sources, **more)


class StopHere(Exception):
    pass


def stop_in(epoch: int, after: int) -> Callable[..., None]:
    """Stop in the middle of an epoch, of whichever training comes after so many epochs' ends."""
    ends = 0

    def progress(now: int, batch: int, batches: int, metrics: Mapping[str, float]) -> None:
        nonlocal ends
        ends += batch == batches
        if now == epoch and batch < batches and ends >= after:
            raise StopHere

    return progress


@every_recipe
def test_it_learns_at_the_counted_cost_and_leaves_the_callers_randomness_alone(
    name: str, dataset: Dataset, build: Build, tmp_path: Path
) -> None:
    states = torch.get_rng_state(), random.getstate()
    model = build()
    result = run(settings_of(name), dataset, model, tmp_path)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    accuracy = result.best.validation_accuracy
    assert accuracy is not None
    assert accuracy > 0.6  # chance is 0.1
    assert not any(module.training for module in model.modules())
    assert not model._forward_hooks
    assert all(value.isfinite().all() for value in load_file(result.weights).values())
    watched = 40 * (1 + 10)  # FGSM and PGD-10 on every held-out image
    for_training, for_validation = COST[name]
    expected = (160 + result.preparation.added) * for_training + 40 * for_validation
    if "eps" in RECIPES[name].parameters:
        expected += watched
    assert [row.gradient_evaluations for row in result.epochs] == [expected] * EPOCHS
    source = EPOCHS * 160 + 160 * STEPS if RECIPES[name].made_once else 0
    assert result.preparation.gradient_evaluations == source
    assert result.gradient_evaluations == EPOCHS * expected + source


@every_recipe
def test_stopped_in_mid_epoch_it_continues_to_the_same_weights(
    name: str, dataset: Dataset, build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("epsball.training.run.epochs._PULSE", 3)  # an epoch has 8 batches
    settings = settings_of(name, epochs=2, awp=0.01, ema=0.9, watch_every=0)
    before = 2 if RECIPES[name].made_once else 0  # epochs of the source model
    stopping = stop_in(2, before + 1)
    with pytest.raises(StopHere):
        run(settings, dataset, build(), tmp_path / "a", progress=stopping)
    assert not (tmp_path / "a" / "model.safetensors").exists()
    continued = run(settings, dataset, build(), tmp_path / "a")
    whole = run(settings, dataset, build(), tmp_path / "b")
    first, second = load_file(continued.weights), load_file(whole.weights)
    assert all(torch.equal(first[key], second[key]) for key in second)
    for one, two in zip(continued.epochs, whole.epochs, strict=True):
        assert replace(one, seconds=0) == replace(two, seconds=0)
    assert replace(continued.preparation, seconds=0) == replace(whole.preparation, seconds=0)


@every_recipe
def test_batch_norm_sees_no_attack(
    name: str, dataset: Dataset, build: Build, tmp_path: Path
) -> None:
    """Only the passes of the loss, in train mode, move the running statistics."""
    model = build()
    result = run(settings_of(name, epochs=1, awp=0.01, watch_every=0), dataset, model, tmp_path)
    steps = batch_count(160 + result.preparation.added, 20)
    sourced = 8 if name == "two-step" else 0  # it begins at weights that have seen one epoch
    seen = int(model.state_dict()["1.num_batches_tracked"]) - sourced
    assert seen == steps * TRAIN_MODE_PASSES.get(name, 1)


@every_recipe
def test_it_refuses_what_it_would_ignore(name: str) -> None:
    changed = {"eps": 0.1, "norm": "l2", "reference": "random", "gradient_norm": "l1"}
    changed |= {"attack_steps": 2, "replays": 2, "generator_width": 3, "class_weights": "balanced"}
    assert recipe_of(settings_of(name)) is RECIPES[name]
    for setting in recipe_settings() - set(RECIPES[name].parameters):
        value = changed.get(setting, 0.125)
        with pytest.raises(InvalidInput, match=f"does not use {setting}, got"):
            recipe_of(settings_of(name, **{setting: value}))


@every_recipe
def test_it_runs_in_bfloat16_with_two_classes(name: str, dataset: Dataset, tmp_path: Path) -> None:
    with fresh_weights(1):
        model = nn.Sequential(
            nn.Conv2d(1, 4, 3),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(36, 2),
        )
    data = replace(dataset, labels=dataset.labels % 2, class_names=("even", "odd"))
    settings = settings_of(name, precision="bfloat16", lr=0.02, watch_every=0)
    result = run(settings, data, model, tmp_path)
    assert result.best.validation_accuracy is not None
    assert result.best.validation_accuracy > 0.6
