"""The work of study `adversarial-training`: training networks, and attacking them."""

from collections.abc import Mapping

from torch import nn

from epsball.models.zoo.base_cnn import build_base_cnn
from epsball.models.zoo.vgg_cifar import build_vgg_cifar
from epsball.studies.adversarial_training.trainings import ALL, HELPERS
from epsball.studies.core.cell import Cell
from epsball.studies.core.nets import train_net, train_settings, trained_net
from epsball.studies.core.spec import CellWork
from epsball.studies.core.store import Row
from epsball.studies.core.workspace import Workspace
from epsball.studies.judge.slopes import judge_levels, judge_slopes
from epsball.studies.judge.transfer import judge_examples, make_examples
from epsball.studies.judge.verdicts import judge_verdicts
from epsball.studies.judge.whole import judge_whole
from epsball.training import fresh_weights

_SHARES = (0.25, 0.5, 1.0)  # of eps, for the curve under FGSM
_CARRIERS = ("fgsm", "mifgsm")  # attacks that make the examples of the held-out model


def _network(workspace: Workspace, model: str, width: float, dropout: float) -> nn.Module:
    classes = len(workspace.train_set().class_names)
    if model == "base-cnn":
        return build_base_cnn(classes=classes, width=width, dropout=dropout)
    return build_vgg_cifar(classes=classes, width=width, dropout=dropout, block_dropout=dropout / 2)


def _fresh(cell: Cell, workspace: Workspace) -> nn.Module:
    return _network(workspace, cell["model"], cell["width"], cell["dropout"])


def _trained(cell: Cell, workspace: Workspace) -> nn.Module:
    return trained_net(workspace, cell.needs[0], _fresh(cell, workspace))


def _train(cell: Cell, workspace: Workspace) -> list[Row]:
    # rows share weights and order of images; helpers must not, or none would be held out
    helper = cell["row"] in HELPERS
    seed = cell.seed if helper else cell.shared_seed("content", "train_images", "width")
    with fresh_weights(seed):
        model = _fresh(cell, workspace)
    settings = train_settings(cell, workspace, seed)
    names = ALL[cell["row"]].sources
    sources = [
        trained_net(workspace, need, _network(workspace, cell["model"], other.width, other.dropout))
        for need, other in zip(cell.needs, (ALL[name] for name in names), strict=True)
    ]
    images = workspace.train_set(cell["train_images"])
    return train_net(workspace, cell, model, images, settings, sources=sources)


def _judge(cell: Cell, workspace: Workspace) -> list[Row]:
    eps = [share * cell["study_eps"] for share in _SHARES]
    images = workspace.test_set(cell["images"])
    return judge_whole(_trained(cell, workspace), images, ["fgsm"], eps, seed=cell.seed)


def _search(cell: Cell, workspace: Workspace) -> list[Row]:
    return judge_verdicts(
        _trained(cell, workspace),
        workspace.test_set(cell["images"]),
        cell["search"],
        [cell["study_eps"]],
        restarts=cell["restarts"],
        seed=cell.seed,
        run=workspace.search(cell.hash),
        precision="fast",
    )


def _examples(cell: Cell, workspace: Workspace) -> list[Row]:
    return make_examples(
        _trained(cell, workspace),
        workspace.test_set(cell["images"]),
        _CARRIERS,
        [cell["study_eps"]],
        seed=cell.seed,
        file=workspace.examples(cell.hash),
    )


def _transfer(cell: Cell, workspace: Workspace) -> list[Row]:
    images = workspace.test_set(cell["images"])
    return judge_examples(_trained(cell, workspace), images, workspace.examples(cell.needs[1]))


def _slopes(cell: Cell, workspace: Workspace) -> list[Row]:
    images = workspace.test_set(cell["images"])
    return judge_slopes(_trained(cell, workspace), images, cell["study_eps"])


def _levels(cell: Cell, workspace: Workspace) -> list[Row]:
    return judge_levels(_trained(cell, workspace), workspace.test_set(cell["images"]))


WORKS: Mapping[str, CellWork] = {
    "train": _train,
    "judge": _judge,
    "search": _search,
    "examples": _examples,
    "transfer": _transfer,
    "slopes": _slopes,
    "levels": _levels,
}
