"""Forty things that a new user tries in the first hour, each as it would be typed.

`python -m pytest tests/newcomers -m slow -q` runs them; each ends with an answer, or, where the
input is wrong, with one line that says what to do.
"""

import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset

import epsball
from epsball import audit
from epsball.attacks import pgd
from epsball.cli import main

pytestmark = pytest.mark.slow

MODELS = """
import torch
from torch import nn

class Net(nn.Module):
    class_names = ("ant", "bee", "cat", "dog")
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.norm, self.out = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Linear(144, 4)
    def forward(self, x):
        x = self.norm(self.conv(x)).relu()
        return self.out(x.view(x.size(0), -1))

def build(): return Net().eval()
def half(): return Net().eval().double()
class Levels(Net):
    def forward(self, x): return super().forward(x / 255)
class Last(Net):
    def forward(self, x): return super().forward(x.permute(0, 3, 1, 2))
class Two(Net):
    def forward(self, x): return x.mean((1, 2, 3)), super().forward(x)
class Named(Net):
    def forward(self, x): return {"features": x, "scores": super().forward(x)}
ready = Net()
ready.norm.train()
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a user's models and images in every form."""
    root = tmp_path_factory.mktemp("newcomer")
    (root / "mine.py").write_text(MODELS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        _write_models(root)
        _write_data(root)
        yield root


def _write_models(root: Path) -> None:
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location("newcomer_models", root / "mine.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    net = module.build()
    torch.save(net.state_dict(), root / "weights.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(net), str(root / "net.pt"))
        program = torch.export.export(net, (torch.rand(1, 1, 8, 8),))
        torch.export.save(program, root / "net.pt2")


def _write_data(root: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8)).astype(np.uint8)
    labels, names = np.arange(40) % 4, np.array(["ant", "bee", "cat", "dog"])
    np.savez(root / "images.npz", images=images[..., None], labels=labels, class_names=names)
    paths = []
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        folder = root / "photos" / names[label]
        folder.mkdir(parents=True, exist_ok=True)
        paths.append(str(folder / f"{number}.png"))
        Image.fromarray(image).save(paths[-1])
    pl.DataFrame({"path": paths, "label": names[labels].tolist()}).write_csv(root / "list.csv")
    (root / "targets.txt").write_text("\n".join("ant" for _ in labels) + "\n")


def arrays() -> tuple[torch.Tensor, torch.Tensor]:
    content = np.load("images.npz")
    images = torch.from_numpy(content["images"]).permute(0, 3, 1, 2).float() / 255
    return images, torch.from_numpy(content["labels"])


def network() -> Any:
    return epsball.load_model("mine.py:build").model


SHORT = "--attack fgsm --eps 8/255 --limit 16"
NPZ = f"--data npz:images.npz {SHORT}"
# what is typed, the exit code, and a part of what is printed
TYPED: dict[str, tuple[str, int, str]] = {
    "a factory": (f"audit mine.py:build {NPZ}", 0, "Robust accuracy is at most"),
    "a class": (f"audit mine.py:Net {NPZ}", 0, "put-in-eval"),
    "a class of a package": (f"audit mine:Net {NPZ}", 0, "Robust accuracy is at most"),
    "weights": (f"audit mine.py:Net --weights weights.pt {NPZ}", 0, "Robust accuracy"),
    "a finished module": (f"audit mine.py:ready {NPZ}", 3, "train-mode"),
    "a finished module put into eval mode": (f"audit mine.py:ready --eval {NPZ}", 0, "Robust"),
    "float64": (f"audit mine.py:half {NPZ}", 0, "Robust accuracy is at most"),
    "TorchScript": (f"audit jit:net.pt {NPZ}", 0, "Robust accuracy is at most"),
    "an archive for one image": (f"audit pt2:net.pt2 --trust {NPZ}", 0, "Robust accuracy"),
    "an archive without trust": (f"audit pt2:net.pt2 {NPZ}", 2, "--trust"),
    "levels": (f"audit mine.py:Levels --input-range 255 {NPZ}", 0, "Robust accuracy"),
    "channels last": (f"audit mine.py:Last --layout nhwc {NPZ}", 0, "Robust accuracy"),
    "two outputs": (f"audit mine.py:Two {NPZ}", 2, "--output 0"),
    "the second output": (f"audit mine.py:Two --output 1 {NPZ}", 0, "Robust accuracy"),
    "an output by name": (f"audit mine.py:Named --output scores {NPZ}", 0, "Robust accuracy"),
    "fractions": (f"audit mine.py:build --mean 127/255 --std 1/4 {NPZ}", 0, "Robust accuracy"),
    "a folder": (f"audit mine.py:build --data folder:photos {SHORT}", 0, "Robust accuracy"),
    "one image": (
        "audit mine.py:build --data photos/ant/0.png --label ant --attack fgsm --eps 8/255",
        0,
        "1 image)",
    ),
    "one image by number": (
        "audit mine.py:build --data photos/bee/1.png --label 1 --attack fgsm --eps 0.1",
        0,
        "1 image)",
    ),
    "one image without a label": ("audit mine.py:build --data photos/ant/0.png", 2, "--label"),
    "lists of attacks and radii": (
        "audit mine.py:build --data npz:images.npz --attack fgsm,pgd:steps=5 --eps 1/255,2/255",
        0,
        "pgd:steps=5",
    ),
    "a class to reach": (f"audit mine.py:build --target ant {NPZ}", 0, "reach their target"),
    "least-likely": (f"audit mine.py:build --target least-likely {NPZ}", 0, "reach their target"),
    "targets of a file": (f"audit mine.py:build --target targets.txt {NPZ}", 0, "their target"),
    "a time budget": (
        "audit mine.py:build --data npz:images.npz --attack strongest --eps 0.1 --budget 20s",
        0,
        "so far: Robust accuracy",
    ),
    "a bar for CI": (f"audit mine.py:build --fail-under 99% {NPZ}", 1, "junit.xml"),
    "images to take away": (
        "attack mine.py:build --data npz:images.npz --eps 8/255 --format png --out adv",
        0,
        "40 images in adv",
    ),
    "a misspelt attack": (f"audit mine.py:build {NPZ} --attack pdg", 2, "did you mean 'pgd'"),
    "a misspelt list": ("list atacks", 2, "did you mean 'attacks'"),
    "a list in the singular": ("list attack", 0, "autoattack"),
    "a radius in levels": (f"audit mine.py:build {NPZ} --eps 8", 2, "8/255"),
}


# what is written in Python, and a part of what is printed
WRITTEN: dict[str, tuple[Callable[[], Any], str]] = {
    "a loader": (
        lambda: audit(
            network(), DataLoader(TensorDataset(*arrays()), batch_size=8), attacks=pgd, eps="8/255"
        ),
        "Robust accuracy is at most",
    ),
    "images of bytes, channels last": (
        lambda: audit(
            network(),
            (np.load("images.npz")["images"], np.load("images.npz")["labels"]),
            attack="fgsm",
            eps=0.1,
        ),
        "40 images",
    ),
    "a data frame of paths": (
        lambda: audit(network(), pl.read_csv("list.csv"), attack="fgsm", eps=0.1),
        "40 images",
    ),
    "pairs of path and name": (
        lambda: audit(network(), pl.read_csv("list.csv").rows(), attack="fgsm", eps=0.1),
        "40 images",
    ),
    "a generator": (
        lambda: audit(network(), zip(*arrays(), strict=True), attack="fgsm", eps=0.1),
        "40 images",
    ),
    "a spec with text for numbers": (
        lambda: audit(
            "mine.py:build", arrays(), attack="fgsm", eps="1/255,2/255", mean="0.5", std="1/4"
        ),
        "2/255",
    ),
    "images of the result": (
        lambda: audit(network(), arrays(), attack="fgsm", eps=0.1).images.adversarial.keys(),  # type: ignore[union-attr]  # there are some
        "fgsm",
    ),
    "a notebook": (
        lambda: audit(network(), arrays(), attack="fgsm", eps=0.1)._repr_html_(),
        "<table>",
    ),
    "completion": (lambda: dir(epsball), "audit"),
}


def test_there_are_forty() -> None:
    assert len(TYPED) + len(WRITTEN) == 40


@pytest.mark.parametrize("name", TYPED)
def test_typed(
    name: str, place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    typed, code, says = TYPED[name]
    monkeypatch.setattr(sys, "argv", ["epsball", *typed.split()])
    with pytest.raises(SystemExit) as stopped:
        main()
    printed = capsys.readouterr()
    shown = " ".join((printed.out + printed.err).split())
    assert (stopped.value.code or 0) == code, shown
    assert says in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize("name", WRITTEN)
def test_written(name: str, place: Path) -> None:
    written, says = WRITTEN[name]
    assert says in repr(written())
