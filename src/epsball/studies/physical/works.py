"""What a cell of study `physical` does."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from epsball.attacks import bim, expectation, fgsm
from epsball.data import to_unit
from epsball.evaluation.records.survival import to_8bit
from epsball.models.purifiers.camera import SEVERITIES, Camera, photograph
from epsball.models.purifiers.defended import defended
from epsball.randomness import ImageStreams
from epsball.studies.core.cell import Cell
from epsball.studies.core.spec import CellWork
from epsball.studies.core.store import Row
from epsball.studies.core.workspace import Workspace
from epsball.studies.judge.victim import Victim, open_victim
from epsball.types import Dataset

FILE = 0  # the severity of an image that is not photographed


def _clean(cell: Cell, workspace: Workspace) -> list[Row]:
    """Photograph clean images at every severity, and show them to the model."""
    victim, images = _opened(cell, workspace)
    rows: list[Row] = []
    for positions in _batches(len(images), victim.batch):
        inputs = to_unit(images.read(positions))
        rows += _readings(cell, victim, inputs, images.labels[positions], positions)
    return rows


def _attack(cell: Cell, workspace: Workspace) -> list[Row]:
    """Attack images, store them in 8 bits, photograph them at every severity."""
    victim, images = _opened(cell, workspace)
    rows: list[Row] = []
    for positions in _batches(len(images), victim.batch):
        clean = to_unit(images.read(positions))
        labels = torch.from_numpy(images.labels[positions].copy())
        moved = _attacked(cell, victim, clean.to(victim.subject.device), labels)
        files = torch.from_numpy(to_8bit(moved.cpu(), clean)).float() / 255
        rows += _readings(cell, victim, files, images.labels[positions], positions)
    return rows


def _attacked(cell: Cell, victim: Victim, inputs: Tensor, labels: Tensor) -> Tensor:
    """Attack as Kurakin et al. do: with the label that the model gives, or its least likely."""
    method, eps = cell.parameters["method"], float(str(cell.parameters["eps"]))
    labels = labels.to(inputs.device)
    if method == "fast":
        return fgsm(victim.gradients, inputs, labels, eps=eps)
    steps = int(str(cell.parameters["steps"]))
    if method == "iterative":
        return bim(victim.gradients, inputs, labels, eps=eps, steps=steps)
    if method == "least-likely":
        return bim(
            victim.gradients,
            inputs,
            labels,
            eps=eps,
            steps=steps,
            direction="descent",
            reference="least_likely",
        )
    camera = Camera(int(str(cell.parameters["severity"])))
    draws = int(str(cell.parameters["draws"]))
    through_camera = expectation(
        defended(victim.gradients, camera),
        samples=draws,
        generator=torch.Generator().manual_seed(cell.seed),
    )
    return bim(through_camera, inputs, labels, eps=eps, steps=steps)


def _readings(
    cell: Cell,
    victim: Victim,
    files: Tensor,
    labels: NDArray[np.int64],
    positions: NDArray[np.int64],
) -> list[Row]:
    """Return a row for each image and severity, from the file itself upwards."""
    seed = cell.shared_seed("content")  # an image is photographed alike under every attack
    known = torch.from_numpy(labels.copy())[:, None]
    rows: list[Row] = []
    for severity in range(FILE, len(SEVERITIES) + 1):
        shown = files
        if severity != FILE:
            streams = ImageStreams.of(positions.tolist(), seed=seed, purpose=f"camera{severity}")
            shown = photograph(files, severity=severity, generator=streams)
        scores = victim.scores(shown)
        ranks = 1 + (scores > scores.gather(1, known)).sum(1)
        confidence, predicted = scores.double().softmax(1).max(1)
        columns = (ranks.tolist(), predicted.tolist(), confidence.tolist())
        rows += [
            {"index": int(p), "label": int(label), "shot": severity, "label_rank": rank}
            | {"prediction": name, "confidence": probability}
            for p, label, rank, name, probability in zip(positions, labels, *columns, strict=True)
        ]
    return rows


def _opened(cell: Cell, workspace: Workspace) -> tuple[Victim, Dataset]:
    values = cell.parameters
    victim = open_victim(workspace, *(str(values[n]) for n in ("model", "weights", "precision")))
    limit = values["images"]
    return victim, workspace.test_set(None if limit is None else int(str(limit)))


def _batches(count: int, size: int) -> Iterator[NDArray[np.int64]]:
    for start in range(0, count, size):
        yield np.arange(start, min(start + size, count))


WORKS: dict[str, CellWork] = {"clean": _clean, "attack": _attack}
