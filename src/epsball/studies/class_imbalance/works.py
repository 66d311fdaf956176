"""What the cells of study `class-imbalance` do: train, judge as the source does, probe deeper."""

from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from epsball.attacks import fgsm, fmn, pgd, strongest
from epsball.data import class_counts, to_unit
from epsball.data.imbalance import choose_imbalanced
from epsball.models.zoo.table import MODELS
from epsball.studies.class_imbalance.coding import write_mask, write_values
from epsball.studies.class_imbalance.networks import HELD_OUT
from epsball.studies.class_imbalance.outcomes import (
    Attack,
    attacked,
    images_of,
    logits_of,
    outcome,
)
from epsball.studies.class_imbalance.plan import control_of
from epsball.studies.core.cell import Cell
from epsball.studies.core.nets import train_net, train_settings, trained_net
from epsball.studies.core.spec import CellWork
from epsball.studies.core.store import Row
from epsball.studies.core.workspace import Workspace, part_of
from epsball.studies.judge.whole import judge_losses
from epsball.training import TrainSettings, fresh_weights
from epsball.types import Dataset

_BINS = np.linspace(-15, 15, 31)  # of the difference of two logits, for the sketch of densities
_SCALED = 500  # test images whose logits fix the scale


def train_cell(cell: Cell, workspace: Workspace) -> list[Row]:
    """Train a network; all of one repetition share first weights and draws of images."""
    seed = cell.shared_seed("content")
    with fresh_weights(seed):
        model = _build(cell, workspace)
    whole = workspace.train_set(cell["train_images"])
    positions = np.arange(len(whole))
    if cell["imbalance"] is not None:
        positions = choose_imbalanced(whole.labels, whole.class_names, cell["imbalance"], seed=seed)
    settings = _scheduled(cell, train_settings(cell, workspace, seed), len(whole) / len(positions))
    held_out, validation = _validation(cell, workspace, whole, positions)
    row, *watched = train_net(
        workspace, cell, model, whole, settings.changed(validation=validation), held_out=held_out
    )
    counts = class_counts(whole.labels[positions], len(whole.class_names)).tolist()
    parameters = sum(weight.numel() for weight in model.parameters())
    more: Row = {"train_n": len(positions), "class_counts": " ".join(map(str, counts))}
    return [{**row, **more, "parameters": parameters, "mode": "trained"}, *watched]


def _scheduled(cell: Cell, settings: TrainSettings, times: float) -> TrainSettings:
    """Return the cell's settings; the fast schedule gives every training set as many updates.

    A training set of a third of the images gets three times the epochs: with equal epochs it would
    be trained with a third of the updates, and the schedule would be taken for imbalance.
    """
    settings = settings.changed(imbalance=cell["imbalance"])
    if cell["schedule"] == "source":
        return settings
    return settings.changed(epochs=max(1, round(settings.epochs * times)))


def _validation(
    cell: Cell, workspace: Workspace, whole: Dataset, positions: np.ndarray
) -> tuple[Dataset | None, float]:
    """Return what the source schedule validates on: a data set, or a share of the training set."""
    if cell["schedule"] != "source":
        return None, 0.0
    arm, removed = cell["validation"], np.setdiff1d(np.arange(len(whole)), positions)
    if arm == "test":
        return workspace.test_set(), 0.0
    if arm == "removed" and len(removed):
        return part_of(whole, removed), 0.0
    return None, HELD_OUT


def judge_cell(cell: Cell, workspace: Workspace) -> list[Row]:
    """Attack the target class by FGSM along a network's own gradient, then the balanced one's."""
    makers = dict(
        zip(("same", "different"), _nets(cell, workspace), strict=False)
    )  # the network itself, and the balanced one where it is another
    net, test = makers["same"], workspace.test_set(cell["images"])
    rows: list[Row] = list(judge_losses(net, test, "test"))
    eps = cell["eps"]
    for label, name in enumerate(test.class_names):
        images = images_of(test, label)
        if not len(images):
            continue
        clean = logits_of(net, images)
        rows.append({"label": name, "attack": "none", "eps": 0.0, **outcome(clean, label)})
        if cell["class"] not in (None, name):
            continue
        for gradient, maker in makers.items():
            moved = attacked(maker, images, label, partial(fgsm, eps=eps))
            logits = logits_of(net, moved)
            at: Row = {"label": name, "attack": "fgsm", "gradient": gradient, "eps": eps}
            rows.append({**at, **outcome(logits, label)})
            if gradient == "same":
                rows += _densities(clean, logits, label, test.class_names)
    return [{"mode": "judged", **row} for row in rows]


def _densities(clean: Tensor, moved: Tensor, label: int, names: tuple[str, ...]) -> Iterator[Row]:
    """Yield a histogram of how far a class is ahead of the one it is most confused with."""
    counts = torch.bincount(clean.argmax(1), minlength=clean.shape[1])
    counts[label] = -1
    rival = int(counts.argmax())
    for state, logits in (("none", clean), ("fgsm", moved)):
        ahead = (logits[:, label] - logits[:, rival]).numpy().clip(_BINS[0], _BINS[-1])
        shares, edges = np.histogram(ahead, bins=_BINS)
        for edge, count in zip(edges, shares, strict=False):
            yield {
                "mode": "density", "label": names[label], "rival": names[rival], "attack": state,
                "margin": float(edge + (edges[1] - edges[0]) / 2), "share": count / len(ahead),
            }  # fmt: skip


class UnitLogits(nn.Module):
    """A network whose logits have a spread of 1 over some images: the same answers.

    Two networks whose logits differ in scale alone look unlike to attacks that climb the
    cross-entropy: where it saturates its gradient vanishes.

    Args:
        net: gives logits (n, k).
        images: (m, c, h, w), fix the scale.
    """

    def __init__(self, net: nn.Module, images: Tensor) -> None:
        super().__init__()
        self.net, self.scale = net, float(logits_of(net, images).std(1).mean())

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits (n, k)."""
        logits: Tensor = self.net(inputs) / self.scale
        return logits


def probe_cell(cell: Cell, workspace: Workspace) -> list[Row]:
    """Attack images of the rare class and of a control class by FGSM and PGD; measure distances.

    Every row holds which images were right when clean and which stay right, so that networks can be
    compared image by image.
    """
    (net,) = _nets(cell, workspace)
    unit = UnitLogits(net, _sample(workspace.test_set(cell["images"])))
    eps, generator = cell["eps"], torch.Generator().manual_seed(cell.seed)
    climbing = partial(pgd, eps=eps, generator=generator)
    attacks: dict[tuple[str, str], tuple[nn.Module, Attack]] = {
        ("fgsm", "own"): (net, partial(fgsm, eps=eps)),
        ("pgd", "own"): (net, climbing),
        ("pgd", "unit"): (unit, climbing),
    }
    rows: list[Row] = []
    for at, images, label, clean in _each_class(cell, workspace, net):
        rows.append({**at, "attack": "none", "scale": "own", **outcome(clean, label)})
        for (name, scale), (attacked_net, attack) in attacks.items():
            logits = logits_of(net, attacked(attacked_net, images, label, attack))
            rows.append({**at, "attack": name, "scale": scale, **_survivors(clean, logits, label)})
        away = write_values(_distances(net, images, label, clean))
        rows.append({**at, "attack": "fmn", "scale": "own", "n": len(images), "distances": away})
    return rows


def search_cell(cell: Cell, workspace: Workspace) -> list[Row]:
    """Attack fewer images of the same classes by the strongest attack."""
    (net,) = _nets(cell, workspace)
    generator = torch.Generator().manual_seed(cell.seed)
    attack = partial(strongest, eps=cell["eps"], generator=generator)
    rows: list[Row] = []
    for at, images, label, clean in _each_class(cell, workspace, net):
        logits = logits_of(net, attacked(net, images, label, attack))
        survived = _survivors(clean, logits, label)
        rows.append({**at, "attack": "strongest", "scale": "own", **survived})
    return rows


def _each_class(
    cell: Cell, workspace: Workspace, net: nn.Module
) -> Iterator[tuple[Row, Tensor, int, Tensor]]:
    """Yield what names a row, the first images of a class, its label, and the clean logits."""
    test = workspace.test_set(cell["images"])
    for role, label in _roles(cell, test.class_names):
        images = images_of(test, label, cell["probed"])
        if not len(images):
            continue
        clean = logits_of(net, images)
        right = write_mask((clean.argmax(1) == label).numpy())
        at: Row = {"mode": "probed", "role": role, "label": test.class_names[label]}
        yield {**at, "right_mask": right}, images, label, clean


def _survivors(clean: Tensor, logits: Tensor, label: int) -> Row:
    """Count what attacked images are taken for, and mark those that are right before and after."""
    safe = (clean.argmax(1) == label) & (logits.argmax(1) == label)
    return {**outcome(logits, label), "safe_mask": write_mask(safe.numpy())}


def _sample(test: Dataset) -> Tensor:
    """Return test images, evenly spread, (m, c, h, w)."""
    rows = np.linspace(0, len(test) - 1, min(len(test), _SCALED)).astype(np.int64)
    return to_unit(test.read(rows))


def _distances(net: nn.Module, images: Tensor, label: int, clean: Tensor) -> np.ndarray:
    """Return the linf distance to the nearest error that FMN finds: 0 if wrong, inf if none."""
    moved = attacked(net, images, label, fmn)
    fooled = (logits_of(net, moved).argmax(1) != label).numpy()
    right = (clean.argmax(1) == label).numpy()
    away = (moved - images).abs().flatten(1).amax(1).double().numpy()
    return np.where(right, np.where(fooled, away, np.inf), 0.0)


def _roles(cell: Cell, names: tuple[str, ...]) -> Iterator[tuple[str, int]]:
    """Yield the classes to probe: the rare one and one left alone; or all, as references."""
    if cell["set"] not in ("under", "over"):
        references = cell["references"]
        labels = (
            range(len(names))
            if references is None
            else [int(label) for label in references.split()]
        )
        yield from (("reference", label) for label in labels)
        return
    rare = names.index(cell["class"])
    yield "target", rare
    yield "control", control_of(rare, len(names))


def _build(cell: Cell, workspace: Workspace) -> nn.Module:
    return MODELS[cell["model"]].build(classes=len(workspace.train_set().class_names))


def _nets(cell: Cell, workspace: Workspace) -> list[nn.Module]:
    return [trained_net(workspace, need, _build(cell, workspace)) for need in cell.needs]


WORKS: Mapping[str, CellWork] = {
    "train": train_cell,
    "judge": judge_cell,
    "probe": probe_cell,
    "search": search_cell,
}
