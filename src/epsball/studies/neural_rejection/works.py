"""The work of study `neural-rejection`: training, fitting, attacking. One cell in, rows out."""

import resource
import shutil
import time
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from epsball.defences import DeepNeuralRejection, RbfSvm, Rejector, load, rejector_named
from epsball.defences.rejectors.deep_neural_rejection import Combiner
from epsball.files import read_json
from epsball.models.zoo.base_cnn import build_base_cnn
from epsball.studies.core.cell import Cell
from epsball.studies.core.nets import train_net, trained_net
from epsball.studies.core.spec import CellWork
from epsball.studies.core.store import Row
from epsball.studies.core.workspace import Workspace, part_of, read_examples_of
from epsball.studies.judge.density import judge_density
from epsball.studies.judge.engine import keep_open
from epsball.studies.judge.rejecting import judge_attacked, judge_stored, store_successes
from epsball.studies.judge.strip import attack_strip
from epsball.studies.judge.verdicts import judge_unchecked, judge_verdicts
from epsball.studies.judge.whole import judge_losses
from epsball.studies.neural_rejection.subjects import GOOD, NETS, PAIRED, SUBJECTS, UNCHECKED
from epsball.training import TrainSettings, fresh_weights
from epsball.types import Dataset

NAME = "neural-rejection"
OTHER_COMBINER: Combiner = "out-of-fold"
_DIGIT = 7  # of the strip
_NORM = "l2"


def train(cell: Cell, workspace: Workspace) -> list[Row]:
    """Train a network; all start from the same weights and see images in the same order."""
    seed = cell.shared_seed("content", "train_images")
    with fresh_weights(seed):
        model = _network(workspace)
    given = {
        key.removeprefix("train_"): value
        for key, value in cell.parameters.items()
        if key.startswith("train_") and key != "train_images"
    }
    settings = TrainSettings(**given).changed(seed=seed, device=workspace.device)
    net = NETS[_as(cell, "net")]
    taken = net.base and _is_good(
        trained_net(workspace, cell.needs[0], _network(workspace)), workspace
    )
    if taken:  # the same training was already done
        shutil.copytree(
            workspace.model(cell.needs[0]), workspace.model(cell.hash), dirs_exist_ok=True
        )
    elif net.base:
        settings = settings.changed(lr=settings.lr / 10)
    elif net.retrained:
        settings = settings.changed(lr=_rate_of(workspace, cell.needs[0]))
    rows = train_net(workspace, cell, model, _images(cell, workspace, 1), settings)
    return [dict(row) | {"taken": taken, "lr": settings.lr} for row in rows]


def _is_good(model: nn.Module, workspace: Workspace) -> bool:
    """Say whether a network's test accuracy is close to what the source reports."""
    (row,) = judge_losses(model, workspace.test_set(), "test")
    return float(row["accuracy"] or 0) >= GOOD


def _rate_of(workspace: Workspace, cell: str) -> float:
    """Return the learning rate that a cell's network was trained at."""
    record = read_json(workspace.model(cell) / "training.json", "training")
    return float(record["settings"]["lr"])


def losses(cell: Cell, workspace: Workspace) -> list[Row]:
    """Measure a network on the images it was trained on, and on those of the test."""
    model = trained_net(workspace, cell.needs[0], _network(workspace))
    train_set, test_set = workspace.train_set(_as(cell, "train_images")), workspace.test_set()
    return [*judge_losses(model, train_set, "train"), *judge_losses(model, test_set, "test")]


def fit(cell: Cell, workspace: Workspace) -> list[Row]:
    """Fit a defence around a network; of DNR both kinds of combiner, on the same machines."""
    model = trained_net(workspace, cell.needs[0], _network(workspace))
    dataset = _images(cell, workspace, 1)
    built = rejector_named(_as(cell, "defence")).build(model, **_settings(cell))
    images = dataset.read(np.arange(len(dataset)))
    started = time.perf_counter()
    built.fit(images, dataset.labels)
    seconds = time.perf_counter() - started
    folder, row = workspace.model(cell.hash), {"fit_seconds": seconds, "n": len(dataset)}
    built.save(folder)
    rows: list[Row] = [row | _sizes(built, "in-sample")]
    if isinstance(built, DeepNeuralRejection):
        built.refit_combiner(dataset.labels, OTHER_COMBINER).save(folder / OTHER_COMBINER)
        rows.append(row | _sizes(built, OTHER_COMBINER))
    return rows


def harvest(cell: Cell, workspace: Workspace) -> list[Row]:
    """Attack training images and keep those that fool the model."""
    whole = workspace.train_set(_as(cell, "train_images"))
    return store_successes(
        _model(cell, workspace),
        _drawn(cell, whole),
        _as(cell, "attack"),
        _as(cell, "eps_asked"),
        seed=cell.seed,
        file=workspace.examples(cell.hash),
        precision=_as(cell, "precision"),
    )


def curve(cell: Cell, workspace: Workspace) -> list[Row]:
    """Judge a model under the source's attack at one eps; keep the images of a bare network."""
    file = workspace.examples(cell.hash) if _as(cell, "subject") == "none" else None
    return judge_attacked(
        _model(cell, workspace),
        _drawn(cell, workspace.test_set()),
        _as(cell, "attack"),
        _as(cell, "eps_asked"),
        name="source",
        seed=cell.seed,
        file=file,
        precision=_as(cell, "precision"),
    )


def limited(cell: Cell, workspace: Workspace) -> list[Row]:
    """Judge a defence on the images that were attacked on the bare network."""
    file, eps = workspace.examples(cell.needs[1]), _as(cell, "eps_asked")
    images = _drawn(cell, workspace.test_set())
    return judge_stored(_model(cell, workspace), images, file, eps, name="limited")


def strong(cell: Cell, workspace: Workspace) -> list[Row]:
    """Run one of our attacks for verdicts at all eps."""
    return _verdicts(cell, workspace, _radii(cell))


def ladder(cell: Cell, workspace: Workspace) -> list[Row]:
    """Run an attack variant for verdicts; its rows have a name of their own."""
    rows = _verdicts(cell, workspace, [_as(cell, "eps_asked")])
    return [dict(row) | {"attack": f"rung:{_as(cell, 'rung')}"} for row in rows]


def _seed(cell: Cell) -> int:
    """Return the seed of an attack: its own, or that of all cells that are paired with it."""
    paired = cell.parameters.get("starts") == PAIRED["starts"]
    return cell.shared_seed("content", "images") if paired else cell.seed


def _verdicts(cell: Cell, workspace: Workspace, eps: list[float]) -> list[Row]:
    model, images = _model(cell, workspace), _drawn(cell, workspace.test_set())
    attack, restarts = _as(cell, "attack"), _as(cell, "restarts")
    if cell.parameters.get("checked") == UNCHECKED["checked"]:
        return judge_unchecked(
            model, images, attack, eps, restarts=restarts, seed=_seed(cell), norm=_NORM
        )
    return judge_verdicts(
        model,
        images,
        attack,
        eps,
        restarts=restarts,
        seed=_seed(cell),
        run=workspace.search(cell.hash),
        norm=_NORM,
        precision="fast",
    )


def _radii(cell: Cell) -> list[float]:
    return [float(one) for one in str(_as(cell, "all_eps")).split()]


def crowded(cell: Cell, workspace: Workspace) -> list[Row]:
    """Attack with a term that keeps the search where the density of images is high."""
    train_set = workspace.train_set(_as(cell, "train_images"))
    return judge_density(
        _model(cell, workspace),
        _drawn(cell, workspace.test_set()),
        train_set,
        _as(cell, "eps_asked"),
        weight=_as(cell, "density_weight"),
        name=f"rung:{_as(cell, 'rung')}",
        seed=_seed(cell),
    )


def strip(cell: Cell, workspace: Workspace) -> list[Row]:
    """Keep one digit under the source's attack at every eps."""
    images = workspace.test_set()
    label = _DIGIT if (images.labels == _DIGIT).any() else int(np.min(images.labels))
    return attack_strip(
        _model(cell, workspace),
        images,
        _as(cell, "attack"),
        _radii(cell),
        label=label,
        norm=_NORM,
        seed=cell.seed,
        file=workspace.images(cell.hash),
    )


WORKS: Mapping[str, CellWork] = {
    "train": train,
    "losses": losses,
    "fit": fit,
    "harvest": harvest,
    "curve": curve,
    "limited": limited,
    "strong": strong,
    "ladder": ladder,
    "crowded": crowded,
    "strip": strip,
}


def _as(cell: Cell, name: str) -> Any:  # noqa: ANN401 - a parameter of any kind
    return cell.parameters[name]


def _network(workspace: Workspace) -> nn.Module:
    return build_base_cnn(classes=len(workspace.train_set().class_names))


def _model(cell: Cell, workspace: Workspace) -> nn.Module:
    """Return the network of a cell, with its defence if it has one.

    The first need of the cell trained or fitted it; "around" names the network of a fit.
    """
    subject = SUBJECTS[_as(cell, "subject")]
    if subject.defence is None:
        return trained_net(workspace, cell.needs[0], _network(workspace))
    folder: Path = workspace.model(cell.needs[0])
    folder = folder / OTHER_COMBINER if subject.combiner == OTHER_COMBINER else folder
    rejector = _defended(folder, _as(cell, "around"), workspace)
    keep_open(rejector)
    return rejector


@lru_cache(maxsize=1)
def _defended(folder: Path, around: str, workspace: Workspace) -> Rejector:
    """Read a defence; the last one is cached."""
    return load(folder, trained_net(workspace, around, _network(workspace)))


def _drawn(cell: Cell, whole: Dataset) -> Dataset:
    """Draw a repetition's images: the same ones for all subjects, attacks and eps."""
    count = min(_as(cell, "images"), len(whole))
    random = np.random.default_rng(cell.shared_seed("content"))
    # a smaller number of images is a part of the larger one
    return part_of(whole, np.sort(random.permutation(len(whole))[:count]))


def _images(cell: Cell, workspace: Workspace, harvested: int) -> Dataset:
    """Return the training images; with those of a harvest, where the cell needs one.

    Args:
        cell: of a training or a fit.
        workspace: the study's.
        harvested: the index of the harvest among the needs.
    """
    whole = workspace.train_set(_as(cell, "train_images"))
    if len(cell.needs) <= harvested:
        return whole
    more = read_examples_of(workspace.examples(cell.needs[harvested]))
    images = whole.read(np.arange(len(whole)))
    if images.dtype == np.uint8:
        images = images.astype(np.float32) / np.float32(255)
    images = np.concatenate([images, more["images"]])
    labels = np.concatenate([whole.labels, more["labels"]])
    names = whole.class_names
    return Dataset(f"{whole.name} and more", labels, names, whole.shape, lambda rows: images[rows])


def _settings(cell: Cell) -> dict[str, Any]:
    """Return the arguments of a defence."""
    given: dict[str, Any] = {"threshold": _as(cell, "theta")}
    if _as(cell, "defence") == "msp":
        return given
    gamma, c, layers = _as(cell, "gamma"), _as(cell, "c"), str(_as(cell, "layers")).split()
    given |= {"gamma": gamma, "c": c}
    if _as(cell, "defence") == "nr":
        return given | {"layer": layers[0]}
    return (
        given
        | {"layers": layers, "combiner": "in-sample"}
        | {"combiner_gamma": gamma, "combiner_c": c}
    )


def _sizes(built: Rejector, combiner: str) -> dict[str, Any]:
    """Return the size of a defence, and the largest memory of this process so far."""
    machines = [part for part in built.modules() if isinstance(part, RbfSvm)]
    counts = [machine.support_count_ for machine in machines]
    numbers = sum(buffer.numel() for buffer in built.learned().values())
    return {
        "combiner": combiner if len(machines) > 1 else None,
        "support_vectors": " ".join(map(str, counts)),
        "learned_numbers": numbers,
        "peak_gigabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "torch_threads": torch.get_num_threads(),
    }
