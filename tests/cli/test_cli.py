"""The commands as a user gives them."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from epsball.cli import main

MODEL = """import torch
from torch import nn

def build():
    torch.manual_seed(0)
    body = [nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 4)]
    class WithMean(nn.Sequential):
        def forward(self, x):
            return super().forward((x - 0.13) / 0.31)
    return WithMean(*body).eval()

def forgetful():
    net = build()
    net[1].train()
    return net
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a user's model and a user's images."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(MODEL)
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (24, 8, 8, 1), dtype=np.uint8)
    names = np.array(["ant", "bee", "cat", "dog"])
    np.savez("images.npz", images=images, labels=np.arange(24) % 4, class_names=names)
    return tmp_path


def epsball(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["epsball", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    code = stopped.value.code
    return code if isinstance(code, int) else 0


AUDIT = ("audit", "mine.py:build", "--data", "npz:images.npz", "--eps", "4/255", "--eps", "0.1")


def test_a_plan_is_printed_and_nothing_is_written(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted(place.rglob("*"))
    assert epsball(monkeypatch, *AUDIT, "--attack", "strongest", "--plan", "--out", "run") == 0
    printed = capsys.readouterr().out
    for phase in ("reading", "planning", "checks", "attacks", "measuring", "report", "total"):
        assert phase in printed
    assert [file for file in sorted(place.rglob("*")) if "__pycache__" not in str(file)] == before


def test_audit_of_a_users_own_model(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert epsball(monkeypatch, *AUDIT, "--steps", "5", "--out", "run") == 0
    printed = capsys.readouterr()
    assert "Robust accuracy is at most" in printed.out
    assert "report: run/report.html" in printed.out
    assert "fgsm, pgd, noise in linf at eps 4/255, 0.1" in printed.err
    page = (place / "run" / "report.html").read_text(encoding="utf-8")
    assert "bee" in page
    assert "epsball audit mine.py:build" in page
    summary = json.loads((place / "run" / "summary.json").read_text())
    assert [r["attack"] for r in summary["results"]] == ["fgsm"] * 2 + ["pgd"] * 2 + ["noise"] * 2
    assert summary["results"][2]["steps"] == 5


def test_audit_of_a_model_in_train_mode(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("audit", "mine.py:forgetful", "--data", "npz:images.npz", "--out", "run")
    assert epsball(monkeypatch, *command) == 3
    printed = capsys.readouterr().out
    assert "blocking: train-mode" in printed
    assert "model.eval()" in printed
    assert "No rate is printed" in printed
    summary = json.loads((place / "run" / "summary.json").read_text())
    assert summary["headline"] is None
    assert all(result["robust_accuracy"] is None for result in summary["results"])
    assert "train-mode" in (place / "run" / "report.html").read_text(encoding="utf-8")
    assert epsball(monkeypatch, *command[:4], "--eval", "--attack", "fgsm") == 0
    assert "info: put-in-eval" in capsys.readouterr().out


def test_the_bar(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fast = ("--attack", "fgsm", "--out", "run")
    assert epsball(monkeypatch, *AUDIT, *fast, "--fail-under", "0") == 0
    assert epsball(monkeypatch, *AUDIT, *fast, "--fail-under", "100%") == 1
    assert "is below the bar of 100.0 %" in capsys.readouterr().out
    assert epsball(monkeypatch, *AUDIT, *fast, "--fail-under", "40", "--judge", "lower") == 2
    assert "--fail-under must be in [0, 1], got '40'; write 40% or 0.4" in capsys.readouterr().err


def test_same_command_same_directory(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):
        assert epsball(monkeypatch, *AUDIT, "--attack", "fgsm") == 0
    (run,) = (place / "runs").iterdir()
    assert run.name.startswith("audit-mine-py-build-npz-images-npz-")
    assert epsball(monkeypatch, *AUDIT, "--attack", "fgsm", "--seed", "1") == 0
    assert len(list((place / "runs").iterdir())) == 2


def test_report_again_with_figures(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert epsball(monkeypatch, *AUDIT, "--attack", "fgsm", "--out", "run") == 0
    page = place / "run" / "report.html"
    before = page.read_text(encoding="utf-8")
    page.unlink()
    assert epsball(monkeypatch, "report", "run", "--figures") == 0
    assert page.read_text(encoding="utf-8") == before
    kinds = {file.suffix for file in (place / "run" / "figures").iterdir()}
    assert kinds == {".svg", ".png", ".pdf"}


def test_compare(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = MODEL.replace("manual_seed(0)", "manual_seed(1)")
    (place / "other.py").write_text(text)
    other = [part.replace("mine.py", "other.py") for part in AUDIT]
    assert epsball(monkeypatch, *AUDIT, "--attack", "fgsm", "--out", "a") == 0
    assert epsball(monkeypatch, *other, "--attack", "fgsm", "--out", "b") == 0
    capsys.readouterr()
    assert epsball(monkeypatch, "compare", "a", "b", "--out", "both") == 0
    printed = capsys.readouterr().out
    assert "accuracy on the same 24 images" in printed
    compared = json.loads((place / "both" / "comparison.json").read_text())
    assert compared["n"] == 24
    assert [row["variant"] for row in compared["rows"]] == ["clean", "fgsm", "fgsm"]
    for row in compared["rows"]:
        net = row["only_a_right"] - row["only_b_right"]
        assert net == round(24 * (row["accuracy_a"] - row["accuracy_b"]))
    assert (place / "both" / "comparison.html").exists()


def test_compare_three(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in ("1", "2", "3"):
        assert (
            epsball(monkeypatch, *AUDIT, "--attack", "fgsm", "--seed", seed, "--out", f"run{seed}")
            == 0
        )
    capsys.readouterr()
    assert epsball(monkeypatch, "compare", "run1", "run2", "run3", "--out", "all") == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert printed.startswith("Most easily fooled first, by fgsm at eps ")
    assert "still right of the same 24 images." in printed
    assert len(list((place / "all").glob("comparison-?-?.html"))) == 3
    assert epsball(monkeypatch, "compare", "run1") == 2
    assert "needs two directories or more" in capsys.readouterr().err


def test_compare_refuses_other_images(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert epsball(monkeypatch, *AUDIT, "--attack", "fgsm", "--out", "a") == 0
    assert epsball(monkeypatch, *AUDIT, "--attack", "fgsm", "--limit", "9", "--out", "b") == 0
    assert epsball(monkeypatch, "compare", "a", "b") == 2
    assert "cannot be compared: they need the same images" in capsys.readouterr().err


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


ATTACK = ("attack", "mine.py:build", "--data", "npz:images.npz", "--eps", "8/255")


def test_attack_to_npz_and_back(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert epsball(monkeypatch, *ATTACK, "--out", "adv") == 0
    assert sorted(f.name for f in (place / "adv").iterdir()) == [
        "adversarial.csv",
        "adversarial.npz",
    ]
    with np.load("adv/adversarial.npz") as result, np.load("images.npz") as clean:
        delta = result["images"][:, 0] - clean["images"][..., 0] / 255
        assert np.abs(delta).max() <= 8 / 255 + 1e-6
        assert result["class_names"].tolist() == ["ant", "bee", "cat", "dog"]
    table = rows_of(place / "adv" / "adversarial.csv")
    again = ("audit", "mine.py:build", "--data", "npz:adv/adversarial.npz")
    assert epsball(monkeypatch, *again, "--attack", "noise", "--eps", "0", "--out", "run") == 0
    summary = json.loads((place / "run" / "summary.json").read_text())
    wrong = sum(row["fooled"] == "1" for row in table)
    assert summary["clean"]["accuracy"] == pytest.approx(1 - wrong / 24)


def test_attack_to_png_and_back(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert epsball(monkeypatch, *ATTACK, "--format", "png", "--out", "adv") == 0
    table = rows_of(place / "adv" / "adversarial.csv")
    with np.load("images.npz") as clean:
        for row in table:
            saved = np.asarray(Image.open(place / "adv" / row["file"])).astype(int)
            delta = saved - clean["images"][int(row["index"]), ..., 0].astype(int)
            assert np.abs(delta).max() <= 8
            assert float(row["linf"]) == pytest.approx(np.abs(delta).max() / 255)
    again = ("audit", "mine.py:build", "--data", "folder:adv", "--attack", "noise", "--eps", "0")
    assert epsball(monkeypatch, *again, "--out", "run") == 0
    summary = json.loads((place / "run" / "summary.json").read_text())
    wrong = sum(row["fooled"] == "1" for row in table)
    assert summary["clean"]["accuracy"] == pytest.approx(1 - wrong / 24)


def test_lists(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    expected = {
        "attacks": "pgd",
        "models": "zoo:vgg-cifar",
        "data": "imagenet-sample",
        "recipes": "fgsm-mix",
        "defences": "dnr",
    }
    for what, name in expected.items():
        assert epsball(monkeypatch, "list", what) == 0
        assert name in capsys.readouterr().out, what


def test_help_has_an_example(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = "audit attack train defend layers report compare study list demo"
    for command in commands.split():
        assert epsball(monkeypatch, command, "--help") == 0
        assert f"Example: epsball {command}" in " ".join(capsys.readouterr().out.split())


def test_version(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert epsball(monkeypatch, "--version") == 0
    assert capsys.readouterr().out.startswith("epsball 0.")


@pytest.mark.parametrize(
    "statement",
    ["import epsball, epsball.attacks, epsball.cli", "import epsball.report, epsball.evaluation"],
)
def test_importing_costs_nothing(statement: str) -> None:
    check = f"{statement}; import sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_help_needs_no_torch() -> None:
    check = (
        "import sys; sys.argv = ['epsball', 'audit', '--help']\n"
        "from epsball.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "sys.exit('torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", check], check=False, capture_output=True)
    assert run.returncode == 0
