"""Refusals of models: their remedies work."""

import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tests.remedies.case import Case, follow
from torch import Tensor, nn

from epsball import audit
from epsball.models import load_model

IMAGES, LABELS = torch.rand(6, 3, 8, 8), torch.arange(6) % 4
GREY = torch.rand(6, 1, 8, 8)


def _net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 4)).eval()


def _audit(model: Any, images: Tensor = IMAGES, **given: Any) -> Any:
    return audit(model, (images, LABELS), **{"attacks": ["fgsm"], "eps": ["8/255"]} | given)


def _file(folder: Path, body: str, name: str = "net") -> str:
    (folder / f"{name}.py").write_text(f"import torch\nfrom torch import nn\n{body}\n")
    return f"{folder / name}.py"


BUILD = "def build():\n    return nn.Sequential(nn.Flatten(), nn.Linear(192, 4)).eval()"
TWO = (
    "class Two(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
    "        self.net = nn.Sequential(nn.Flatten(), nn.Linear(192, 4))\n"
    "    def forward(self, x):\n        return self.net(x), x\n"
    "def build():\n    return Two().eval()"
)


def _mlp(folder: Path, state: Any, suffix: str = "pt", **given: Any) -> Any:
    torch.save(state, folder / f"w.{suffix}")
    return load_model("zoo:mlp", weights=folder / f"w.{suffix}", **given)


def _state() -> dict[str, Tensor]:
    net = load_model("zoo:mlp", require_weights=False).model
    assert isinstance(net, nn.Module)
    return dict(net.state_dict())


def _convert(folder: Path) -> Any:
    """Run the line that the refusal of a pickled module prints."""
    try:
        _pickled(folder)
    except ValueError as error:
        line = str(error).partition("convert it once with ")[2]
        command = shlex.split(line)
        subprocess.run([sys.executable, *command[1:]], check=True)
    return load_model("zoo:mlp", weights=folder / "whole.safetensors")


def _pickled(folder: Path) -> Any:
    net = load_model("zoo:mlp", require_weights=False).model
    torch.save(net, folder / "whole.pt")
    return load_model("zoo:mlp", weights=folder / "whole.pt")


def _with_no_grad(inputs: Tensor) -> Tensor:
    with torch.no_grad():
        scores: Tensor = _net()(inputs)
    return scores


def _on_meta() -> nn.Module:
    with torch.device("meta"):
        return nn.Sequential(nn.Flatten(), nn.Linear(192, 4)).eval()


def _from_meta() -> nn.Module:
    model = _on_meta().to_empty(device="cpu")
    model.load_state_dict(_net().state_dict())
    return model


def _lazy(*, called: bool) -> nn.Module:
    net = nn.Sequential(nn.Flatten(), nn.LazyLinear(4)).eval()
    if called:
        net(IMAGES)
    return net


CASES = [
    Case(
        "a name without its kind",
        lambda _: load_model("mlp"),
        "did you mean 'zoo:mlp'",
        lambda _: load_model("zoo:mlp", require_weights=False),
    ),
    Case(
        "a misspelt name",
        lambda _: load_model("zoo:mpl"),
        "did you mean 'zoo:mlp'",
        lambda _: load_model("zoo:mlp", require_weights=False),
    ),
    Case(
        "a file without its factory",
        lambda f: load_model(_file(f, BUILD)),
        ".py:factory",
        lambda f: load_model(f"{f / 'net'}.py:build"),
    ),
    Case(
        "a factory of another name",
        lambda f: load_model(f"{_file(f, BUILD)}:builds"),
        "did you mean 'build'",
        lambda f: load_model(f"{f / 'net'}.py:build"),
    ),
    Case(
        "a factory that returns no model",
        lambda f: load_model(f"{_file(f, 'def build():' + chr(10) + '    return 3')}:build"),
        "return a torch module",
        lambda f: load_model(f"{_file(f, BUILD, 'other')}:build"),
    ),
    Case(
        "weights of an architecture without them",
        lambda _: load_model("zoo:mlp"),
        "--weights",
        lambda f: _mlp(f, _state()),
    ),
    Case(
        "a list of tensors",
        lambda f: _mlp(f, [torch.zeros(2)]),
        "torch.save(model.state_dict(), FILE)",
        lambda f: _mlp(f, _state()),
    ),
    Case("a whole pickled module", _pickled, "convert it once with", _convert),
    Case(
        "weights for other classes",
        lambda f: _mlp(f, _state(), classes=4),
        "built for the same number of classes",
        lambda f: _mlp(f, _state(), classes=10),
    ),
    Case(
        "no such file of weights",
        lambda f: load_model("zoo:mlp", weights=f / "no.pt"),
        "give a .safetensors or .pt file",
        lambda f: _mlp(f, _state()),
    ),
    Case(
        "cut weights",
        lambda f: (
            save_file(_state(), f / "w.safetensors"),
            (f / "w.safetensors").write_bytes((f / "w.safetensors").read_bytes()[:-9]),
            load_model("zoo:mlp", weights=f / "w.safetensors"),
        ),
        "save it again",
        lambda f: (
            save_file(_state(), f / "w.safetensors"),
            load_model("zoo:mlp", weights=f / "w.safetensors"),
        ),
    ),
    Case(
        "a mean in levels",
        lambda f: _mlp(f, _state(), mean=(127.0,)),
        "divide by 255",
        lambda f: _mlp(f, _state(), mean=(127.0 / 255,)),
    ),
    Case(
        "a mean in levels, for levels",
        lambda f: _mlp(f, _state(), mean=(127.0,)),
        "add --input-range 255",
        lambda f: _mlp(f, _state(), mean=(127.0,), input_range=255),
    ),
    Case(
        "std 0",
        lambda f: _mlp(f, _state(), std=(0.0,)),
        "the spread of pixels in [0, 1]",
        lambda f: _mlp(f, _state(), std=(0.3,)),
    ),
    Case(
        "three means and two deviations",
        lambda f: _mlp(f, _state(), mean=(0.5,) * 3, std=(0.5,) * 2),
        "give one a channel",
        lambda f: _mlp(f, _state(), mean=(0.5,) * 3, std=(0.5,) * 3),
    ),
    Case(
        "unknown channels",
        lambda f: _mlp(f, _state(), channels="grey"),
        "rgb, bgr, gray",
        lambda f: _mlp(f, _state(), channels="gray"),
    ),
    Case(
        "preprocessing for a model in Python",
        lambda _: _audit(_net(), mean=(0.5,)),
        "put preprocessing into your own model",
        lambda _: _audit(nn.Sequential(_Half(), _net()).eval()),
    ),
    Case(
        "colours for a grey model",
        lambda f: audit(
            "zoo:mlp",
            (IMAGES.repeat(1, 1, 4, 4)[..., :28, :28], LABELS),
            attacks=["fgsm"],
            eps=[0.1],
            weights=_saved(f),
        ),
        "--channels",
        lambda f: audit(
            "zoo:mlp",
            (IMAGES.repeat(1, 1, 4, 4)[..., :28, :28], LABELS),
            attacks=["fgsm"],
            eps=[0.1],
            weights=_saved(f),
            channels="gray",
        ),
    ),
    Case(
        "small images",
        lambda f: audit("zoo:mlp", (GREY, LABELS), attacks=["fgsm"], eps=[0.1], weights=_saved(f)),
        "--resize",
        lambda f: audit(
            "zoo:mlp", (GREY, LABELS), attacks=["fgsm"], eps=[0.1], weights=_saved(f), resize=28
        ),
    ),
    Case(
        "two outputs",
        lambda f: audit(f"{_file(f, TWO)}:build", (IMAGES, LABELS)),
        "--output",
        lambda f: audit(
            f"{_file(f, TWO)}:build", (IMAGES, LABELS), attacks=["fgsm"], eps=[0.1], output=0
        ),
    ),
    Case(
        "a tuple, wrapped",
        lambda _: _audit(lambda x: (_net()(x), x)),
        "returns the scores alone",
        lambda _: _audit(lambda x: (_net()(x), x)[0]),
    ),
    Case(
        "a dictionary, wrapped",
        lambda _: _audit(lambda x: {"logits": _net()(x)}),
        "returns them alone",
        lambda _: _audit(lambda x: {"logits": _net()(x)}["logits"]),
    ),
    Case(
        "classes in place of scores",
        lambda _: _audit(lambda x: _net()(x).argmax(1)),
        "return logits",
        lambda _: _audit(_net()),
    ),
    Case(
        "no gradient",
        lambda _: _audit(_with_no_grad),
        "remove torch.no_grad()",
        lambda _: _audit(_net()),
    ),
    Case(
        "no gradient, other attack",
        lambda _: _audit(_with_no_grad),
        "--attack square",
        lambda _: _audit(_with_no_grad, attacks=["square"], queries=5),
    ),
    Case(
        "the meta device",
        lambda _: _audit(_on_meta()),
        ".to_empty(device='cpu')",
        lambda _: _audit(_from_meta()),
    ),
    Case(
        "a lazy layer",
        lambda _: _audit(_lazy(called=False)),
        "call the model once",
        lambda _: _audit(_lazy(called=True)),
    ),
    Case(
        "a device that is not there",
        lambda _: load_model("zoo:mlp", device="cuda:99"),
        "try cpu",
        lambda f: _mlp(f, _state(), device="cpu"),
    ),
]


class _Half(nn.Module):
    def forward(self, inputs: Tensor) -> Tensor:
        return (inputs - 0.5) / 0.5


def _saved(folder: Path) -> Path:
    torch.save(_state(), folder / "mlp.pt")
    return folder / "mlp.pt"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_remedy_works(case: Case, tmp_path: Path) -> None:
    follow(case, tmp_path)
