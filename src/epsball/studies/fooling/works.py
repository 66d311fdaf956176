"""What a cell of study `fooling` does."""

import numpy as np
import torch

from epsball.files import write_npz
from epsball.fooling.evolution import evolve
from epsball.fooling.gradient import ascend_class
from epsball.fooling.result import Fooling
from epsball.studies.core.cell import Cell
from epsball.studies.core.spec import CellWork
from epsball.studies.core.store import Row
from epsball.studies.core.workspace import Workspace
from epsball.studies.fooling.plan import WAYS, classes_of
from epsball.studies.judge.victim import open_victim
from epsball.types import Dataset

_BATCH = 6_000_000  # pixels


def _search(cell: Cell, workspace: Workspace) -> list[Row]:
    """Search an image for each class, and keep the images."""
    images = workspace.test_set()
    targets = torch.tensor(classes_of(cell, len(images.class_names)))
    fooling = _fool(cell, workspace, images, targets)
    levels = (fooling.images * 255).round().byte().numpy()
    write_npz(workspace.images(cell.hash), {"images": levels, "targets": targets.numpy()})
    return [
        {"class_number": target, "class_name": images.class_names[target]}
        | {"reached_confidence": confidence, "queries": queries}
        for target, confidence, queries in zip(
            targets.tolist(), fooling.confidence.tolist(), fooling.queries.tolist(), strict=True
        )
    ]


def _fool(cell: Cell, workspace: Workspace, images: Dataset, targets: torch.Tensor) -> Fooling:
    values, how = cell.parameters, WAYS[str(cell.parameters["way"])]
    victim = open_victim(workspace, str(values["model"]), str(values["weights"]), "float32")
    device = victim.subject.device
    confidence, targets = float(str(values["confidence"])), targets.to(device)
    if how["by"] == "evolution":
        return evolve(
            victim,
            targets,
            classes=len(images.class_names),
            shape=images.shape,
            encoding=how["encoding"],
            confidence=confidence,
            evaluations=int(str(values["evaluations"])),
            seed=cell.seed,
        )
    generator = torch.Generator().manual_seed(cell.seed)
    size = max(1, _BATCH // int(np.prod(images.shape)))
    parts = []
    for chosen in torch.split(targets, size):
        start = torch.zeros(len(chosen), *images.shape)
        if how["start"] == "noise":
            start = torch.rand(start.shape, generator=generator)
        steps = int(str(values["steps"]))
        parts.append(
            ascend_class(
                victim,
                start.to(device),
                chosen,
                confidence=confidence,
                steps=steps,
                generator=generator,
            )
        )
    columns = zip(*((p.images, p.targets, p.confidence, p.queries) for p in parts), strict=True)
    return Fooling(*(torch.cat(column) for column in columns))


WORKS: dict[str, CellWork] = {"search": _search}
