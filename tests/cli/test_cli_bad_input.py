"""Every bad input of a user: one clear line, exit code 2, nothing half-written."""

import gzip
import pickle
import re
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image

from epsball.cli import main

FACTORY = """
import torch
from torch import nn
def good():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 4)).eval()
def raising():
    class Raising(nn.Module):
        def forward(self, x):
            raise ZeroDivisionError("too wet to work")
    return Raising().eval()
def one_row():
    class OneRow(nn.Module):
        def forward(self, x):
            return x.flatten()[:4][None]
    return OneRow().eval()
def labels():
    class Labels(nn.Module):
        def forward(self, x):
            return x.flatten(1).argmax(1)
    return Labels().eval()
"""


class Bomb:
    """Unpickling this writes a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.file,)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a model file and good data."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EPSBALL_DATA", str(tmp_path / "sets"))
    (tmp_path / "sets").mkdir()
    (tmp_path / "model.py").write_text(FACTORY)
    save("good.npz")
    return tmp_path


def save(name: str, **changes: Any) -> None:
    generator = np.random.default_rng(0)
    arrays: dict[str, Any] = {
        "images": generator.integers(0, 256, (12, 8, 8, 1), dtype=np.uint8),
        "labels": np.arange(12) % 4,
    } | changes
    np.savez(name, **{k: v for k, v in arrays.items() if v is not None})


def fails(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str
) -> str:
    """Run the command, and return its complaint: one line on standard error."""
    monkeypatch.setattr(sys, "argv", ["epsball", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    printed = capsys.readouterr()
    assert stopped.value.code == 2, printed
    assert "Traceback" not in printed.err
    errors = [line for line in printed.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, printed.err
    return errors[0]


def floats(value: float) -> np.ndarray[Any, Any]:
    images = np.full((12, 8, 8, 1), 0.5, dtype=np.float32)
    images[5, 3, 2, 0] = value
    return images


NPZ: dict[str, tuple[dict[str, Any], str]] = {
    "label too large": ({"labels": np.array([0, 1, 2, 3, 9, *[0] * 7])}, r"label 9 .*out of range"),
    "label negative": ({"labels": np.array([0, -1, *[0] * 10])}, r"-1"),
    "pixel above 255": ({"images": np.full((12, 8, 8, 1), 256)}, r"\[0, 255\]"),
    "pixel above 1": ({"images": floats(1.5)}, r"\[0, 1\]"),
    "pixel below 0": ({"images": floats(-0.5)}, r"\[0, 1\]"),
    "NaN pixel": ({"images": floats(float("nan"))}, r"found nan in image 5 .*leave out"),
    "lengths differ": ({"labels": np.arange(7) % 4}, r"12 .*7|7 .*12"),
    "no labels": ({"labels": None}, r"labels"),
}


@pytest.mark.parametrize("name", NPZ)
def test_bad_arrays(
    name: str, place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    changes, says = NPZ[name]
    save("bad.npz", **changes)
    line = fails(
        capsys, monkeypatch, "audit", "model.py:good", "--data", "npz:bad.npz", "--out", "run"
    )
    assert re.search(says, line), line
    assert not (place / "run").exists()


def missing(place: Path) -> str:
    return "npz:nothing.npz"


def truncated(place: Path) -> str:
    whole = (place / "good.npz").read_bytes()
    (place / "short.npz").write_bytes(whole[: len(whole) // 2])
    return "npz:short.npz"


def wrong_hash(place: Path) -> str:
    folder = place / "sets" / "mnist"
    folder.mkdir()
    header = {
        "images": b"\0\0\x08\x03" + bytes([0, 0, 0, 1, 0, 0, 0, 28, 0, 0, 0, 28]) + b"\0" * 784
    }
    header["labels"] = b"\0\0\x08\x01" + bytes([0, 0, 0, 1]) + b"\0"
    for kind, content in header.items():
        dimensions = 3 if kind == "images" else 1
        file = folder / f"t10k-{kind}-idx{dimensions}-ubyte.gz"
        file.write_bytes(gzip.compress(content))
    return "mnist"


def folder_of(place: Path, *images: tuple[str, tuple[int, int]]) -> str:
    for name, size in images:
        file = place / "images" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", size, 90).save(file)
    return "folder:images"


def mixed_sizes(place: Path) -> str:
    return folder_of(place, ("a/1.png", (8, 8)), ("a/2.png", (9, 8)), ("b/1.png", (8, 8)))


def empty_class(place: Path) -> str:
    spec = folder_of(place, ("a/1.png", (8, 8)), ("b/1.png", (8, 8)))
    (place / "images" / "c").mkdir()
    return spec


def not_an_image(place: Path) -> str:
    spec = folder_of(place, ("a/1.png", (8, 8)), ("b/1.png", (8, 8)))
    (place / "images" / "b" / "2.png").write_bytes(b"\x89PNG but not really")
    return spec


def half_an_image(place: Path) -> str:
    spec = folder_of(place, ("a/1.png", (8, 8)), ("b/1.png", (8, 8)))
    noise = np.random.default_rng(0).integers(0, 256, (8, 8), dtype=np.uint8)
    file = place / "images" / "b" / "2.png"
    Image.fromarray(noise).save(file)
    file.write_bytes(file.read_bytes()[:70])
    (place / "images" / "classes.txt").write_text("a\nb\nc\nd\n")  # the model has four
    return spec


FILES: dict[str, tuple[Callable[[Path], str], str]] = {
    "missing file": (missing, "nothing.npz"),
    "truncated file": (truncated, "short.npz"),
    "wrong hash": (wrong_hash, "sha256"),
    "mixed sizes": (mixed_sizes, "2.png"),
    "empty class folder": (empty_class, "c"),
    "image that does not decode": (not_an_image, "2.png"),
    "image cut short": (half_an_image, "2.png"),
    "unknown data": (lambda _: "mnits", "did you mean 'mnist'"),
    "no publisher": (lambda _: "imagenet-sample", "folder:PATH"),
}


@pytest.mark.parametrize("name", FILES)
def test_bad_files(
    name: str, place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare, says = FILES[name]
    line = fails(
        capsys, monkeypatch, "audit", "model.py:good", "--data", prepare(place), "--out", "run"
    )
    assert says in line
    assert not (place / "run").exists()


MODELS = {
    "raises": ("model.py:raising", "too wet to work"),
    "wrong shape": ("model.py:one_row", "(n, k)"),
    "labels for scores": ("model.py:labels", "scores"),
    "no such file": ("modle.py:good", "modle.py"),
    "no such factory": ("model.py:god", "did you mean 'good'"),
    "unknown zoo": ("zoo:base-cn", "did you mean 'zoo:base-cnn'"),
    "no weights": ("zoo:base-cnn", "epsball train zoo:base-cnn"),
}


@pytest.mark.parametrize("name", MODELS)
def test_bad_models(
    name: str, place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, says = MODELS[name]
    line = fails(capsys, monkeypatch, "audit", spec, "--data", "npz:good.npz", "--out", "run")
    assert says in line
    assert not (place / "run").exists()


def test_pickle_with_code(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with (place / "bomb.pt").open("wb") as file:
        pickle.dump({"1.weight": Bomb(place / "harm")}, file)
    torch.save({"1.weight": Bomb(place / "harm")}, place / "zipped.pt")
    for weights in ("bomb.pt", "zipped.pt"):
        line = fails(
            capsys,
            monkeypatch,
            "audit",
            "model.py:good",
            "--weights",
            weights,
            "--data",
            "npz:good.npz",
            "--out",
            "run",
        )
        assert "safetensors" in line
    assert not (place / "harm").exists()
    assert not (place / "run").exists()


def test_weights_that_do_not_fit(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save({"1.weight": torch.zeros(7, 64), "1.bias": torch.zeros(4)}, place / "other.pt")
    line = fails(
        capsys,
        monkeypatch,
        "audit",
        "model.py:good",
        "--weights",
        "other.pt",
        "--data",
        "npz:good.npz",
        "--out",
        "run",
    )
    assert "1.weight" in line


OPTIONS = {
    "eps negative": (["--eps", "-0.1"], "eps must be a number >= 0"),
    "eps over zero": (["--eps", "8/0"], "got '8/0'"),
    "eps a word": (["--eps", "much"], "got 'much'"),
    "unknown attack": (["--attack", "fgms"], "did you mean 'fgsm'"),
    "unknown norm": (["--norm", "l3"], "unknown norm 'l3'"),
    "norm the attack lacks": (["--norm", "l1", "--eps", "1"], "norm must be one of linf, l2"),
    "budget a word": (["--budget", "soon"], "--budget must be a time such as 10m"),
    "std of zero": (["--std", "0"], "std"),
    "mean a word": (["--mean", "grey"], "mean must be numbers"),
    "no such device": (["--device", "tpu7"], "--device tpu7 cannot be used"),
    "channels unknown": (["--channels", "rbg"], "rbg"),
    "no pixels": (["--resize", "0"], "resize must be at least 1 pixel, got 0"),
    "a decimal comma": (["--eps", "0,1"], "eps '0,1' may be 0.1 or the two radii 0 and 1"),
    "two limits": (["--limit", "5", "--limit", "9"], "--limit takes one value and is given 2"),
    "two data sets": (["-d", "digits"], "--data takes one value and is given 2 times"),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_bad_options(
    name: str, place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    options, says = OPTIONS[name]
    line = fails(
        capsys,
        monkeypatch,
        "audit",
        "model.py:good",
        "--data",
        "npz:good.npz",
        "--out",
        "run",
        *options,
    )
    assert says in line
    assert not (place / "run").exists()


def test_out_dir_that_holds_another_run(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    options = [
        "audit",
        "model.py:good",
        "--data",
        "npz:good.npz",
        "--attack",
        "fgsm",
        "--out",
        "run",
    ]
    monkeypatch.setattr(sys, "argv", ["epsball", *options, "--eps", "0.1"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 0
    capsys.readouterr()
    line = fails(capsys, monkeypatch, *options, "--eps", "0.2")
    assert "holds another run: it differs in attacks; choose another --out" in line


def full(*_: Any, **__: Any) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    ("command", "writer"),
    [("audit", (pl.DataFrame, "write_parquet")), ("attack", (zipfile.ZipFile, "write"))],
)
def test_disk_full(
    command: str,
    writer: tuple[type, str],
    place: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(*writer, full)
    line = fails(
        capsys, monkeypatch, command, "model.py:good", "--data", "npz:good.npz", "--out", "run"
    )
    assert "No space left on device; free some space" in line
    assert not list(place.glob("run/**/*.parquet"))
    assert not (place / "run" / "adversarial.npz").exists()
    assert not list(place.rglob("*.part"))


def test_report_and_compare_of_nothing(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "holds no" in fails(capsys, monkeypatch, "report", "nowhere")
    assert "holds no" in fails(capsys, monkeypatch, "compare", "nowhere", "elsewhere")


def test_attack_into_a_directory_in_use(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    line = fails(
        capsys, monkeypatch, "attack", "model.py:good", "--data", "npz:good.npz", "--out", "sets/.."
    )
    assert "name a new or empty directory" in line


def test_train_with_bad_settings(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    train = ["train", "zoo:mlp", "--data", "digits", "--out", "run"]
    assert "alpha" in fails(
        capsys, monkeypatch, *train, "--recipe", "fgsm-mix", "--eps", "0.1", "--alpha", "1.5"
    )
    assert "needs eps" in fails(capsys, monkeypatch, *train, "--recipe", "fgsm-mix")
    assert "did you mean 'standard'" in fails(capsys, monkeypatch, *train, "--recipe", "standrad")
    assert not (place / "run").exists()
