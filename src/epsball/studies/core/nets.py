"""Networks of a study: trained once, each in the directory of its cell, and found there again."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import nn

from epsball.errors import InvalidInput
from epsball.machine.hardware import choose_device
from epsball.studies.core.cell import Cell
from epsball.studies.core.store import Row
from epsball.studies.core.workspace import Workspace
from epsball.training import EpochRow, TrainResult, TrainSettings, train
from epsball.training.measure.watch import IMAGES, STEPS
from epsball.types import Dataset

_WEIGHTS = "model.safetensors"


def train_net(
    workspace: Workspace,
    cell: Cell,
    model: nn.Module,
    dataset: Dataset,
    settings: TrainSettings,
    *,
    sources: Sequence[nn.Module] = (),
    held_out: Dataset | None = None,
) -> list[Row]:
    """Train a cell's network; killed in the middle, it goes on at the last finished epoch.

    Args:
        workspace: the study's.
        cell: whose network it is.
        model: with its first weights.
        dataset: to train on.
        settings: how.
        sources: other models, for recipes that take some.
        held_out: images to validate on, in place of a share of the training images.

    Returns:
        One row: what training cost, what the weights amount to, and the doubts that the epochs
        give cause for; then one for each epoch that was watched (mode "epoch").
    """
    out = workspace.model(cell.hash)
    result = train(model, dataset, settings, out=out, sources=sources, validation_set=held_out)
    weights = [w.detach() for w in model.parameters() if w.dim() > 1]
    last = result.epochs[-1]
    row: Row = {
        "epochs_run": len(result.epochs),
        "train_loss": last.train_loss,
        "train_accuracy": last.train_accuracy,
        "gradient_evaluations": result.gradient_evaluations - _watching(result, dataset),
        "training_seconds": result.seconds,
        "weights": sum(w.numel() for w in weights),
        "weights_l1": float(sum(w.abs().sum() for w in weights)),
        "weights_l2": float(sum(w.square().sum() for w in weights)),
        "findings": " ".join(note.code for note in result.notes),
    }
    return [row, *_watched(result.epochs)]


def train_settings(cell: Cell, workspace: Workspace, seed: int) -> TrainSettings:
    """Return the settings of a training: the parameters "train_NAME" of its cell."""
    given: dict[str, Any] = {
        name.removeprefix("train_"): value
        for name, value in cell.parameters.items()
        if name.startswith("train_") and name != "train_images"
    }
    return TrainSettings(**given).changed(seed=seed, device=workspace.device)


def _watching(result: TrainResult, dataset: Dataset) -> int:
    """Return the gradients that watching took: they are no part of the recipe."""
    looks = sum(one.pgd_accuracy is not None for one in result.epochs)
    return looks * min(IMAGES, len(dataset)) * (STEPS + 1)  # PGD's steps, and FGSM


def _watched(epochs: Sequence[EpochRow]) -> list[Row]:
    return [
        {
            "mode": "epoch",
            "epoch": one.epoch,
            "watched_accuracy": one.watched_accuracy,
            "fgsm_accuracy": one.fgsm_accuracy,
            "pgd_accuracy": one.pgd_accuracy,
        }
        for one in epochs
        if one.pgd_accuracy is not None
    ]


def trained_net(workspace: Workspace, cell: str, model: nn.Module) -> nn.Module:
    """Give a model the weights of a cell that is done, in eval mode.

    Raises:
        InvalidInput: they are not there any more.
    """
    file: Path = workspace.model(cell) / _WEIGHTS
    if not file.exists():
        raise InvalidInput(
            f"study: {file} is missing: delete {workspace.out / 'rows' / cell}.parquet too, and "
            "give the command again"
        )
    model.load_state_dict(load_file(file))
    return model.eval().to(choose_device(workspace.device))
