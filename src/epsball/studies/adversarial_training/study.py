"""Study `adversarial-training`: what training on adversarial examples can do, and at what cost.

Every row of the table is one way of training the same network; what differs between rows is the
recipe alone: the first weights, the order of images and the optimiser are shared.

Source: Venkataraman's slides, after Goodfellow, Kurakin, Madry and Tramer. They report no numbers
of their own (but two of Goodfellow's) and state no network, data or eps. Ours: MNIST at eps 0.3
with `base-cnn`, CIFAR-10 at 8/255 with `vgg-cifar`, digits at 0.1; Adam and one cycle of the
learning rate, no dropout but in the row that is about it, the weights of the last epoch.
"""

from collections.abc import Mapping
from typing import Any

from epsball.errors import InvalidInput, unknown_name
from epsball.models.zoo.base_cnn import build_base_cnn
from epsball.models.zoo.vgg_cifar import build_vgg_cifar
from epsball.studies.adversarial_training.rows import EVERY, LINES, MORE
from epsball.studies.adversarial_training.story import summarise
from epsball.studies.core.cell import Cell, Plain
from epsball.studies.core.data_summary import DataSummary
from epsball.studies.core.nets import train_net, trained_net
from epsball.studies.core.options import Options
from epsball.studies.core.spec import StudySpec
from epsball.studies.core.store import Row
from epsball.studies.core.workspace import Workspace
from epsball.studies.judge.slopes import judge_levels, judge_slopes
from epsball.studies.judge.transfer import judge_examples, make_examples
from epsball.studies.judge.whole import judge_verdicts, judge_whole
from epsball.training import TrainSettings, default_settings, fresh_weights

NAME, VERSION = "adversarial-training", 2
_EPS = {"mnist": 0.3, "digits": 0.1, "cifar10": 8 / 255}
_MODELS: Mapping[tuple[int, int, int], str] = {(1, 28, 28): "base-cnn", (3, 32, 32): "vgg-cifar"}
_KNOWN: Mapping[str, Plain] = {"row": "pgd", "eps": 0.3, "attack_steps": 7, "epochs": 6}
_SHARES = (0.25, 0.5, 1.0)  # of eps, for the curve under FGSM
_SEARCHES: tuple[tuple[str, int], ...] = (("bim", 1), ("pgd", 5), ("strongest", 1))
_TRANSFERRED = 2000  # test images at most: each costs the held-out model eleven gradients
_CARRIERS = ("fgsm", "mifgsm")  # what examples of the held-out model are made by
_SLOPED = 200  # images along whose gradient sign logits are followed


def plan(options: Options, data: DataSummary) -> list[Cell]:
    """Plan a network for every row and seed, those that they need, and their judges."""
    names = [str(name) for name in options.grid.get("row", tuple(LINES))]
    for name in names:
        if name not in LINES and name not in MORE:
            raise unknown_name("row of the study", name, [*LINES, *MORE])
    cells: list[Cell] = []
    for repeat in range(options.seeds):
        cells += _repetition(names, options, data, repeat)
    return cells


def _repetition(names: list[str], options: Options, data: DataSummary, repeat: int) -> list[Cell]:
    """Plan one repetition: helpers, rows, then what judges them, the dear attacks last."""
    wanted = {source for name in names for source in EVERY[name].sources} | {"held-out"}
    nets: dict[str, Cell] = {}
    for name in (*sorted(wanted), *names):
        needs = tuple(nets[source].hash for source in EVERY[name].sources)
        nets[name] = _net(name, options, data, repeat, needs)
    rows = [nets[name] for name in names]
    moved = min(options.limit or _TRANSFERRED, _TRANSFERRED)
    made = _after(nets["held-out"], "examples", moved)
    cheap = [
        made,
        *(_after(net, "judge", options.limit) for net in rows),
        *(_after(net, "transfer", moved, made.hash) for net in rows),
        *(_after(nets["none"], kind, _SLOPED) for kind in ("slopes", "levels") if "none" in nets),
    ]
    dear = [
        _after(net, "search", options.searched, search=attack, restarts=restarts)
        for attack, restarts in _SEARCHES
        for net in rows
        if options.searched
    ]
    return [*nets.values(), *cheap, *dear]


def _net(
    name: str, options: Options, data: DataSummary, repeat: int, needs: tuple[str, ...]
) -> Cell:
    if data.shape not in _MODELS:
        raise InvalidInput(
            f"study {NAME} has networks for images of {', '.join(map(str, _MODELS))}, got "
            f"{data.shape} from {data.name}; take mnist, cifar10 or digits"
        )
    line, model = EVERY[name], _MODELS[data.shape]
    eps, steps = _one(options, "eps", _EPS.get(data.name)), _one(options, "attack_steps", 7)
    if eps is None:
        raise InvalidInput(f'study {NAME}: no usual eps for {data.name}; --grid "eps=0.1"')
    asked: dict[str, Any] = dict(line.settings)
    asked |= {"eps": eps, "watch_every": 1} if line.attacked else {}
    asked |= {"attack_steps": steps} if line.steps else {}
    epochs = _one(options, "epochs", options.epochs)
    asked |= {} if epochs is None else {"epochs": epochs}
    count = min(options.train_limit or data.train, data.train)
    settings = default_settings(model, count, by_recipe=False, validation=0.0, **asked)
    settings = settings.changed(epochs=settings.epochs * line.longer)
    changed = settings.model_dump(exclude_defaults=True, mode="json")
    parameters: dict[str, Plain] = {
        "row": name,
        "model": model,
        "width": line.width,
        "dropout": line.dropout,
        "data": data.name,
        "content": data.content,
        "train_images": options.train_limit,
        "study_eps": eps,
    }
    parameters |= {f"train_{key}": value for key, value in changed.items()}
    return Cell(NAME, "train", parameters, repeat, options.threads, VERSION, needs)


def _one(options: Options, name: str, usual: Plain) -> Plain:
    """Return the one value of a parameter: the rows are compared under the same one."""
    values = options.grid.get(name, (usual,))
    if len(values) > 1:
        raise InvalidInput(f"grid: study {NAME} takes one {name} at a time, got {len(values)}")
    return values[0]


def _after(net: Cell, kind: str, images: int | None, *needs: str, **more: Plain) -> Cell:
    parameters = {**net.parameters, "images": images, **more}
    return Cell(NAME, kind, parameters, net.repeat, net.threads, VERSION, (net.hash, *needs))


def run(cell: Cell, workspace: Workspace) -> list[Row]:
    """Do one cell."""
    return _WORKS[cell.kind](cell, workspace)


def _as(cell: Cell, name: str) -> Any:  # noqa: ANN401 - a parameter of any kind
    return cell.parameters[name]


def _network(workspace: Workspace, model: str, width: float, dropout: float) -> Any:  # noqa: ANN401 - a module
    classes = len(workspace.train_set().class_names)
    if model == "base-cnn":
        return build_base_cnn(classes=classes, width=width, dropout=dropout)
    return build_vgg_cifar(classes=classes, width=width, dropout=dropout, block_dropout=dropout / 2)


def _fresh(cell: Cell, workspace: Workspace) -> Any:  # noqa: ANN401 - a module
    return _network(workspace, _as(cell, "model"), _as(cell, "width"), _as(cell, "dropout"))


def _trained(cell: Cell, workspace: Workspace) -> Any:  # noqa: ANN401 - a module
    return trained_net(workspace, cell.needs[0], _fresh(cell, workspace))


def _train(cell: Cell, workspace: Workspace) -> list[Row]:
    # rows share weights and order of images; helpers must not, or nothing would be held out
    helper = _as(cell, "row") not in LINES and _as(cell, "row") not in MORE
    seed = cell.seed if helper else cell.shared_seed("content", "train_images", "width")
    with fresh_weights(seed):
        model = _fresh(cell, workspace)
    given = {
        key.removeprefix("train_"): value
        for key, value in cell.parameters.items()
        if key.startswith("train_") and key != "train_images"
    }
    settings = TrainSettings(**given).changed(seed=seed, device=workspace.device)
    names = EVERY[_as(cell, "row")].sources
    sources = [
        trained_net(
            workspace, need, _network(workspace, _as(cell, "model"), line.width, line.dropout)
        )
        for need, line in zip(cell.needs, (EVERY[name] for name in names), strict=True)
    ]
    images = workspace.train_set(_as(cell, "train_images"))
    return train_net(workspace, cell, model, images, settings, sources=sources)


def _judge(cell: Cell, workspace: Workspace) -> list[Row]:
    eps = [share * _as(cell, "study_eps") for share in _SHARES]
    images = workspace.test_set(_as(cell, "images"))
    return judge_whole(_trained(cell, workspace), images, ["fgsm"], eps, seed=cell.seed)


def _search(cell: Cell, workspace: Workspace) -> list[Row]:
    return judge_verdicts(
        _trained(cell, workspace),
        workspace.test_set(_as(cell, "images")),
        _as(cell, "search"),
        [_as(cell, "study_eps")],
        restarts=_as(cell, "restarts"),
        seed=cell.seed,
        run=workspace.search(cell.hash),
        precision="fast",
    )


def _examples(cell: Cell, workspace: Workspace) -> list[Row]:
    return make_examples(
        _trained(cell, workspace),
        workspace.test_set(_as(cell, "images")),
        _CARRIERS,
        [_as(cell, "study_eps")],
        seed=cell.seed,
        file=workspace.examples(cell.hash),
    )


def _transfer(cell: Cell, workspace: Workspace) -> list[Row]:
    images = workspace.test_set(_as(cell, "images"))
    return judge_examples(_trained(cell, workspace), images, workspace.examples(cell.needs[1]))


def _slopes(cell: Cell, workspace: Workspace) -> list[Row]:
    images = workspace.test_set(_as(cell, "images"))
    return judge_slopes(_trained(cell, workspace), images, _as(cell, "study_eps"))


def _levels(cell: Cell, workspace: Workspace) -> list[Row]:
    return judge_levels(_trained(cell, workspace), workspace.test_set(_as(cell, "images")))


_WORKS = {
    "train": _train,
    "judge": _judge,
    "search": _search,
    "examples": _examples,
    "transfer": _transfer,
    "slopes": _slopes,
    "levels": _levels,
}

ADVERSARIAL_TRAINING = StudySpec(
    name=NAME,
    what="what does training on adversarial examples do, against which attack, at what cost?",
    source="Venkataraman, after Goodfellow, Kurakin, Madry and Tramer",
    options=Options(),
    known=_KNOWN,
    plan=plan,
    works=_WORKS,
    summarise=summarise,
)
