"""A loss or a weight that is no number: stop, keep the last good checkpoint, say why."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from epsball.errors import BrokenContract
from epsball.training import TrainSettings, train
from epsball.types import Dataset

Build = Callable[[], nn.Module]
QUICK = TrainSettings(epochs=3, batch_size=20, lr=0.01, validation=0.2)


def manifest(out: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((out / "training.json").read_text())
    return content


def test_a_loss_that_is_no_number_stops_training_and_keeps_the_last_good_checkpoint(
    dataset: Dataset, build: Build, tmp_path: Path
) -> None:
    model = build()

    def poison(epoch: int, batch: int, batches: int, metrics: Mapping[str, float]) -> None:
        if (epoch, batch) == (3, 20):
            with torch.no_grad():
                next(model.parameters()).fill_(float("nan"))

    settings = QUICK.changed(batch_size=4, validation=0)
    good = train(build(), dataset, settings.changed(epochs=2), out=tmp_path / "good")
    with pytest.raises(BrokenContract, match=r"epoch 3: the loss is nan.*learning rate 0\.01"):
        train(model, dataset, settings.changed(epochs=5), out=tmp_path / "bad", progress=poison)
    assert [row["epoch"] for row in manifest(tmp_path / "bad")["epochs"]] == [1, 2]
    kept, stored = load_file(tmp_path / "bad" / "checkpoint.safetensors"), load_file(good.weights)
    for name, value in model.state_dict().items():
        assert torch.equal(value, stored[name])
        assert torch.equal(kept[f"model.{name}"], stored[name])


def test_a_weight_broken_by_the_last_update_of_an_epoch_is_not_written_down(
    dataset: Dataset, build: Build, tmp_path: Path
) -> None:
    """One batch an epoch: the loss is taken before the update, and is still finite."""
    model = build()
    model[6].bias.register_hook(lambda gradient: gradient * float("nan"))  # type: ignore[index]  # a Linear
    settings = QUICK.changed(batch_size=200, validation=0)
    with pytest.raises(BrokenContract, match="epoch 1: a weight is no longer a finite number"):
        train(model, dataset, settings, out=tmp_path)
    kept = load_file(tmp_path / "checkpoint.safetensors")
    assert all(value.isfinite().all() for value in kept.values())


def test_a_learning_rate_that_is_far_too_high_is_named(
    dataset: Dataset, build: Build, tmp_path: Path
) -> None:
    settings = QUICK.changed(optimizer="sgd", lr=1e30, precision="float32")
    with pytest.raises(BrokenContract, match=r"epoch 1.*1e\+30 is too high for sgd.*another --out"):
        train(build(), dataset, settings, out=tmp_path)


def test_a_large_weight_of_the_second_term_is_named_beside_the_learning_rate(
    dataset: Dataset, build: Build, tmp_path: Path
) -> None:
    settings = QUICK.changed(
        recipe="trades",
        eps=0.1,
        beta=1e30,
        attack_steps=1,
        optimizer="sgd",
        lr=1e15,
        precision="float32",
    )
    said = r"epoch 1.*learning rate 1e\+15 is too high for sgd or beta 1e\+30 is too large.*beta=1e"
    with pytest.raises(BrokenContract, match=said):
        train(build(), dataset, settings, out=tmp_path)
