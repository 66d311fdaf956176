"""`epsball train`: every setting is an option; what it prints and leaves."""

import inspect
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from epsball import audit
from epsball.cli import main
from epsball.cli.commands.train import train
from epsball.cli.console.train_options import SHARED, given
from epsball.errors import InvalidInput
from epsball.training import TrainSettings


def epsball(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["epsball", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    code = stopped.value.code
    return code if isinstance(code, int) else 0


def test_every_setting_is_an_option_of_its_type_with_its_help() -> None:
    options = inspect.signature(train).parameters
    for name, field in TrainSettings.model_fields.items():
        if name in SHARED:
            continue
        kind, declared = (
            options[name].annotation.__origin__,
            options[name].annotation.__metadata__[0],
        )
        assert declared.help == field.description, name
        assert len(field.description or "") > 10, name
        value = {"eps": "8/255", "step_size": "2/255", "watch_eps": "1/255", "milestones": "0.5"}
        if name in value:
            assert kind == str | None
        elif field.default is not None and field.default is not False:
            assert kind == type(field.default) | None, name
    assert options["patience"].annotation.__origin__ == int | None
    assert options["dropout"].annotation.__origin__ == float | None
    assert options["stop_at_collapse"].annotation.__origin__ is bool


def test_what_is_typed_is_read_and_what_is_not_is_left_out() -> None:
    typed: dict[str, Any] = dict.fromkeys(TrainSettings.model_fields) | {"stop_at_collapse": False}
    assert given(typed) == {}
    typed |= {"eps": "8/255", "step_size": "2/255", "milestones": "0.5, 0.9", "awp": 0.0}
    assert given(typed) == {
        "eps": 8 / 255,
        "step_size": 2 / 255,
        "milestones": (0.5, 0.9),
        "awp": 0.0,
    }
    with pytest.raises(InvalidInput, match="--milestones must be numbers"):
        given({"milestones": "half"})


def test_a_hardened_model_its_cost_and_its_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["train", "zoo:mlp", "--data", "digits", "--epochs", "1", "--batch-size", "64"]
    hardened = ["--recipe", "trades", "--eps", "0.1", "--attack-steps", "2", "--awp", "0.005"]
    assert epsball(monkeypatch, *command, *hardened, "--ema", "0.9", "--out", "run") == 0
    printed = capsys.readouterr()
    assert "weights: run/model.safetensors (epoch 1)" in printed.out
    assert "gradient evaluations" in printed.out
    assert "under pgd-10" in printed.err
    assert "report: run/training.html" in printed.out
    page = (tmp_path / "run" / "training.html").read_text(encoding="utf-8")
    assert "recipe trades" in page
    content = json.loads((tmp_path / "run" / "training.json").read_text())["settings"]
    assert (content["awp"], content["ema"], content["attack_steps"]) == (0.005, 0.9, 2)
    stamp = (tmp_path / "run" / "training.html").read_bytes()
    assert epsball(monkeypatch, "report", "run") == 0
    assert (tmp_path / "run" / "training.html").read_bytes() == stamp


def test_a_source_is_named_with_its_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["train", "zoo:mlp", "--data", "digits", "--epochs", "1", "--batch-size", "64"]
    assert epsball(monkeypatch, *command, "--out", "plain") == 0
    options = [*command, "--recipe", "ensemble", "--eps", "0.1", "--watch-every", "0"]
    source = ["--source", "zoo:mlp=plain/model.safetensors"]
    assert epsball(monkeypatch, *options, *source, "--out", "run") == 0
    content = json.loads((tmp_path / "run" / "training.json").read_text())
    assert list(content["sources"]) == ["1 (Mlp)"]
    capsys.readouterr()
    assert epsball(monkeypatch, *options, "--out", "other") == 2
    assert "makes examples on source models, got none" in capsys.readouterr().err
    assert epsball(monkeypatch, *options, "--source", "zoo:mlp=none.st", "--out", "other") == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "other").exists()


def test_no_accuracy_is_printed_for_images_that_were_trained_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    drawn = np.random.default_rng(0)
    images = drawn.integers(0, 256, (60, 28, 28), dtype=np.uint8)
    labels = np.arange(60) % 3
    np.savez("whole.npz", images=images, labels=labels)
    command = ["train", "zoo:mlp", "--epochs", "1", "--batch-size", "16"]
    assert epsball(monkeypatch, *command, "--data", "npz:whole.npz", "--out", "whole") == 0
    printed = capsys.readouterr().out
    assert "clean accuracy: not measured, npz:whole.npz is not split" in printed
    assert "%" not in printed
    assert epsball(monkeypatch, *command, "--data", "digits", "--out", "digits") == 0
    assert re.search(r"clean accuracy on the test images: \d+\.\d\d% \(", capsys.readouterr().out)


def test_test_images_that_were_trained_on_are_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Noise with labels by chance: what was trained on is known by heart, the rest guessed."""
    monkeypatch.chdir(tmp_path)
    drawn = np.random.default_rng(0)
    images = drawn.integers(0, 256, (90, 28, 28), dtype=np.uint8)
    labels = drawn.integers(0, 3, 90)
    train_part: dict[str, Any] = {"train_images": images[:60], "train_labels": labels[:60]}
    test = np.arange(30, 90)
    np.savez("half.npz", **train_part, test_images=images[test], test_labels=labels[test])
    turned = np.arange(60)[::-1]
    np.savez("all.npz", **train_part, test_images=images[turned], test_labels=labels[turned])
    command = ["train", "zoo:mlp", "--epochs", "25", "--validation", "0", "--batch-size", "16"]
    assert epsball(monkeypatch, *command, "--data", "npz:half.npz", "--out", "half") == 0
    printed = capsys.readouterr().out
    assert "30 images; 30 that are among the training images are left out)" in printed
    assert float(re.findall(r"test images: ([\d.]+)%", printed)[0]) < 70
    assert epsball(monkeypatch, *command, "--data", "npz:all.npz", "--out", "all") == 0
    assert "clean accuracy: not measured, all test images" in capsys.readouterr().out


def test_a_model_that_names_its_classes_learns_them_under_its_own_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(
        "from torch import nn\nclass Net(nn.Sequential):\n    class_names = ('light', 'dark')\n"
        "def build():\n    return Net(nn.Flatten(), nn.Linear(16, 2))\n"
    )
    for split in ("train", "test"):
        for name, level in (("dark", 40), ("light", 200)):
            folder = Path("data", split, name)
            folder.mkdir(parents=True)
            for number in range(8):
                pixels = np.full((4, 4), level + number + 9 * (split == "test"), np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    command = ["train", "mine.py:build", "--data", "folder:data", "--lr", "0.05", "--epochs", "30"]
    assert epsball(monkeypatch, *command, "--validation", "0", "--out", "run") == 0
    assert "clean accuracy on the test images: 100.00%" in capsys.readouterr().out
    report = audit(
        "mine.py:build", "folder:data", weights="run/model.safetensors", attacks="fgsm", eps=0.001
    )
    assert report.summary["clean"]["accuracy"] == 1
