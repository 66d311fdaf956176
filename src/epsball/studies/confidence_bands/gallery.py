"""Pairs of clean and attacked images for the page, and the black image of the slides."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from epsball.attacks import fgsm
from epsball.files import write_npz
from epsball.kinds.labelling import KINDS
from epsball.studies.core.cell import Cell
from epsball.studies.core.store import Row
from epsball.studies.core.workspace import Workspace
from epsball.studies.judge.victim import Victim
from epsball.types import Dataset

_PAIRS = 4  # of each kind
_SHOWN = 5  # most likely classes of the black image
# the slides add 0.9 * delta, delta being the sign of the gradient; its unit is not stated, and one
# grey level is the usual one. The others show how the result depends on it
BLACK_STEPS = (0.9 / 255, 4 / 255, 16 / 255, 0.9)


def keep_gallery(
    labelled: pl.DataFrame,
    names: Sequence[str],
    attack: Callable[[NDArray[np.int64]], tuple[Tensor, Tensor]],
    *,
    workspace: Workspace,
    cell: Cell,
) -> list[Row]:
    """Keep the pairs of every kind of which the model is most certain.

    Args:
        labelled: rows of attacked images, see `with_kinds`.
        names: of the classes.
        attack: positions to clean and attacked images, (m, c, h, w) each.
        workspace: where pairs are kept, a file each.
        cell: of kind "gallery".

    Returns:
        Two rows a pair, the clean image first.
    """
    rows: list[Row] = []
    for kind in KINDS[1:]:
        best = labelled.filter(pl.col("kind") == kind).sort("confidence", descending=True)
        for one in best.head(_PAIRS).iter_rows(named=True):
            pair = torch.cat(attack(np.array([one["index"]])))
            number = len(rows) // 2
            write_npz(workspace.images(f"{cell.hash}-{number}"), {"images": pair.numpy()})
            shared = {"pair": number, "image_kind": kind, "index": one["index"]}
            shared |= {"label_name": names[one["label"]]}
            for eps, before in ((0.0, "clean_"), (one["radius"], "")):
                prediction = one[f"{before}prediction"]
                rows.append(
                    shared
                    | {"radius": eps, "prediction_name": names[prediction]}
                    | {"confidence": one[f"{before}confidence"]}
                    | {"right": int(prediction == one["label"])}
                )
    return rows


def keep_black(victim: Victim, images: Dataset, file: Path) -> list[Row]:
    """Show the model a black image, and the same one step along the gradient of its first class.

    Args:
        victim: the model.
        images: name the classes and the shape.
        file: where the images go: black, then one for each of `BLACK_STEPS`.

    Returns:
        The most likely classes of each image: a row a class.
    """
    black = torch.zeros(1, *images.shape, device=victim.subject.device)
    first = victim.scores(black).argmax(1).to(black.device)
    moved = [
        fgsm(victim.subject.model, black, first, eps=eps, direction="descent", reference="true")
        for eps in BLACK_STEPS
    ]
    images_shown = torch.cat([black, *moved]).cpu()
    write_npz(file, {"images": images_shown.numpy()})
    probabilities = victim.scores(images_shown).double().softmax(1)
    most = probabilities.topk(min(_SHOWN, probabilities.shape[1]), dim=1)
    first_probabilities = probabilities[:, int(first)].tolist()
    rows: list[Row] = []
    for number, eps in enumerate((0.0, *BLACK_STEPS)):
        pairs = zip(most.indices[number].tolist(), most.values[number].tolist(), strict=True)
        rows += [
            {"radius": eps, "rank": rank, "prediction_name": images.class_names[c]}
            | {"confidence": p, "first_confidence": first_probabilities[number]}
            for rank, (c, p) in enumerate(pairs, start=1)
        ]
    return rows
