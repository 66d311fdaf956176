"""The command: bad input in one line, and one whole run."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from benchmarks.peers.__main__ import main
from benchmarks.peers.methods import CASES
from benchmarks.peers.subjects import train_missing

SMALL = ("--images", "4", "--steps", "2", "--rounds", "1", "--entrant", "bare-passes")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("--case", "mnits"), "unknown case 'mnits': did you mean 'mnist'?"),
        (("--method", "pdg"), "unknown method 'pdg': did you mean 'pgd'?"),
        (("--entrant", "artt"), "unknown entrant 'artt': did you mean 'art'?"),
        (("--autoattack", "nowhere"), "got nowhere: it holds no autoattack/autoattack.py"),
        (("--case", "mnist", "--weights", "none"), "run: epsball train zoo:base-cnn --data mnist"),
    ],
)
def test_bad_input_is_told_in_one_line(
    given: tuple[str, ...], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = ("--out", str(tmp_path / "rows"), "--page", str(tmp_path / "page.md"))
    assert main([*given, *kept]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert len(error.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_the_trained_models_say_their_recipe(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--case", "cifar10-pgd", "--weights", str(tmp_path)]) == 2
    assert "--recipe pgd --eps 8/255" in capsys.readouterr().err


@pytest.mark.slow
def test_a_whole_run_with_its_page(
    toy: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = {"forwards": 8, "backwards": 8, "memory": 1.0}
    # the process that counts knows nothing of the toy
    monkeypatch.setattr("benchmarks.peers.comparing.probe_apart", lambda *_, **__: seen)
    page = toy / "docs" / "peers.md"
    given = ["--case", "toy", "--method", "floor", "--weights", str(toy), "--out", str(toy)]
    assert main([*given, *SMALL, "--page", str(page)]) == 0
    text = page.read_text()
    assert "## mlp on digits, not trained" in text
    assert "| bare-passes | - |" in text
    assert str(toy) not in text
    assert f"written: {page}" in capsys.readouterr().out


@pytest.mark.slow
def test_missing_weights_are_trained_once(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = (toy / "toy.safetensors").read_bytes()
    train_missing(CASES["toy"], toy)
    assert (toy / "toy.safetensors").read_bytes() == kept
    (toy / "toy.safetensors").unlink()
    short = ("--epochs", "1", "--device", "cpu")
    monkeypatch.setitem(CASES, "toy", replace(CASES["toy"], training=short))
    train_missing(CASES["toy"], toy)
    assert (toy / "toy.safetensors").is_file()
    assert json.loads((toy / "toy" / "training.json").read_text())
