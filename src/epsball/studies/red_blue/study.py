"""Study `red-blue`: do L1 and L2 penalties protect a small network against FGSM, and what does?

The red team attacks by one step along the sign of the gradient, the blue team answers by penalties
on the weights. Judged as in the source, and beside it by attacks that did not exist for it.

Source: Limaye, Tirupari and Rangan, "Red team, blue team". It does not state the hidden width, the
dropout rate, the learning rate, the number of epochs, nor whether attacked images are clipped.
Ours: 625 units and RMSProp at 1e-3, from the tutorial it cites; dropout 0.5, the usual rate; 4
epochs, after which the network without penalties has the source's clean accuracy (97.5 %);
clipped, with the unclipped reading measured beside it. All are parameters of the grid.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from epsball.errors import InvalidInput
from epsball.models.zoo.mlp import PIXELS, build_mlp
from epsball.studies.core.cell import Cell, Plain
from epsball.studies.core.materials import Materials
from epsball.studies.core.nets import train_net, trained_net
from epsball.studies.core.options import Options, each_setting
from epsball.studies.core.place import Place
from epsball.studies.core.spec import StudySpec
from epsball.studies.core.store import Row
from epsball.studies.judge.strip import keep_strip
from epsball.studies.judge.whole import judge_verdicts, judge_whole
from epsball.studies.red_blue.story import sum_up
from epsball.training import TrainSettings, fresh_weights

VERSION = 1
EPS = (0.05, 0.075, 0.10, 0.25)
_KNOWN: Mapping[str, Plain] = {
    "arm": "clean",  # or "adversarial": penalties on a loss over FGSM examples, and on it alone
    "l1": 0.0,
    "l2": 0.0,
    "hidden": 625,
    "dropout": 0.5,
    "lr": 1e-3,
    "batch_size": 128,
    "epochs": 4,
    "arm_eps": 0.10,  # of the examples of the arm "adversarial"; the source names none
}
_PENALTIES = (0.0, 1e-5, 1e-4)
_OWN = {"arm": ("clean", "adversarial"), "l1": _PENALTIES, "l2": _PENALTIES}
_WHOLE = ("fgsm", "fgsm:clip=false")
# five restarts of forty steps, as the field judges; and the strongest that there is here. At the
# two eps of the source's main table: at 0.05 most images hold, which is the dearest answer
_SEARCHED_EPS = (0.10, 0.25)
_SEARCHES: tuple[tuple[str, int], ...] = (("pgd", 5), ("strongest", 1))
_SHOWN = 7  # the digit of the strip


def plan(options: Options, materials: Materials) -> list[Cell]:
    """Plan a network for every setting and seed, and its judges."""
    height, width = materials.shape[1:]
    if materials.shape[0] * height * width != PIXELS:
        raise InvalidInput(
            f"study red-blue needs images of {PIXELS} numbers, got {materials.shape} from "
            f"{materials.data}; take mnist or digits"
        )
    common = {"data": materials.data, "content": materials.content}
    settings = list(settings_of(options))
    for setting in settings:
        _training(setting, seed=0)  # refuses a bad value before anything is written
    nets = [
        _cell(options, "train", common | {"train_images": options.train_limit} | setting, repeat)
        for setting in settings
        for repeat in range(options.seeds)
    ]
    judged = [one for net in nets for one in (net, _after(net, "judge", options.limit))]
    return [*judged, *_strips(nets), *_searches(options, nets)]


def settings_of(options: Options) -> Iterator[dict[str, Plain]]:
    """Give the settings of a grid, every parameter filled in."""
    asked: dict[str, tuple[Plain, ...]] = {}
    for name, usual in _KNOWN.items():
        own = _OWN.get(name, (usual,))
        if name == "epochs" and options.epochs is not None:
            own = (options.epochs,)
        asked[name] = tuple(options.grid.get(name, own))
    for setting in each_setting(asked):
        if setting["arm"] == "clean":  # makes no examples, so their eps is no setting of it
            if setting["arm_eps"] != asked["arm_eps"][0]:
                continue
            setting["arm_eps"] = None
        yield setting


def _cell(
    options: Options, kind: str, parameters: Mapping[str, Plain], repeat: int, *needs: str
) -> Cell:
    return Cell("red-blue", kind, parameters, repeat, options.threads, VERSION, needs)


def _after(net: Cell, kind: str, images: int | None, **more: Plain) -> Cell:
    """Plan a cell that works on a network."""
    parameters = {**net.parameters, "images": images, **more}
    return Cell(net.study, kind, parameters, net.repeat, net.threads, net.version, (net.hash,))


def _strips(nets: list[Cell]) -> list[Cell]:
    """Show the first setting and the most penalised one, of the first arm and seed."""
    first = [net for net in nets if net.repeat == 0 and _as(net, "arm") == _as(nets[0], "arm")]
    most = max(first, key=lambda net: (_as(net, "l1"), _as(net, "l2")))
    chosen = {net.hash: net for net in (first[0], most)}
    return [_after(net, "strip", None) for net in chosen.values()]


def _searches(options: Options, nets: list[Cell]) -> list[Cell]:
    """Give the dear attacks every seed of the first arm, and the first seed of the others."""
    if options.searched == 0:
        return []
    arm = _as(nets[0], "arm")
    chosen = [net for net in nets if net.repeat == 0 or _as(net, "arm") == arm]
    chosen.sort(key=lambda net: net.repeat)  # a study that is stopped early has whole repetitions
    return [
        _after(net, "search", options.searched, search=attack, restarts=restarts)
        for attack, restarts in _SEARCHES
        for net in chosen
    ]


def _as(cell: Cell, name: str) -> Any:  # noqa: ANN401 - a parameter of any kind
    return cell.parameters[name]


def run(cell: Cell, place: Place) -> list[Row]:
    """Do one cell."""
    return _WORKS[cell.kind](cell, place)


def _train(cell: Cell, place: Place) -> list[Row]:
    images = place.train_set(_as(cell, "train_images"))
    # the same first weights and order of images for all settings of a repetition
    seed = cell.shared_seed("content", "train_images")
    with fresh_weights(seed):
        model = _network(cell, place)
    settings = _training(cell.parameters, seed).changed(device=place.device)
    return train_net(place, cell, model, images, settings)


def _training(setting: Mapping[str, Plain], seed: int) -> TrainSettings:
    given: dict[str, Any] = {
        name: setting[name] for name in ("l1", "l2", "lr", "batch_size", "epochs")
    }
    if setting["arm"] == "adversarial":
        given |= {"recipe": "fgsm-mix", "alpha": 0.0, "eps": setting["arm_eps"]}
    elif setting["arm"] != "clean":
        raise InvalidInput(f"grid: arm must be clean or adversarial, got {setting['arm']!r}")
    for name, low, beyond in (("dropout", 0.0, 1.0), ("hidden", 1, 10**6)):
        value: Any = setting[name]
        if not low <= value < beyond:
            raise InvalidInput(f"grid: {name} must be in [{low}, {beyond}), got {value}")
    # watched by nobody: the judges look at every network anyway
    return TrainSettings(optimizer="rmsprop", validation=0.0, watch_every=0, seed=seed, **given)


def _network(cell: Cell, place: Place) -> Any:  # noqa: ANN401 - a module
    classes = len(place.train_set().class_names)
    return build_mlp(classes=classes, hidden=_as(cell, "hidden"), dropout=_as(cell, "dropout"))


def _judge(cell: Cell, place: Place) -> list[Row]:
    model = trained_net(place, cell.needs[0], _network(cell, place))
    images = place.test_set(_as(cell, "images"))
    return judge_whole(model, images, _WHOLE, EPS, seed=cell.seed)


def _search(cell: Cell, place: Place) -> list[Row]:
    model = trained_net(place, cell.needs[0], _network(cell, place))
    images = place.test_set(_as(cell, "images"))
    return judge_verdicts(
        model,
        images,
        _as(cell, "search"),
        _SEARCHED_EPS,
        restarts=_as(cell, "restarts"),
        seed=cell.seed,
        run=place.search(cell.hash),
    )


def _strip(cell: Cell, place: Place) -> list[Row]:
    model = trained_net(place, cell.needs[0], _network(cell, place))
    images = place.test_set()
    shown = _SHOWN if (images.labels == _SHOWN).any() else int(np.min(images.labels))
    return keep_strip(model, images, "fgsm", EPS, label=shown, file=place.images(cell.hash))


_WORKS = {"train": _train, "judge": _judge, "search": _search, "strip": _strip}

RED_BLUE = StudySpec(
    name="red-blue",
    what="do L1 and L2 penalties on the weights protect a small network against FGSM?",
    source="Limaye, Tirupari and Rangan, Red team, blue team",
    options=Options(),
    known=_KNOWN,
    plan=plan,
    run=run,
    sum_up=sum_up,
)
