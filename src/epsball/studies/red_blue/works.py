"""The work of study `red-blue`: training networks, and attacking them."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from epsball.models.zoo.mlp import build_mlp
from epsball.studies.core.cell import Cell
from epsball.studies.core.nets import train_net, trained_net
from epsball.studies.core.spec import CellWork
from epsball.studies.core.store import Row
from epsball.studies.core.workspace import Workspace
from epsball.studies.judge.strip import attack_strip
from epsball.studies.judge.verdicts import judge_verdicts
from epsball.studies.judge.whole import judge_whole
from epsball.studies.red_blue.plan import EPS
from epsball.training import TrainSettings, fresh_weights

_ATTACKS = ("fgsm", "fgsm:clip=false")
# of the expensive attacks: the two eps of the source's main table. At 0.05 most images stay
# right, which is the slowest answer
_SEARCHED_EPS = (0.10, 0.25)


def _train(cell: Cell, workspace: Workspace) -> list[Row]:
    values: Mapping[str, Any] = cell.parameters
    images = workspace.train_set(values["train_images"])
    # the same first weights and order of images for all settings of a repetition
    seed = cell.shared_seed("content", "train_images")
    with fresh_weights(seed):
        model = _network(cell, workspace)
    chosen = {name: values[name] for name in ("l1", "l2", "lr", "batch_size", "epochs")}
    if values["arm"] == "adversarial":
        chosen |= {"recipe": "fgsm-mix", "alpha": 0.0, "eps": values["arm_eps"]}
    # no validation and no watching: the other cells evaluate every network
    settings = TrainSettings(
        optimizer="rmsprop",
        validation=0.0,
        watch_every=0,
        seed=seed,
        device=workspace.device,
        **chosen,
    )
    return train_net(workspace, cell, model, images, settings)


def _network(cell: Cell, workspace: Workspace) -> nn.Module:
    values: Mapping[str, Any] = cell.parameters
    classes = len(workspace.test_set().class_names)
    return build_mlp(classes=classes, hidden=values["hidden"], dropout=values["dropout"])


def _trained(cell: Cell, workspace: Workspace) -> nn.Module:
    return trained_net(workspace, cell.needs[0], _network(cell, workspace))


def _judge(cell: Cell, workspace: Workspace) -> list[Row]:
    values: Mapping[str, Any] = cell.parameters
    images = workspace.test_set(values["images"])
    return judge_whole(_trained(cell, workspace), images, _ATTACKS, EPS, seed=cell.seed)


def _search(cell: Cell, workspace: Workspace) -> list[Row]:
    values: Mapping[str, Any] = cell.parameters
    return judge_verdicts(
        _trained(cell, workspace),
        workspace.test_set(values["images"]),
        values["search"],
        _SEARCHED_EPS,
        restarts=values["restarts"],
        seed=cell.seed,
        run=workspace.search(cell.hash),
    )


def _strip(cell: Cell, workspace: Workspace) -> list[Row]:
    model, file = _trained(cell, workspace), workspace.images(cell.hash)
    return attack_strip(model, workspace.test_set(), "fgsm", EPS, file=file)


WORKS: Mapping[str, CellWork] = {
    "train": _train,
    "judge": _judge,
    "search": _search,
    "strip": _strip,
}
