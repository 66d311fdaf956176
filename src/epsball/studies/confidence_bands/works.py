"""What a cell of study `confidence-bands` does."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from epsball.attacks import bim
from epsball.attacks.gradient.fgsm import fgsm_sweep
from epsball.data import to_unit
from epsball.studies.confidence_bands.gallery import keep_black, keep_gallery
from epsball.studies.confidence_bands.kinds import with_kinds
from epsball.studies.core.cell import Cell
from epsball.studies.core.spec import CellWork
from epsball.studies.core.store import Row, Store
from epsball.studies.core.workspace import Workspace
from epsball.studies.judge.victim import Victim, open_victim
from epsball.types import Dataset

TOP = 5
_FOLLOWED = {
    "predicted": "top1",
    "least_likely": "least_likely",
    "least_likely_top5": f"top{TOP}",
}


def _clean(cell: Cell, workspace: Workspace) -> list[Row]:
    """Read every clean image: prediction, confidence, top five, and the least likely class."""
    victim, images = _opened(cell, workspace)
    rows: list[Row] = []
    for positions in _batches(len(images), victim.batch):
        scores = victim.scores(to_unit(images.read(positions)))
        first = scores.topk(min(TOP, scores.shape[1]), dim=1).indices
        for row, one in enumerate(_readings(scores, images.labels[positions])):
            top = {f"top{rank}": c for rank, c in enumerate(first[row].tolist(), start=1)}
            rows.append(
                {"index": int(positions[row])}
                | one
                | top
                | {"least_likely": int(scores[row].argmin())}
            )
    return rows


def _attack(cell: Cell, workspace: Workspace) -> list[Row]:
    """Attack every image and read what came out."""
    victim, images = _opened(cell, workspace)
    followed = followed_classes(cell, workspace)
    rows: list[Row] = []
    for positions in _batches(len(images), victim.batch):
        inputs = to_unit(images.read(positions)).to(victim.subject.device)
        classes = torch.from_numpy(followed[positions]).to(inputs.device)
        for eps, attacked in attack_images(cell, victim, inputs, classes):
            readings = _readings(victim.scores(attacked), images.labels[positions])
            moved = (attacked != inputs).flatten(1).any(1).tolist()
            rows += [
                {"index": int(p), "radius": eps, "target": int(c), "moved": bool(m)} | one
                for p, c, m, one in zip(positions, classes.tolist(), moved, readings, strict=True)
            ]
    return rows


def attack_images(
    cell: Cell, victim: Victim, inputs: Tensor, followed: Tensor
) -> Iterator[tuple[float, Tensor]]:
    """Attack images with the settings of a cell.

    Args:
        cell: of kind "attack".
        victim: the model.
        inputs: (n, c, h, w), clean.
        followed: (n,), the class whose score is pushed up, or, for reference "predicted", down.

    Returns:
        Each eps with the attacked images.
    """
    arguments: dict[str, Any] = {
        "direction": "ascent" if cell.parameters["reference"] == "predicted" else "descent",
        # labels only name the followed class: it comes from float32 scores, and whether the attack
        # succeeds is judged afterwards
        "reference": "true",
        "scale": cell.parameters["scale"],
    }
    model = victim.gradients
    if cell.parameters["method"] == "fast":
        radii = [float(eps) for eps in str(cell.parameters["radii"]).split()]
        yield from zip(
            radii, fgsm_sweep(model, inputs, followed, eps=radii, **arguments), strict=True
        )
        return
    eps, steps, stride = (float(str(cell.parameters[n])) for n in ("eps", "steps", "stride"))
    yield (
        eps,
        bim(
            model, inputs, followed, eps=eps, steps=int(steps), step_size=stride * eps / steps,
            **arguments,
        ),
    )  # fmt: skip


def followed_classes(cell: Cell, workspace: Workspace) -> NDArray[np.int64]:
    """Return the class that the attack follows on every image, by the clean scores."""
    clean = clean_rows(cell, workspace)
    name = _FOLLOWED[str(cell.parameters["reference"])]
    if name not in clean.columns:  # fewer classes than five: the last of them
        name = max(column for column in clean.columns if column.startswith("top"))
    return clean[name].to_numpy(writable=True)


def clean_rows(cell: Cell, workspace: Workspace) -> pl.DataFrame:
    """Return the rows of the cell of clean images that a cell needs, by index."""
    return pl.read_parquet(Store(workspace.out).file(cell.needs[0])).sort("index")


def _readings(scores: Tensor, labels: NDArray[np.int64]) -> list[dict[str, int | float]]:
    """Return label, prediction, confidence, and the label's rank (1: first) and probability."""
    known = torch.from_numpy(labels)[:, None]
    probabilities = scores.double().softmax(1)
    own = scores.gather(1, known)
    columns = (
        labels.tolist(),
        scores.argmax(1).tolist(),
        probabilities.amax(1).tolist(),
        (1 + (scores > own).sum(1)).tolist(),
        probabilities.gather(1, known)[:, 0].tolist(),
    )
    names = ("label", "prediction", "confidence", "label_rank", "label_probability")
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _opened(cell: Cell, workspace: Workspace) -> tuple[Victim, Dataset]:
    parameters = cell.parameters
    victim = open_victim(
        workspace, *(str(parameters[name]) for name in ("model", "weights", "precision"))
    )
    limit = parameters["images"]
    return victim, workspace.test_set(None if limit is None else int(str(limit)))


def _batches(count: int, size: int) -> Iterator[NDArray[np.int64]]:
    for start in range(0, count, size):
        yield np.arange(start, min(start + size, count))


def _black(cell: Cell, workspace: Workspace) -> list[Row]:
    victim, images = _opened(cell, workspace)
    return keep_black(victim, images, workspace.images(cell.hash))


def _gallery(cell: Cell, workspace: Workspace) -> list[Row]:
    victim, images = _opened(cell, workspace)
    clean = clean_rows(cell, workspace)
    attacked = pl.read_parquet(Store(workspace.out).file(cell.needs[1])).sort("index")
    followed = torch.from_numpy(followed_classes(cell, workspace))

    def attack(positions: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        inputs = to_unit(images.read(positions)).to(victim.subject.device)
        ((_, attacked),) = attack_images(
            cell, victim, inputs, followed[positions].to(inputs.device)
        )
        return inputs.cpu(), attacked.cpu()

    names = images.class_names
    labelled = with_kinds(clean, attacked, names, str(cell.parameters["hierarchy"]))
    return keep_gallery(labelled, names, attack, workspace=workspace, cell=cell)


WORKS: dict[str, CellWork] = {
    "clean": _clean,
    "attack": _attack,
    "black": _black,
    "gallery": _gallery,
}
