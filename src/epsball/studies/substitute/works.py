"""The work of study `substitute`: training oracles, learning and scoring their substitutes."""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import skops.io
import torch
from torch import nn

from epsball.data import to_unit
from epsball.evaluation.settings import make_settings
from epsball.files import write_atomically
from epsball.models import load_model
from epsball.models.zoo.base_cnn import build_base_cnn
from epsball.oracles import LabelOnly
from epsball.studies.core.cell import Cell
from epsball.studies.core.nets import train_net, trained_net
from epsball.studies.core.spec import CellWork
from epsball.studies.core.store import Row
from epsball.studies.core.workspace import Workspace
from epsball.training import TrainSettings, fresh_weights
from epsball.workflows.substitute.learning import SubstituteSettings, learn_substitute
from epsball.workflows.substitute.scoring import Fooled, directly, through_substitute

_FILE = "model.skops"
DIRECT = ("square", "hopskipjump")
MOMENTUM = "mifgsm"


def _train(cell: Cell, workspace: Workspace) -> list[Row]:
    values: Any = cell.parameters
    images = workspace.train_set(values["train_images"])
    if values["oracle"] == "dnn":
        with fresh_weights(cell.seed):
            model = _network(cell, workspace)
        settings = TrainSettings(
            epochs=values["epochs"], seed=cell.seed, validation=0.0, watch_every=0,
            device=workspace.device,
        )  # fmt: skip
        return train_net(workspace, cell, model, images, settings)[:1]
    pixels = to_unit(images.read(np.arange(len(images)))).flatten(1).numpy()
    estimator = _estimator(values["oracle"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a solver has stopped is seen in its accuracy
        estimator.fit(pixels, images.labels)
    file = workspace.model(cell.hash) / _FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, lambda beside: beside.write_bytes(skops.io.dumps(estimator)))
    return [{"train_accuracy": float((estimator.predict(pixels) == images.labels).mean())}]


def _estimator(oracle: str) -> Any:  # noqa: ANN401 - untyped package
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC

    if oracle == "lr":
        return LogisticRegression(max_iter=100)
    return LinearSVC(C=0.05, max_iter=300, random_state=0)


def _network(cell: Cell, workspace: Workspace) -> nn.Module:
    values: Any = cell.parameters
    classes = len(workspace.test_set().class_names)
    return build_base_cnn(classes=classes, width=values["width"])


def _oracle(cell: Cell, workspace: Workspace) -> LabelOnly:
    values: Any = cell.parameters
    if values["oracle"] == "dnn":
        return LabelOnly(trained_net(workspace, cell.needs[0], _network(cell, workspace)))
    return LabelOnly(load_model(f"sklearn:{workspace.model(cell.needs[0]) / _FILE}").model)


def _substitute(cell: Cell, workspace: Workspace) -> list[Row]:
    """Learn a substitute, attack through it, and attack the oracle with as many queries."""
    values: Any = cell.parameters
    images = workspace.test_set()
    seeds, shown = values["seed_images"], values["images"] or len(images)
    pixels = to_unit(images.read(np.arange(min(seeds + shown, len(images)))))
    labels = torch.from_numpy(images.labels[seeds : len(pixels)])
    scored, oracle = pixels[seeds:], _oracle(cell, workspace)
    classes = len(images.class_names)

    def build() -> nn.Module:
        model: Any = load_model(
            values["architecture"], classes=classes, require_weights=False
        ).model
        network: nn.Module = model
        return network

    settings = SubstituteSettings(
        queries=values["queries"],
        questions=values.get("questions", "jacobian"),
        epochs=values["substitute_epochs"],
        eps=values["eps"],
        seed=cell.seed,
    )
    learned = learn_substitute(oracle, pixels[:seeds], build, settings, classes=classes)
    before = oracle.ledger.paid
    clean = oracle(scored)
    attacks = list(dict.fromkeys([values["attack"], MOMENTUM]))
    through = [
        through_substitute(
            oracle, learned.model, setting, scored, labels, clean=clean, seed=cell.seed
        )[0]
        for setting in make_settings(attacks, norm="linf", eps=[values["eps"]])
    ]
    own = learned.model(scored).argmax(1)
    beside = {"agree": int((own == clean).sum()), "spent": before}
    few = slice(values["direct_images"])
    arguments: dict[str, Any] = {
        "clean": clean[few],
        "classes": classes,
        "eps": values["eps"],
        "norm": "linf",
        "queries": values["queries"],
        "seed": cell.seed,
    }
    # the oracle itself is attacked once for each number of queries
    direct = [
        directly(oracle, scored[few], labels[few], attack=one, **arguments)
        for one in (() if "questions" in values else DIRECT)
    ]
    names = ("substitute", "momentum")
    own_rows = [{**_row(one, how), **beside} for one, how in zip(through, names, strict=False)]
    return own_rows + [_row(one, one.attack) for one in direct]


def _row(result: Fooled, how: str) -> Row:
    return {
        "mode": "fooled", "how": how, "n": result.n, "wrong": result.wrong,
        "clean_right": result.clean_right, "fooled": result.fooled, "asked": result.queries,
    }  # fmt: skip


WORKS: Mapping[str, CellWork] = {"train": _train, "substitute": _substitute}
