"""`epsball layers` and `epsball defend`, and what they leave under every other command."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from epsball.cli import main
from epsball.data import load_data
from epsball.errors import InvalidInput
from epsball.workflows.defend import defend, parse_defence
from epsball.workflows.worth import machine_facts, worth_of

# four classes: which quarter of an image is bright
MODEL = """
import torch
from torch import nn

def quarters():
    first, second = nn.Linear(4, 4), nn.Linear(4, 4)
    for layer in (first, second):
        layer.weight = nn.Parameter(4 * torch.eye(4))
        layer.bias = nn.Parameter(torch.zeros(4))
    return nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), first, nn.ReLU(), second).eval()

def turned():
    model = quarters()
    with torch.no_grad():
        model[4].weight.mul_(0.5)
    return model
"""


def epsball(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["epsball", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    code = stopped.value.code
    return code if isinstance(code, int) else 0


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a model and images that it tells apart."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(MODEL)
    drawn, labels = np.random.default_rng(0), np.arange(80) % 4
    images = drawn.integers(0, 80, (80, 8, 8, 1), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        row, column = 4 * (label // 2), 4 * (label % 2)
        image[row : row + 4, column : column + 4] += 150
    np.savez("images.npz", images=images, labels=labels)
    return tmp_path


DEFEND = ("defend", "mine.py:quarters", "--data", "npz:images.npz", "--out", "guard")


def test_layers_are_listed(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert epsball(monkeypatch, "layers", "mine.py:quarters", "--data", "npz:images.npz") == 0
    lines = capsys.readouterr().out.splitlines()
    assert any("3" in line and "ReLU" in line and "4" in line for line in lines)
    assert "for images of 1x8x8" in lines


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("mine.py:quarters", "--shape", "1x8x8"), "for images of 1x8x8\n"),
        (("zoo:base-cnn",), "for images of 1x28x28\n"),  # untrained; the zoo knows its images
        (("mine.py:any_size",), "for images of 3x32x32, which is a guess: --data or --shape"),
        (("mine.py:digits",), "for images of 1x28x28, which is a guess"),
    ],
)
def test_layers_are_listed_without_data(
    arguments: tuple[str, ...],
    says: str,
    place: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    more = """
def any_size():
    parts = nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    return nn.Sequential(*parts).eval()

def digits():
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
"""
    (place / "mine.py").write_text(MODEL + more)
    assert epsball(monkeypatch, "layers", *arguments) == 0
    printed = capsys.readouterr().out
    assert says in printed
    assert "Linear" in printed


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("mine.py:quarters",), "takes no image of 3x32x32 or 1x28x28 or 3x224x224"),
        (("mine.py:quarters", "--shape", "1x9x40"), "takes no image of 1x9x40"),
        (("mine.py:quarters", "--shape", "8x8"), "as 3x32x32, got '8x8'"),
        (("mine.py:quarters", "--shape", "1x8x-8"), "as 3x32x32, got '1x8x-8'"),
        (("mine.py:quarters", "--shape", "1x8x8", "--data", "digits"), "one of the two"),
        (("mine.py:halves",), "no class or function 'halves'"),
        (("zoo:base-cn",), "did you mean 'zoo:base-cnn'"),
        (("mine.py:forgotten",), "call .eval() on it first"),
        (("mine.py:plain",), "is no torch module"),
    ],
)
def test_layers_of_what_cannot_be_listed(
    arguments: tuple[str, ...],
    says: str,
    place: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    more = """
def forgotten():
    return quarters().train()

def plain():
    model = quarters()
    return lambda images: model(images)
"""
    (place / "mine.py").write_text(MODEL + more)
    assert epsball(monkeypatch, "layers", *arguments) == 2
    result = " ".join(capsys.readouterr().err.split())
    assert says in result
    assert ("--shape CxHxW" in result) == ("takes no image" in result)  # where it would help


@pytest.mark.parametrize("defence", ["nr:gamma=1,c=10", "dnr:gamma=1,c=10,combiner_c=10", "msp"])
def test_a_defence_is_fitted_named_and_audited(
    defence: str,
    place: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert epsball(monkeypatch, *DEFEND, "--with", defence, "--threshold", "0.6") == 0
    printed = capsys.readouterr().out
    assert "fitted on 80 images" in printed
    assert ("support vectors" in printed) == (defence != "msp")
    assert "epsball audit defended:guard" in printed
    audit = ("audit", "defended:guard", "--data", "npz:images.npz", "--limit", "12")
    pgd = ("--attack", "pgd:steps=3", "--eps", "0.05", "--out", "run")
    assert epsball(monkeypatch, *audit, *pgd) == 0
    summary = json.loads((place / "run" / "summary.json").read_text())
    assert summary["results"][0]["n"] == 12
    manifest = json.loads((place / "run" / "manifest.json").read_text())
    assert manifest["model"]["rejects"]
    assert manifest["model"]["name"] == f"mine.py:quarters + {defence.partition(':')[0]}"


def test_a_wanted_rate_sets_the_threshold(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = ("--with", "msp", "--false-rejection")
    assert epsball(monkeypatch, *DEFEND, *flags, "25%") == 2  # eight images would set it
    assert "fit on about 150 images or more" in capsys.readouterr().err
    assert epsball(monkeypatch, *DEFEND, *flags, "1/2") == 0
    printed = capsys.readouterr().out
    assert "the threshold was set on 8 images to reject 50.0 % of clean ones" in printed
    rejected = printed.partition("accepted and right, ")[2].partition(" %")[0]
    assert 20 <= float(rejected) <= 80


@pytest.mark.parametrize(
    ("limit", "says"),
    [
        ("80", "of 80 the images of the fit itself"),
        ("60", "of 20 clean images that the fit left"),
    ],
)
def test_it_says_which_images_its_numbers_are_of(
    limit: str,
    says: str,
    place: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert epsball(monkeypatch, *DEFEND, "--with", "nr:gamma=1,c=10", "--limit", limit) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert says in printed
    assert "the model alone names 100.0 % right" in printed
    assert "gamma may not suit" not in printed


def test_settings_that_do_not_suit_the_features_are_told_with_a_remedy(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a kernel this narrow no image is like any other: all machines say the same of it."""
    assert epsball(monkeypatch, *DEFEND, "--with", "nr:gamma=1e6", "--limit", "60") == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "try: machines name far fewer right than the model's 100.0 % on 3 " in printed
    assert "--with nr:gamma=scale goes by their spread" in printed
    assert "try: 100.0 % of clean images are rejected: --false-rejection 0.05" in printed


def test_another_model_inside_is_refused(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert epsball(monkeypatch, *DEFEND, "--with", "msp") == 0
    file = place / "guard" / "base.json"
    file.write_text(file.read_text().replace("quarters", "turned"))
    capsys.readouterr()
    audit = ("audit", "defended:guard", "--data", "npz:images.npz", "--eps", "0.05")
    assert epsball(monkeypatch, *audit, "--out", "run") == 2
    assert "was fitted on a model whose hash is" in capsys.readouterr().err
    assert not (place / "run").exists()


def test_a_defence_may_move_together_with_its_model(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert epsball(monkeypatch, *DEFEND, "--with", "msp") == 0
    new = place / "elsewhere"
    new.mkdir()
    for one in ("mine.py", "guard", "images.npz"):
        (place / one).rename(new / one)
    audit = ("audit", "defended:guard", "--data", "npz:images.npz", "--attack", "fgsm")
    monkeypatch.chdir(new)
    assert epsball(monkeypatch, *audit, "--eps", "0.05", "--out", "run") == 0
    (new / "mine.py").unlink()
    capsys.readouterr()
    assert epsball(monkeypatch, *audit, "--eps", "0.05", "--out", "again") == 2
    result = " ".join(capsys.readouterr().err.split())
    assert "mine.py, which is gone: put it back" in result
    assert "base.json" in result


def test_a_folder_may_be_named_by_a_text_and_a_layer_be_called_combiner(place: Path) -> None:
    code = """
from collections import OrderedDict
from torch import nn

def named():
    parts = nn.AvgPool2d(4), nn.Flatten(), nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 4)
    names = "pool", "flat", "wide", "combiner", "last"
    return nn.Sequential(OrderedDict(zip(names, parts))).eval()
"""
    (place / "other.py").write_text(code)
    report = defend(
        "other.py:named",
        load_data("npz:images.npz"),
        out="guard",
        defence="dnr:batch_size=7",
        layers=("wide", "combiner"),
    )
    assert report.folder == Path("guard")
    assert [fact.layer for fact in machine_facts(report)] == ["wide", "combiner", "the combiner"]
    assert worth_of(report, load_data("npz:images.npz")).images == 80


BAD = {
    "no such layer": (("--layer", "layer9"), "unknown layer 'layer9': known: 0, 1, 2, 3, 4"),
    "no such defence": (("--with", "drn"), "unknown rejector 'drn': did you mean 'dnr'?"),
    "no such setting": (("--with", "dnr:gama=1"), "did you mean 'gamma'?"),
    "no value": (("--with", "dnr:gamma"), "dnr: write settings as dnr:gamma=VALUE, got 'gamma'"),
    "a layer too many": (("--with", "nr", "--layer", "0", "--layer", "3"), "looks at one layer"),
    "a layer for none": (("--with", "msp", "--layer", "0"), "msp looks at no layer"),
    "threshold": (("--threshold", "1"), "threshold"),
    "both": (("--threshold", "0.5", "--false-rejection", "0.1"), "false_rejection"),
    "layers among settings": (("--with", "dnr:layers=0"), "layers is given by --layer, once for"),
    "a grid": (("--with", "dnr:search=0.1"), "search is given in Python alone"),
    "neither yes nor no": (("--with", "nr:standardise=no"), "standardise must be true or false"),
    "a layer that is a number": (("--with", "nr:layer=9"), "unknown layer '9': known: 0, 1"),
    "two thresholds": (
        ("--with", "nr:threshold=0.8", "--false-rejection", "0.1"),
        "one of the two",
    ),
    "a class too few": (("--limit", "3"), "none of"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_told_in_one_line_and_leaves_nothing(
    name: str, place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    options, says = BAD[name]
    assert epsball(monkeypatch, *DEFEND, *options) == 2
    result = capsys.readouterr().err
    assert says in " ".join(result.split())
    assert "Traceback" not in result
    assert not (place / "guard").exists()


def test_a_folder_that_holds_no_defence_and_options_that_it_knows_itself(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    audit = ("audit", "defended:nowhere", "--data", "npz:images.npz", "--eps", "0.05")
    assert epsball(monkeypatch, *audit, "--out", "run") == 2
    assert "nowhere holds no base.json" in " ".join(capsys.readouterr().err.split())
    assert epsball(monkeypatch, *audit, "--mean", "0.5", "--out", "run") == 2
    assert "knows how the model inside is loaded" in " ".join(capsys.readouterr().err.split())


def test_a_folder_of_other_files_is_left_alone_and_a_defence_is_replaced(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "guard").mkdir()
    (place / "guard" / "cat.png").touch()
    assert epsball(monkeypatch, *DEFEND, "--with", "msp") == 2
    assert "--out guard holds something else" in " ".join(capsys.readouterr().err.split())
    assert [file.name for file in (place / "guard").iterdir()] == ["cat.png"]
    (place / "guard" / "cat.png").unlink()
    for defence in ("msp", "energy"):
        assert epsball(monkeypatch, *DEFEND, "--with", defence) == 0
    assert '"energy"' in (place / "guard" / "defence.json").read_text()


def test_settings_are_read_in_the_manner_of_their_defaults() -> None:
    spec, settings = parse_defence("dnr:gamma=scale,c=2,batch_size=8,threshold=none")
    assert spec.name == "dnr"
    assert settings == {"gamma": "scale", "c": 2.0, "batch_size": 8, "threshold": None}
    assert isinstance(settings["batch_size"], int)
    with pytest.raises(InvalidInput, match="unknown setting of dnr"):
        parse_defence("dnr:depth=3")
