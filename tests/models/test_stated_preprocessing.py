"""The preprocessing that a network was trained behind stands in the file of its weights."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tests.models.fakes import Refusal

from epsball import audit
from epsball.cli import main
from epsball.models import Pipeline, load_model
from epsball.models.metadata import METADATA_KEY


def _train(monkeypatch: pytest.MonkeyPatch, out: Path, *options: str) -> Path:
    arguments = ["train", "zoo:mlp", "--data", "digits", "--out", str(out), "--epochs", "1"]
    monkeypatch.setattr(sys, "argv", ["epsball", *arguments, *options])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code in (0, None)
    return out / "model.safetensors"


def _scale(model: Any) -> tuple[list[float], list[float]]:
    assert isinstance(model, Pipeline)
    return model.preprocess.mean.flatten().tolist(), model.preprocess.std.flatten().tolist()


def test_weights_that_train_writes_carry_their_scaling(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    weights = _train(monkeypatch, tmp_path / "run", "--mean", "0.25", "--std", "0.125")
    loaded = load_model("zoo:mlp", weights=weights)
    assert _scale(loaded.model) == ([0.25], [0.125])
    given = load_model("zoo:mlp", weights=weights, mean=(0.25,), std=(0.125,))
    images = torch.rand(3, 1, 28, 28)
    assert torch.equal(loaded.model(images), given.model(images))
    report = audit("zoo:mlp", "digits", weights=weights, attacks=["noise"], eps=[0.01], limit=50)
    assert "other-scaling" not in {finding.code for finding in report.findings}


def test_what_is_given_wins_and_plain_weights_state_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    weights = _train(monkeypatch, tmp_path / "run", "--mean", "0.25")
    other = load_model("zoo:mlp", weights=weights, mean=(0.5,), std=(0.5,))
    assert _scale(other.model) == ([0.5], [0.5])
    plain = _train(monkeypatch, tmp_path / "plain")
    assert not isinstance(load_model("zoo:mlp", weights=plain).model, Pipeline)


@pytest.mark.parametrize("text", ["{", '{"mean": [2.0]}', '{"gamma": 1}'])
def test_a_statement_that_cannot_be_read_is_refused(
    text: str, tmp_path: Path, refusal: Refusal
) -> None:
    net = load_model("zoo:mlp", require_weights=False).model
    assert isinstance(net, torch.nn.Module)
    save_file(net.state_dict(), tmp_path / "w.safetensors", metadata={METADATA_KEY: text})
    message = refusal(lambda: load_model("zoo:mlp", weights=tmp_path / "w.safetensors"))
    assert "give --mean and --std" in message
    load_model("zoo:mlp", weights=tmp_path / "w.safetensors", mean=(0.5,), std=(0.5,))
