"""The models and images of the cases."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from benchmarks.peers.methods import Case
from torch import Tensor, nn

from epsball.data import choose, load_data, to_unit
from epsball.errors import InvalidInput
from epsball.models import fingerprint, load_model
from epsball.radii import parse_eps


@dataclass(frozen=True)
class Subject:
    """A model and its images.

    Args:
        model: in eval mode, on its device, its weights without gradients: a library that calls
            backward() would otherwise pay for gradients that no attack uses.
        images: (n, c, h, w), float32 in [0, 1], on the CPU.
        labels: (n,), int64.
        classes: k.
        eps: radius in linf.
        weights: start of the fingerprint of the weights.
    """

    model: nn.Module
    images: Tensor
    labels: Tensor
    classes: int
    eps: float
    weights: str


def open_subject(case: Case, folder: Path, images: int, device: str) -> Subject:
    """Load a case's model and its first images, of all classes where the data are sorted.

    Raises:
        EpsballError: weights or data are not at hand; the message says how to get them.
    """
    file = None if case.weights is None else folder / case.weights
    if file is not None and not file.is_file():
        raise InvalidInput(f"no weights at {file}: give --train, or {how_to_train(case, folder)}")
    model = load_model(f"zoo:{case.model}", weights=file, device=device).model
    if not isinstance(model, nn.Module):
        raise InvalidInput(f"zoo:{case.model} must be a torch module")
    model.eval().requires_grad_(requires_grad=False)
    data = load_data(case.data)
    chosen = choose(data.labels, images)
    return Subject(
        model,
        to_unit(data.read(chosen)),
        torch.from_numpy(data.labels[chosen]),
        len(data.class_names),
        parse_eps(case.eps),
        fingerprint(model)[:12],
    )


def training_command(case: Case, folder: Path) -> list[str]:
    """Return what `epsball` is to be asked for."""
    out = folder / Path(case.weights or case.model).stem
    return ["train", f"zoo:{case.model}", "--data", case.data, *case.training, "--out", str(out)]


def how_to_train(case: Case, folder: Path) -> str:
    """Say how the weights are made by hand."""
    command = training_command(case, folder)
    return f"run: epsball {' '.join(command)} && cp {command[-1]}/model.safetensors " + str(
        folder / (case.weights or "")
    )


def train_missing(case: Case, folder: Path) -> None:
    """Train a case's model unless its weights are there; a killed training is continued."""
    if case.weights is None or (folder / case.weights).is_file():
        return
    command = training_command(case, folder)
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-m", "epsball.cli", *command], check=True)
    shutil.copyfile(Path(command[-1]) / "model.safetensors", folder / case.weights)
