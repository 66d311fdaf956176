"""The cells of study `transfer`. Imports no torch."""

from collections.abc import Mapping, Sequence
from typing import Any

from epsball.errors import InvalidInput
from epsball.studies.core.cell import Cell, Plain
from epsball.studies.core.data_summary import DataSummary
from epsball.studies.core.options import Options

NAME, VERSION = "transfer", 1
FIRST = "A"  # the subset of the cross-technique matrix
VOTE = "vote"
# technique: attack on it, norm of the ball
OF_DIGITS: Mapping[str, tuple[str, str]] = {
    "dnn": ("fgsm", "linf"),
    "lr": ("fgsm", "linf"),
    "svm": ("fgsm:scale=logit", "l2"),
    "dt": ("boxes", "l2"),
    "knn": ("fgsm", "linf"),
}
OF_COLOUR: Mapping[str, tuple[str, str]] = {
    "resnet": ("transfer", "linf"),
    "vgg": ("transfer", "linf"),
    "resnet-adversarial": ("transfer", "linf"),
}
KNOWN: Mapping[str, Plain] = {
    "technique": "dnn",
    "attack": "",  # one attack for all techniques that have a gradient; "": the technique's own
    "subset_images": 10_000,
    "eps": 0.3,  # of the attacks in linf
    "l2_eps": 1.5,  # of those in l2
    "epochs": 6,
    "width": 0.5,  # of a network, times its filters
    "neighbours": 5,
}
_SUBSETS = {True: "ABCDE", False: "AB"}
_COLOUR_EPS, _COLOUR_EPOCHS = 8 / 255, 12
_COLOUR_IMAGES = 500  # test images, where no limit is given: their attack takes a second each


def plan(options: Options, data: DataSummary) -> list[Cell]:
    """Plan models of every technique on every subset, attacks on each, and their judges."""
    grey = is_grey(data)
    techniques = _techniques(options, data)
    subsets = _SUBSETS[grey]
    whole = min(options.train_limit or data.train, data.train)
    setting = _setting(options, grey=grey)
    size = min(setting.pop("subset_images"), whole // len(subsets))
    if size < data.classes:
        raise InvalidInput(
            f"study transfer: {len(subsets)} subsets of {whole} training images are too small: "
            "use more training images"
        )
    common: dict[str, Plain] = {"data": data.name, "content": data.content, "train_images": whole}
    images = options.limit if grey else options.limit or min(_COLOUR_IMAGES, data.test)
    cells: list[Cell] = []
    for repeat in range(options.seeds):
        cell_settings = (repeat, options.threads, VERSION)
        trained = {
            (technique, subset): Cell(
                NAME, "train", common | setting | {"technique": technique, "subset": subset,
                "subset_images": size}, *cell_settings,
            )
            for technique in techniques
            for subset in subsets
        }  # fmt: skip
        attacks = {key: _attack(cell, images, grey=grey) for key, cell in trained.items()}
        judges = [_judge(key, cell, attacks, techniques, images) for key, cell in trained.items()]
        if len(techniques) > 1:
            judges.append(_vote(trained, attacks, techniques, images))
        cells += [*trained.values(), *attacks.values(), *judges]
    return cells


def is_grey(data: DataSummary) -> bool:
    """Say whether the images are digits, for the techniques of the source, or in colour."""
    if data.shape == (1, 28, 28):
        return True
    if data.shape == (3, 32, 32):
        return False
    raise InvalidInput(
        f"study transfer needs images of 1 x 28 x 28 or 3 x 32 x 32, got {data.shape} from "
        f"{data.name}; take mnist or cifar10"
    )


def _techniques(options: Options, data: DataSummary) -> tuple[str, ...]:
    known = tuple(OF_DIGITS if is_grey(data) else OF_COLOUR)
    chosen = tuple(str(one) for one in options.grid.get("technique", known))
    unknown = sorted(set(chosen) - set(known))
    if unknown:
        raise InvalidInput(
            f"grid: technique must be among {', '.join(known)} for these images, got {unknown[0]}"
        )
    return chosen


def _setting(options: Options, *, grey: bool) -> dict[str, Any]:
    """Return the value of every parameter beside technique; the study varies nothing else."""
    values: dict[str, Any] = dict(KNOWN)
    if not grey:
        values |= {"eps": _COLOUR_EPS, "epochs": _COLOUR_EPOCHS, "subset_images": 25_000}
    if options.epochs is not None:
        values["epochs"] = options.epochs
    for name, given in options.grid.items():
        if name != "technique" and len(given) != 1:
            raise InvalidInput(f"grid: study transfer takes one value of {name}, got {len(given)}")
        values[name] = given[0]
    for name in ("subset_images", "eps", "l2_eps", "epochs", "width", "neighbours"):
        if not values[name] > 0:
            raise InvalidInput(f"grid: {name} must be above 0, got {values[name]}")
    return {name: value for name, value in values.items() if name != "technique"}


def _attack(net: Cell, images: int | None, *, grey: bool) -> Cell:
    values: Any = net.parameters
    attack, norm = (OF_DIGITS if grey else OF_COLOUR)[values["technique"]]
    if values["attack"] and attack != "boxes":
        attack, norm = values["attack"], "linf"
    more = {"images": images, "made_by": attack, "norm": norm}
    return Cell(NAME, "attack", values | more, net.repeat, net.threads, net.version, (net.hash,))


def _judge(
    key: tuple[str, str],
    net: Cell,
    attacks: Mapping[tuple[str, str], Cell],
    techniques: Sequence[str],
    images: int | None,
) -> Cell:
    """Score a model on images attacked on its own technique, and, on the first subset, on all."""
    technique, subset = key
    sources = [one for one in attacks if one[0] == technique]
    if subset == FIRST:
        sources += [(other, FIRST) for other in techniques if other != technique]
    return _after(net, [net], sources, attacks, images)


def _vote(
    trained: Mapping[tuple[str, str], Cell],
    attacks: Mapping[tuple[str, str], Cell],
    techniques: Sequence[str],
    images: int | None,
) -> Cell:
    """Score the vote of all techniques on images attacked on each of them."""
    members = [trained[technique, FIRST] for technique in techniques]
    sources = [(technique, FIRST) for technique in techniques]
    cell = _after(members[0], members, sources, attacks, images)
    parameters = {**cell.parameters, "technique": VOTE}
    return Cell(NAME, "judge", parameters, cell.repeat, cell.threads, cell.version, cell.needs)


def _after(
    like: Cell,
    models: Sequence[Cell],
    sources: Sequence[tuple[str, str]],
    attacks: Mapping[tuple[str, str], Cell],
    images: int | None,
) -> Cell:
    """Plan a judge; its needs are the models and then the attacks, in the order of `sources`."""
    listed = ",".join(f"{technique}/{subset}" for technique, subset in sources)
    parameters = {**like.parameters, "images": images, "sources": listed}
    needs = (*(one.hash for one in models), *(attacks[source].hash for source in sources))
    return Cell(NAME, "judge", parameters, like.repeat, like.threads, like.version, needs)


# seconds on one core: per training image, and per test image of an attack
_TRAIN = {"dnn": 6e-3, "lr": 2e-3, "svm": 4e-3, "dt": 5e-4, "knn": 1e-5}
_ATTACK = {"dt": 1e-2, "knn": 1e-2, "dnn": 1e-3, "lr": 1e-4, "svm": 1e-4}


def cost(cell: Cell, data: DataSummary) -> float:
    """Return the expected seconds of a cell."""
    values: Any = cell.parameters
    images = min(values.get("images") or data.test, data.test)
    technique = values["technique"]
    if cell.kind == "train":
        return float(values["subset_images"] * _TRAIN.get(technique, 3e-2))
    if cell.kind == "attack":
        return float(images * _ATTACK.get(technique, 1.0))
    return float(images * 1e-2)
