import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tests.models.fakes import Refusal
from torch import nn

from epsball.models import load_model
from epsball.modes import parts_in_training

Write = Callable[[str], Path]
NET = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.norm = nn.BatchNorm2d(1)
        self.output = nn.Linear(16, width)
    def forward(self, x):
        return self.output(self.norm(x).flatten(1))

def make():
    return Net(3).eval()

def plain():
    return lambda x: x.flatten(1)[:, :2]

def partly():
    net = Net(3).eval()
    net.norm.train()
    return net

ready = Net(2).eval()
busy = Net(2)
number = 3
def breaks(): raise RuntimeError("no weights\\nhere")
def leaves(): raise SystemExit(2)
def wants(argument): return argument
def nothing(): return None
"""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(text: str) -> Path:
        (tmp_path / "mine.py").write_text(text)
        return tmp_path / "mine.py"

    return written


def inputs() -> torch.Tensor:
    return torch.rand(2, 1, 4, 4)


@pytest.mark.parametrize(
    ("factory", "classes"), [("make", 3), ("Net", 4), ("plain", 2), ("ready", 2)]
)
def test_functions_classes_and_ready_models_are_taken(
    factory: str, classes: int, write: Write
) -> None:
    loaded = load_model(f"{write(NET)}:{factory}")
    assert loaded.model(inputs()).shape == (2, classes)
    assert loaded.name == factory


def test_a_factory_that_forgot_its_mode_gives_a_model_in_eval_mode(write: Write) -> None:
    file = write(NET)
    for spec, forgot in (("Net", True), ("make", False), ("partly", False), ("plain", False)):
        loaded = load_model(f"{file}:{spec}", mean=(0.5,))
        assert getattr(loaded.model, "training", None) is False
        assert loaded.put_in_eval is forgot
    behind = load_model(f"{file}:partly").model
    assert isinstance(behind, nn.Module)
    assert parts_in_training(behind) == ["norm"]  # on purpose, as it seems
    result = load_model(f"{file}:partly", eval=True)
    assert parts_in_training(result.model) == []
    assert result.put_in_eval
    assert parts_in_training(load_model(f"{file}:busy").model)


def test_file_may_import_its_neighbours_and_leaves_no_path_behind(
    write: Write, tmp_path: Path
) -> None:
    (tmp_path / "neighbour_of_mine.py").write_text("classes = 2")
    paths = list(sys.path)
    file = write(
        "def make():\n    import neighbour_of_mine as n\n    return lambda x: x[:, :n.classes]"
    )
    load_model(f"{file}:make")
    assert sys.path == paths


def test_data_classes_in_the_file_work(write: Write) -> None:
    file = write(
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "@dataclass\nclass Net:\n    k: int = 2\n    def __call__(self, x): return x.flatten(1)"
    )
    assert load_model(f"{file}:Net").model(inputs()).shape == (2, 16)


def test_own_weights_go_into_the_users_module(write: Write, tmp_path: Path) -> None:
    file = write(NET)
    first = load_model(f"{file}:make").model
    assert isinstance(first, nn.Module)
    torch.save(first.state_dict(), tmp_path / "w.pt")
    again = load_model(f"{file}:make", weights=tmp_path / "w.pt").model
    x = inputs()
    assert torch.equal(first(x), again(x))


def test_weights_for_a_plain_callable_are_refused(
    write: Write, tmp_path: Path, refusal: Refusal
) -> None:
    spec = f"{write(NET)}:plain"
    message = refusal(lambda: load_model(spec, weights=tmp_path / "w.pt"))
    assert "--weights needs a torch module" in message


@pytest.mark.parametrize(
    ("factory", "said"),
    [
        ("mak", "did you mean 'make'?"),
        ("zzzzzz", "among those it has: Net, make, plain"),
        ("number", "number is a int: name a factory"),
        ("breaks", "calling breaks() raised RuntimeError: no weights here"),
        ("leaves", "calling leaves() raised SystemExit"),
        ("wants", "missing 1 required positional argument: 'argument'"),
        ("nothing", "returned a NoneType, not a model"),
    ],
)
def test_bad_factories_are_refused(factory: str, said: str, write: Write, refusal: Refusal) -> None:
    spec = f"{write(NET)}:{factory}"
    assert said in refusal(lambda: load_model(spec))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def make(:", "raised SyntaxError"),
        ("import no_such_package_at_all", "ModuleNotFoundError: No module named"),
        ("raise ValueError('bad')", "raised ValueError: bad"),
        ("import sys; sys.exit('usage')", "raised SystemExit: usage"),
    ],
)
def test_file_that_does_not_run_is_refused(
    text: str, said: str, write: Write, refusal: Refusal
) -> None:
    spec = f"{write(text)}:make"
    assert said in refusal(lambda: load_model(spec))


def test_missing_file_is_refused(tmp_path: Path, refusal: Refusal) -> None:
    assert "no such file" in refusal(lambda: load_model(f"{tmp_path}/none.py:make"))


def test_installed_modules_and_those_of_this_folder_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(load_model("torch.nn:Flatten").model, nn.Flatten)
    (tmp_path / "nets_of_this_test").mkdir()
    (tmp_path / "nets_of_this_test" / "__init__.py").touch()
    (tmp_path / "nets_of_this_test" / "small.py").write_text(NET)
    monkeypatch.chdir(tmp_path)
    loaded = load_model("nets_of_this_test.small:make")
    assert loaded.model(inputs()).shape == (2, 3)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("no_such_package:make", "no module 'no_such_package'"),
        ("torch.nowhere:make", "no module 'torch.nowhere'"),
        ("torch.nn:Flaten", "did you mean 'Flatten'?"),
    ],
)
def test_unknown_modules_and_names_are_refused(spec: str, said: str, refusal: Refusal) -> None:
    assert said in refusal(lambda: load_model(spec))


def test_module_that_misses_a_package_says_which(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: Refusal
) -> None:
    (tmp_path / "needs_more.py").write_text("import some_missing_package")
    monkeypatch.chdir(tmp_path)
    message = refusal(lambda: load_model("needs_more:make"))
    assert "importing needs_more raised ModuleNotFoundError" in message
    assert "some_missing_package" in message
