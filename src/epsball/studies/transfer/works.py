"""The work of study `transfer`: training, attacking, scoring other models on the images."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from epsball.data import to_unit
from epsball.evaluation.settings import make_settings
from epsball.files import write_npz
from epsball.randomness import ImageStreams
from epsball.studies.core.cell import Cell
from epsball.studies.core.spec import CellWork
from epsball.studies.core.store import Row
from epsball.studies.core.workspace import Workspace, read_examples_of
from epsball.studies.transfer.models import majority, opened, predict, train
from epsball.studies.transfer.plan import VOTE

_BATCH = 250
_WHITE = 255


def _attack(cell: Cell, workspace: Workspace) -> list[Row]:
    """Attack every test image, right or wrong, and keep the result in 8 bits, lossless."""
    values: Any = cell.parameters
    model = opened(workspace, cell.needs[0], cell)
    images, labels = _test_images(cell, workspace)
    relaxed = getattr(model, "relaxed", None)
    stand_in = relaxed() if callable(relaxed) else None
    source: nn.Module = stand_in or model
    eps = values["l2_eps"] if values["norm"] == "l2" else values["eps"]
    (setting,) = make_settings([values["made_by"]], norm=values["norm"], eps=[eps])
    parts = []
    for at in range(0, len(images), _BATCH):
        rows = slice(at, at + _BATCH)
        streams = ImageStreams.of(
            torch.arange(len(images))[rows], seed=cell.seed, purpose=setting.variant
        )
        arguments = setting.arguments(eps)
        parts.append(
            setting.spec.attack(source, images[rows], labels[rows], generator=streams, **arguments)
        )
    attacked = (torch.cat(parts) * _WHITE).round()
    clean = predict(model, images)
    own = predict(model, attacked / _WHITE)
    arrays = {"images": attacked.to(torch.uint8).numpy(), "clean": clean}
    write_npz(workspace.examples(cell.hash), arrays)
    delta = (attacked / _WHITE - images).flatten(1)
    truth = labels.numpy()
    row: Row = {
        "mode": "attack",
        "n": len(images),
        "clean_right": int((clean == truth).sum()),
        "own_wrong": int((own != truth).sum()),
        "mean_l2": float(delta.norm(dim=1).mean()),
        "mean_linf": float(delta.abs().amax(1).mean()),
        "mean_l0": float((delta != 0).float().sum(1).mean()),
    }
    return [row]


def _judge(cell: Cell, workspace: Workspace) -> list[Row]:
    """Show one model, or the vote of several, the images made on each source."""
    values: Any = cell.parameters
    sources = [tuple(one.split("/")) for one in values["sources"].split(",")]
    models, attacks = cell.needs[: -len(sources)], cell.needs[-len(sources) :]
    images, labels = _test_images(cell, workspace)
    if values["technique"] == VOTE:
        members = [
            opened(workspace, hashed, _of_technique(cell, technique))
            for hashed, (technique, _) in zip(models, sources, strict=True)
        ]
    else:
        members = [opened(workspace, models[0], cell)]
    classes = len(workspace.test_set().class_names)

    def predictions(shown: Tensor) -> NDArray[np.int64]:
        return majority([predict(member, shown) for member in members], classes)

    truth, clean = labels.numpy(), predictions(images)
    rows: list[Row] = []
    for (technique, subset), hashed in zip(sources, attacks, strict=True):
        stored = read_examples_of(workspace.examples(hashed))
        wrong = predictions(torch.from_numpy(stored["images"]).float() / _WHITE) != truth
        both = (clean == truth) & (stored["clean"] == truth)
        rows.append(
            {
                "mode": "transfer",
                "source": technique,
                "source_subset": subset,
                "n": len(truth),
                "clean_wrong": int((clean != truth).sum()),
                "wrong": int(wrong.sum()),
                "both_right": int(both.sum()),
                "fooled": int((wrong & both).sum()),
                "agree": int((clean == stored["clean"]).sum()),
            }
        )
    return rows


def _of_technique(cell: Cell, technique: str) -> Cell:
    return replace(cell, parameters={**cell.parameters, "technique": technique})


def _test_images(cell: Cell, workspace: Workspace) -> tuple[Tensor, Tensor]:
    values: Any = cell.parameters
    images = workspace.test_set(values["images"])
    pixels = to_unit(images.read(np.arange(len(images))))
    return pixels, torch.from_numpy(images.labels)


WORKS: Mapping[str, CellWork] = {"train": train, "attack": _attack, "judge": _judge}
