"""A killed run continues to bitwise the weights of an undisturbed one; another run is refused."""

import errno
import json
import runpy
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.training.stopping import QUICK, Build, StopHere, begun, equal, stop_at, weights
from torch import nn

from epsball.errors import InvalidInput
from epsball.training import train
from epsball.types import Dataset

SCRIPT = Path(__file__).parents[1] / "killed_run.py"


def measured(out: Path) -> list[dict[str, Any]]:
    rows = json.loads((out / "training.json").read_text())["epochs"]
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


# that every recipe goes on where it stopped is in the contract of recipes, without the kill
OTHERS = [
    pytest.param(name, marks=pytest.mark.slow)
    for name in ("fgsm-mix", "free", "generator", "trades")
]


@pytest.mark.parametrize("recipe", ["standard", *OTHERS])
def test_kill_9_in_mid_epoch_changes_nothing(recipe: str, tmp_path: Path) -> None:
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    command = [sys.executable, str(SCRIPT), recipe, str(killed), "2"]
    process = subprocess.run(command, check=False, capture_output=True)
    assert process.returncode == -signal.SIGKILL, process.stderr.decode()
    assert len(measured(killed)) == 1
    assert not (killed / "model.safetensors").exists()
    script = runpy.run_path(str(SCRIPT))
    script["main"](recipe, killed, 0)
    script["main"](recipe, whole, 0)
    assert equal(weights(killed), weights(whole))
    assert measured(killed) == measured(whole)


@pytest.mark.slow
def test_kill_9_while_the_source_model_is_trained_changes_nothing(tmp_path: Path) -> None:
    """The first training that reaches epoch 2 is that of the source."""
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    command = [sys.executable, str(SCRIPT), "two-step", str(killed), "2"]
    process = subprocess.run(command, check=False, capture_output=True)
    assert process.returncode == -signal.SIGKILL, process.stderr.decode()
    assert len(measured(killed / "source")) == 1
    assert not (killed / "examples.safetensors").exists()
    script = runpy.run_path(str(SCRIPT))
    script["main"]("two-step", killed, 0)
    script["main"]("two-step", whole, 0)
    assert equal(weights(killed), weights(whole))
    assert equal(
        load_file(killed / "examples.safetensors"), load_file(whole / "examples.safetensors")
    )
    assert measured(killed) == measured(whole)


@pytest.fixture
def _frequent_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """Report progress every three batches; an epoch has eight."""
    monkeypatch.setattr("epsball.training.run.epochs._PULSE", 3)


@pytest.mark.usefixtures("_frequent_progress")
@pytest.mark.parametrize(
    ("epoch", "changes"),
    [
        (3, {"optimizer": "sgd", "momentum": 0.9, "decay": 1e-3}),
        (1, {"optimizer": "rmsprop", "momentum": 0.5, "schedule": "one-cycle"}),
        (3, {"optimizer": "adam", "schedule": "cosine", "l1": 1e-4}),
        (3, {"recipe": "fgsm-mix", "eps": 0.1, "reference": "random", "watch_every": 2}),
    ],
)
def test_a_stopped_run_continues_exactly(
    epoch: int, changes: dict[str, Any], dataset: Dataset, build: Build, tmp_path: Path
) -> None:
    settings = QUICK.changed(epochs=3, **changes)
    model = build()
    with pytest.raises(StopHere):
        train(model, dataset, settings, out=tmp_path / "a", progress=stop_at(epoch, 6))
    assert not any(module.training for module in model.modules())
    # the weights a resumed run comes with do not matter, nor does the random state
    torch.manual_seed(epoch)
    other = build()
    nn.init.zeros_(next(other.parameters()))
    train(other, dataset, settings, out=tmp_path / "a")
    train(build(), dataset, settings, out=tmp_path / "b")
    assert equal(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert measured(tmp_path / "a") == measured(tmp_path / "b")


def test_a_finished_run_just_returns(dataset: Dataset, build: Build, tmp_path: Path) -> None:
    first = train(build(), dataset, QUICK, out=tmp_path)
    stamp = first.weights.stat().st_mtime_ns
    model = build()
    again = train(model, dataset, QUICK, out=tmp_path, progress=stop_at(1, 8))
    assert again == first
    assert first.weights.stat().st_mtime_ns == stamp
    assert equal(dict(model.state_dict()), weights(tmp_path))


def test_a_run_that_stopped_early_is_finished_too(
    dataset: Dataset, build: Build, tmp_path: Path
) -> None:
    settings = QUICK.changed(epochs=30, patience=1, lr=0.05)
    first = train(build(), dataset, settings, out=tmp_path)
    assert first.stopped_early
    assert train(build(), dataset, settings, out=tmp_path) == first


def test_a_kill_between_the_last_checkpoint_and_the_weights_is_mended(
    dataset: Dataset, build: Build, tmp_path: Path
) -> None:
    first = train(build(), dataset, QUICK, out=tmp_path)
    expected = weights(tmp_path)
    first.weights.unlink()
    assert train(build(), dataset, QUICK, out=tmp_path) == first
    assert equal(weights(tmp_path), expected)


@pytest.mark.parametrize("name", ["training.json", "checkpoint.safetensors"])
def test_a_damaged_file_is_one_line_with_a_remedy(
    name: str, dataset: Dataset, build: Build, tmp_path: Path
) -> None:
    begun(dataset, build, tmp_path)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(InvalidInput, match=f"{name} cannot be read.*train again"):
        train(build(), dataset, QUICK, out=tmp_path)


def test_a_full_disk_leaves_the_last_whole_checkpoint_and_no_half(
    dataset: Dataset, build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun(dataset, build, tmp_path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    write = Path.write_bytes

    def full(file: Path, content: bytes) -> int:
        write(file, content[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(InvalidInput, match=r"cannot write .*No space left.*it continues"):
            train(build(), dataset, QUICK, out=tmp_path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
    train(build(), dataset, QUICK, out=tmp_path)
    train(build(), dataset, QUICK, out=tmp_path / "whole")
    assert equal(weights(tmp_path), weights(tmp_path / "whole"))


def test_every_file_is_written_beside_and_renamed(
    dataset: Dataset, build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    write = Path.write_bytes

    def note(file: Path, content: bytes) -> int:
        written.append(file.name)
        return write(file, content)

    monkeypatch.setattr(Path, "write_bytes", note)
    result = train(build(), dataset, QUICK, out=tmp_path)
    finals = {file.name for file in result.out.iterdir()}
    assert finals == {"training.json", "checkpoint.safetensors", "model.safetensors"}
    assert set(written) == {f".{name}.part" for name in finals}


def test_the_directory_of_an_audit_is_refused(
    dataset: Dataset, build: Build, tmp_path: Path
) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(InvalidInput, match="holds something else"):
        train(build(), dataset, QUICK, out=tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["manifest.json"]


def test_precision_and_threads_of_the_begun_run_are_used_again(
    dataset: Dataset, build: Build, tmp_path: Path
) -> None:
    begun(dataset, build, tmp_path)
    file = tmp_path / "training.json"
    content = json.loads(file.read_text())
    content["placement"] |= {"threads": 2, "precision": "float32"}
    file.write_text(json.dumps(content))
    used = set()
    train(
        build(),
        dataset,
        QUICK,
        out=tmp_path,
        progress=lambda *_: used.add(torch.get_num_threads()),
    )
    assert used == {2}
    assert json.loads(file.read_text())["placement"] == content["placement"]
