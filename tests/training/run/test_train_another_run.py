"""Only the same run is ever continued: other settings, data, models and sources are refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.training.stopping import QUICK, Build, StopHere, begun, equal, stop_at, weights
from torch import Tensor, nn

from epsball.errors import InvalidInput
from epsball.training import train
from epsball.types import Dataset


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"lr": 0.02}, r"lr \(0\.01 there, 0\.02 here\)"),
        ({"epochs": 9}, r"epochs \(4 there, 9 here\)"),
        ({"recipe": "fgsm-mix", "eps": 0.1}, r"recipe \(standard there, fgsm-mix here\)"),
    ],
)
def test_other_settings_are_refused(
    changes: dict[str, Any], said: str, dataset: Dataset, build: Build, tmp_path: Path
) -> None:
    begun(dataset, build, tmp_path)
    with pytest.raises(InvalidInput, match=said) as error:
        train(build(), dataset, QUICK.changed(**changes), out=tmp_path)
    assert "another --out" in str(error.value)


def test_a_run_from_before_a_setting_existed_continues(
    dataset: Dataset, build: Build, tmp_path: Path
) -> None:
    """What it was begun with is the setting's default; another value is another run."""
    begun(dataset, build, tmp_path)
    file = tmp_path / "training.json"
    content = json.loads(file.read_text())
    for name in ("awp", "milestones", "watch_every"):
        del content["settings"][name]
    for name in ("sources", "notes", "preparation", "idle"):
        del content[name]
    for row in content["epochs"]:
        for name in ("watched_accuracy", "fgsm_accuracy", "pgd_accuracy"):
            del row[name]
    file.write_text(json.dumps(content))
    with pytest.raises(InvalidInput, match=r"awp \(0\.0 there, 0\.1 here\)"):
        train(build(), dataset, QUICK.changed(awp=0.1), out=tmp_path)
    train(build(), dataset, QUICK, out=tmp_path)
    train(build(), dataset, QUICK, out=tmp_path / "whole")
    assert equal(weights(tmp_path), weights(tmp_path / "whole"))


def test_another_source_is_refused(dataset: Dataset, build: Build, tmp_path: Path) -> None:
    settings = QUICK.changed(recipe="ensemble", eps=0.1)
    first, second = build(), build()
    nn.init.zeros_(next(second.parameters()))
    with pytest.raises(StopHere):
        train(build(), dataset, settings, out=tmp_path, sources=[first], progress=stop_at(1, 8))
    with pytest.raises(InvalidInput, match=r"sources\.1 \(Sequential\)"):
        train(build(), dataset, settings, out=tmp_path, sources=[second])
    with pytest.raises(InvalidInput, match=r"sources\.2 \(Sequential\) \(None there"):
        train(build(), dataset, settings, out=tmp_path, sources=[first, first])


def test_other_data_are_refused(dataset: Dataset, build: Build, tmp_path: Path) -> None:
    begun(dataset, build, tmp_path)
    labels = dataset.labels.copy()
    labels[0] = 9 - labels[0]
    with pytest.raises(InvalidInput, match="data.content"):
        train(build(), replace(dataset, labels=labels), QUICK, out=tmp_path)


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Flatten(), nn.Dropout(0.1), nn.Linear(64, 10)),
        nn.Sequential(nn.Flatten(), nn.Dropout(0.2), nn.Linear(64, 11)),
    ],
    ids=["dropout", "width"],
)
def test_another_architecture_is_refused(
    model: nn.Module, dataset: Dataset, tmp_path: Path
) -> None:
    def build() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Dropout(0.2), nn.Linear(64, 10))

    begun(dataset, build, tmp_path)
    with pytest.raises(InvalidInput, match="model.architecture"):
        train(model, dataset, QUICK, out=tmp_path)


def test_an_unfinished_run_of_another_torch_is_refused(
    dataset: Dataset, build: Build, tmp_path: Path
) -> None:
    begun(dataset, build, tmp_path)
    file = tmp_path / "training.json"
    file.write_text(file.read_text().replace(str(torch.__version__), "1.0.0"))
    with pytest.raises(InvalidInput, match=r"torch \(1\.0\.0 there"):
        train(build(), dataset, QUICK, out=tmp_path)


class Scaled(nn.Module):
    """A linear model of scaled images: the scale is neither a weight nor printed."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.layer, self.scale = nn.Linear(64, 10), scale

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self.layer(self.scale * images.flatten(1))
        return scores


class ScaledTwice(Scaled):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(self.scale * images)


def test_a_model_that_computes_otherwise_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    """Its weights have the same names and shapes, and it prints alike."""
    begun(dataset, lambda: Scaled(0.5), tmp_path)
    ScaledTwice.__name__ = ScaledTwice.__qualname__ = "Scaled"
    for model in (Scaled(2.0), ScaledTwice(0.5)):
        with pytest.raises(InvalidInput, match=r"model\.code"):
            train(model, dataset, QUICK, out=tmp_path)
    file = tmp_path / "training.json"
    manifest = json.loads(file.read_text())
    del manifest["model"]["code"]  # as earlier versions wrote it
    file.write_text(json.dumps(manifest))
    assert len(train(Scaled(0.5), dataset, QUICK, out=tmp_path).epochs) == QUICK.epochs
