"""What train writes: weights for the user's own module, its name, and more epochs later."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from epsball.errors import InvalidInput
from epsball.models import class_names_of, load_model
from epsball.models.preprocess import Pipeline, Preprocess
from epsball.training import TrainSettings, train
from epsball.types import Dataset
from epsball.workflows.clean import clean_accuracy

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 1, 2, 2)).astype(np.uint8)
LABELS = (PIXELS.reshape(40, -1).mean(1) > 127).astype(np.int64)
DATA = Dataset("dots", LABELS, ("dark", "light"), (1, 2, 2), lambda rows: PIXELS[rows])
QUICK = TrainSettings(epochs=2, batch_size=8, lr=0.05)


class Own(nn.Module):
    """The user's own network."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Linear(4, 2)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.body(inputs.flatten(1))
        return scores


def piped() -> Pipeline:
    return Pipeline(Preprocess(mean=(0.5,), std=(0.25,)), Own())


def test_weights_fit_the_users_own_module(tmp_path: Path) -> None:
    model = piped()
    result = train(model, DATA, QUICK, out=tmp_path / "run")
    own = Own()
    own.load_state_dict(load_file(result.weights))
    assert isinstance(model.model, Own)
    assert torch.equal(own.body.weight, model.model.body.weight)
    assert json.loads((tmp_path / "run" / "training.json").read_text())["model"]["name"] == "Own"
    again = train(piped(), DATA, QUICK, out=tmp_path / "run")
    assert again.epochs == result.epochs


def test_more_epochs_continue_a_finished_run(tmp_path: Path) -> None:
    first = train(piped(), DATA, QUICK, out=tmp_path / "run")
    model = piped()
    more = train(model, DATA, QUICK.changed(epochs=5), out=tmp_path / "run")
    assert more.epochs[:2] == first.epochs
    assert len(more.epochs) == 5
    manifest = json.loads((tmp_path / "run" / "training.json").read_text())
    assert manifest["extended"] == [2]
    assert manifest["finished"]
    assert manifest["settings"]["epochs"] == 5
    with pytest.raises(InvalidInput, match="epochs"):
        train(piped(), DATA, QUICK.changed(epochs=3), out=tmp_path / "run")
    with pytest.raises(InvalidInput, match="lr"):
        train(piped(), DATA, QUICK.changed(epochs=9, lr=0.1), out=tmp_path / "run")


class Named(Own):
    class_names = ("light", "dark")  # the data say dark, light


def test_weights_know_the_classes_that_they_were_trained_on(tmp_path: Path) -> None:
    result = train(Own(), DATA, QUICK, out=tmp_path / "run")
    loaded = load_model(f"{__name__}:Own", weights=result.weights)
    assert class_names_of(loaded.model) == DATA.class_names
    turned = replace(DATA, labels=1 - DATA.labels, class_names=("Light", "DARK"), order="names")
    accuracy, other = (
        clean_accuracy(f"{__name__}:Own", data, weights=result.weights)[0]
        for data in (DATA, turned)
    )
    assert accuracy == other
    assert accuracy > 0.5
    kept = load_model(f"{__name__}:Named", weights=result.weights)
    assert class_names_of(kept.model) == Named.class_names  # the model's own win


def test_labels_in_another_order_than_the_models_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="'dark' as class 0, and the model's own names have it"):
        train(Named(), DATA, QUICK, out=tmp_path / "run")
    turned = replace(DATA, labels=1 - DATA.labels, class_names=("light", "dark"))
    assert train(Named(), turned, QUICK, out=tmp_path / "run").epochs
