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

from epsball.data import to_unit
from epsball.defences import DeepNeuralRejection, RbfSvm, Rejector, load, rejector_named
from epsball.defences.rejectors.deep_neural_rejection import Combiner
from epsball.files import read_json
from epsball.models.zoo.base_cnn import build_base_cnn
from epsball.studies.core.cell import Cell
from epsball.studies.core.nets import train_net, train_settings, trained_net
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
from epsball.training import fresh_weights
from epsball.types import Dataset

OTHER_COMBINER: Combiner = "out-of-fold"
_NORM = "l2"


def train(cell: Cell, workspace: Workspace) -> list[Row]:
    """Train a network; all start from the same weights and see images in the same order."""
    seed, net, own = cell.shared_seed("content", "train_images"), NETS[cell["net"]], cell.hash
    with fresh_weights(seed):
        model = _network(workspace)
    settings, reused = train_settings(cell, workspace, seed), False
    if net.base:
        source = trained_net(workspace, cell.needs[0], _network(workspace))
        (row,) = judge_losses(source, workspace.test_set(), "test")
        reused = float(row["accuracy"] or 0) >= GOOD
        if reused:  # the same training was already done
            source_files = workspace.model(cell.needs[0])
            shutil.copytree(source_files, workspace.model(own), dirs_exist_ok=True)
        else:
            settings = settings.changed(lr=settings.lr / 10)
    elif net.retrained:
        record = read_json(workspace.model(cell.needs[0]) / "training.json", "training")
        settings = settings.changed(lr=float(record["settings"]["lr"]))
    rows = train_net(workspace, cell, model, _images(cell, workspace), settings)
    return [dict(row) | {"taken": reused, "lr": settings.lr} for row in rows]


def losses(cell: Cell, workspace: Workspace) -> list[Row]:
    """Measure a network on the images it was trained on, and on those of the test."""
    model = trained_net(workspace, cell.needs[0], _network(workspace))
    train_set, test_set = workspace.train_set(cell["train_images"]), workspace.test_set()
    return [*judge_losses(model, train_set, "train"), *judge_losses(model, test_set, "test")]


def fit(cell: Cell, workspace: Workspace) -> list[Row]:
    """Fit a defence around a network; of DNR both kinds of combiner, on the same machines."""
    model = trained_net(workspace, cell.needs[0], _network(workspace))
    dataset, folder = _images(cell, workspace), workspace.model(cell.hash)
    rejector = rejector_named(cell["defence"]).build(model, **_arguments(cell))
    images = dataset.read(np.arange(len(dataset)))
    started = time.perf_counter()
    rejector.fit(images, dataset.labels)
    row: dict[str, Any] = {"fit_seconds": time.perf_counter() - started, "n": len(dataset)}
    rejector.save(folder)
    rows: list[Row] = [row | _sizes(rejector, "in-sample")]
    if isinstance(rejector, DeepNeuralRejection):
        rejector.refit_combiner(dataset.labels, OTHER_COMBINER).save(folder / OTHER_COMBINER)
        rows.append(row | _sizes(rejector, OTHER_COMBINER))
    return rows


def harvest(cell: Cell, workspace: Workspace) -> list[Row]:
    """Attack training images and keep those that fool the model."""
    return store_successes(
        _model(cell, workspace),
        _draw(cell, workspace.train_set(cell["train_images"])),
        cell["attack"],
        cell["eps_asked"],
        seed=cell.seed,
        file=workspace.examples(cell.hash),
        precision=cell["precision"],
    )


def curve(cell: Cell, workspace: Workspace) -> list[Row]:
    """Judge a model under the source's attack at one eps; keep the images of a bare network."""
    return judge_attacked(
        _model(cell, workspace),
        _draw(cell, workspace.test_set()),
        cell["attack"],
        cell["eps_asked"],
        name="source",
        seed=cell.seed,
        file=workspace.examples(cell.hash) if cell["subject"] == "none" else None,
        precision=cell["precision"],
    )


def limited(cell: Cell, workspace: Workspace) -> list[Row]:
    """Judge a defence on the images that were attacked on the bare network."""
    model, images = _model(cell, workspace), _draw(cell, workspace.test_set())
    file = workspace.examples(cell.needs[1])
    return judge_stored(model, images, file, cell["eps_asked"], name="limited")


def strong(cell: Cell, workspace: Workspace) -> list[Row]:
    """Run one of our attacks for verdicts at all eps, or an attack variant at one."""
    model, images = _model(cell, workspace), _draw(cell, workspace.test_set())
    eps = [cell["eps_asked"]] if cell.kind == "ladder" else _radii(cell)
    common: dict[str, Any] = {"restarts": cell["restarts"], "seed": _seed(cell), "norm": _NORM}
    if UNCHECKED.items() <= cell.parameters.items():
        rows = judge_unchecked(model, images, cell["attack"], eps, **common)
    else:
        common |= {"run": workspace.search(cell.hash), "precision": "fast"}
        rows = judge_verdicts(model, images, cell["attack"], eps, **common)
    return [dict(row) | _variant_name(cell) for row in rows]


def crowded(cell: Cell, workspace: Workspace) -> list[Row]:
    """Attack with a term that keeps the search where the density of images is high."""
    return judge_density(
        _model(cell, workspace),
        _draw(cell, workspace.test_set()),
        workspace.train_set(cell["train_images"]),
        cell["eps_asked"],
        weight=cell["density_weight"],
        name=_variant_name(cell)["attack"],
        seed=_seed(cell),
    )


def strip(cell: Cell, workspace: Workspace) -> list[Row]:
    """Keep one digit under the source's attack at every eps."""
    model, images = _model(cell, workspace), workspace.test_set()
    radii, file = _radii(cell), workspace.images(cell.hash)
    return attack_strip(model, images, cell["attack"], radii, norm=_NORM, seed=cell.seed, file=file)


WORKS: Mapping[str, CellWork] = {
    "train": train,
    "losses": losses,
    "fit": fit,
    "harvest": harvest,
    "curve": curve,
    "limited": limited,
    "strong": strong,
    "ladder": strong,
    "crowded": crowded,
    "strip": strip,
}


def _network(workspace: Workspace) -> nn.Module:
    return build_base_cnn(classes=len(workspace.train_set().class_names))


def _model(cell: Cell, workspace: Workspace) -> nn.Module:
    """Return the network of a cell, with its defence if it has one.

    The first need of the cell trained or fitted it; "around" names the network of a fit.
    """
    subject = SUBJECTS[cell["subject"]]
    if subject.defence is None:
        return trained_net(workspace, cell.needs[0], _network(workspace))
    folder = workspace.model(cell.needs[0])
    folder = folder / OTHER_COMBINER if subject.combiner == OTHER_COMBINER else folder
    rejector = _load_rejector(folder, cell["around"], workspace)
    keep_open(rejector)
    return rejector


@lru_cache(maxsize=1)
def _load_rejector(folder: Path, around: str, workspace: Workspace) -> Rejector:
    return load(folder, trained_net(workspace, around, _network(workspace)))


def _draw(cell: Cell, whole: Dataset) -> Dataset:
    """Draw a repetition's images: the same ones for all subjects, attacks and eps."""
    random = np.random.default_rng(cell.shared_seed("content"))
    # a smaller number of images is a part of the larger one
    return part_of(whole, np.sort(random.permutation(len(whole))[: cell["images"]]))


def _images(cell: Cell, workspace: Workspace) -> Dataset:
    """Return the training images, with those of a harvest where one is the cell's second need."""
    whole = workspace.train_set(cell["train_images"])
    if len(cell.needs) < 2:
        return whole
    more = read_examples_of(workspace.examples(cell.needs[1]))
    own = to_unit(whole.read(np.arange(len(whole)))).numpy()
    images = np.concatenate([own, more["images"]])
    labels = np.concatenate([whole.labels, more["labels"]])
    read, name = images.__getitem__, f"{whole.name} and more"
    return Dataset(name, labels, whole.class_names, whole.shape, read)


def _arguments(cell: Cell) -> dict[str, Any]:
    """Return the arguments of a defence."""
    given: dict[str, Any] = {"threshold": cell["theta"]}
    if cell["defence"] == "msp":
        return given
    layers = cell["layers"].split()
    given |= {"gamma": cell["gamma"], "c": cell["c"]}
    if cell["defence"] == "nr":
        return given | {"layer": layers[0]}
    given |= {"combiner_gamma": cell["gamma"], "combiner_c": cell["c"]}
    return given | {"layers": layers, "combiner": "in-sample"}


def _sizes(rejector: Rejector, combiner: str) -> dict[str, Any]:
    """Return the size of a defence, and the largest memory of this process so far."""
    machines = [part for part in rejector.modules() if isinstance(part, RbfSvm)]
    return {
        "combiner": combiner if len(machines) > 1 else None,
        "support_vectors": " ".join(str(machine.support_count_) for machine in machines),
        "learned_numbers": sum(buffer.numel() for buffer in rejector.learned().values()),
        "peak_gigabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "torch_threads": torch.get_num_threads(),
    }


def _seed(cell: Cell) -> int:
    """Return the seed of an attack: its own, or that of all cells that are paired with it."""
    paired = PAIRED.items() <= cell.parameters.items()
    return cell.shared_seed("content", "images") if paired else cell.seed


def _radii(cell: Cell) -> list[float]:
    return [float(one) for one in cell["all_eps"].split()]


def _variant_name(cell: Cell) -> dict[str, str]:
    """Return the column "attack" of an attack variant; nothing for other cells."""
    variant = cell.parameters.get("rung")
    return {} if variant is None else {"attack": f"rung:{variant}"}
