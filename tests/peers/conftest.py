"""A small case that needs no data from outside and no other library."""

from pathlib import Path

import pytest
import torch
from benchmarks.peers.cells import Setup
from benchmarks.peers.methods import CASES, Case
from benchmarks.peers.registry import ENTRANTS, Entrant
from benchmarks.peers.subjects import Subject, open_subject
from safetensors.torch import save_file

from epsball.models import load_model
from epsball.training import fresh_weights

IMAGES, STEPS = 12, 3


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a case "toy" into the table and return the directory of its weights."""
    with fresh_weights(0):
        model = load_model("zoo:mlp", require_weights=False).model
    assert isinstance(model, torch.nn.Module)
    save_file(model.state_dict(), tmp_path / "toy.safetensors")
    case = Case(
        "mlp",
        "digits",
        "0.1",
        "not trained",
        weights="toy.safetensors",
        images=IMAGES,
        batches=(4, 8),
        methods=("floor", "pgd", "fmn-l2"),
        targets={"floor": 1.05, "pgd": 0.25},
    )
    monkeypatch.setitem(CASES, "toy", case)
    return tmp_path


@pytest.fixture
def subject(toy: Path) -> Subject:
    """The toy's model and images."""
    return open_subject(CASES["toy"], toy, IMAGES, "cpu")


@pytest.fixture
def only_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody take part but the floor, once as itself and once as a peer."""
    for name in list(ENTRANTS):
        monkeypatch.delitem(ENTRANTS, name)
    monkeypatch.setitem(ENTRANTS, "bare-passes", Entrant("floor", ours=True))
    monkeypatch.setitem(ENTRANTS, "other", Entrant("floor", module="torch", package="torch"))


def setup_of(method: str, **changed: object) -> Setup:
    values = {
        "case": "toy",
        "method": method,
        "images": IMAGES,
        "steps": STEPS,
        "threads": 1,
        "device": "cpu",
        "weights": "-",
        "code": "-",
        "torch": "-",
    }
    return Setup(**values | changed)  # type: ignore[arg-type]  # values of several types
