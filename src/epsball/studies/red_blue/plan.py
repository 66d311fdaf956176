"""The cells of study `red-blue`. Imports no torch."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from epsball.errors import InvalidInput
from epsball.studies.core.cell import Cell, Plain
from epsball.studies.core.data_summary import DataSummary
from epsball.studies.core.options import Options, each_setting

NAME, VERSION = "red-blue", 1
PIXELS = 784  # inputs of the network
EPS = (0.05, 0.075, 0.10, 0.25)
KNOWN: Mapping[str, Plain] = {
    "arm": "clean",  # or "adversarial": trained on FGSM examples alone, with the same penalties
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
# five restarts of forty steps, as is usual; and our strongest attack
_SEARCHES: tuple[tuple[str, int], ...] = (("pgd", 5), ("strongest", 1))
# seconds on one core of a Xeon at 2.1 GHz: per training image and epoch; per test image and cell
_TRAIN_SECONDS = {"clean": 5e-5, "adversarial": 8e-5}
_TEST_SECONDS = {"judge": 5e-4, "pgd": 0.05, "strongest": 0.25}


def plan(options: Options, data: DataSummary) -> list[Cell]:
    """Plan a network for every setting and seed, and the cells that attack it."""
    height, width = data.shape[1:]
    if data.shape[0] * height * width != PIXELS:
        raise InvalidInput(
            f"study red-blue needs images of {PIXELS} numbers, got {data.shape} from "
            f"{data.name}; take mnist or digits"
        )
    common = {"data": data.name, "content": data.content, "train_images": options.train_limit}
    nets = [
        Cell(NAME, "train", common | setting, repeat, options.threads, VERSION)
        for setting in settings_of(options)
        for repeat in range(options.seeds)
    ]
    judged = [one for net in nets for one in (net, _after(net, "judge", options.limit))]
    return [*judged, *_strips(nets), *_searches(options, nets)]


def settings_of(options: Options) -> Iterator[dict[str, Plain]]:
    """Yield the settings of a grid, with a value of every parameter."""
    values: dict[str, tuple[Plain, ...]] = {}
    for name, usual in KNOWN.items():
        own = _OWN.get(name, (usual,))
        if name == "epochs" and options.epochs is not None:
            own = (options.epochs,)
        values[name] = tuple(options.grid.get(name, own))
    for setting in each_setting(values):
        _check(setting)
        if setting["arm"] == "clean":  # makes no examples, so it has no eps of them
            if setting["arm_eps"] != values["arm_eps"][0]:
                continue
            setting["arm_eps"] = None
        yield setting


def _check(setting: Mapping[str, Any]) -> None:
    if setting["arm"] not in ("clean", "adversarial"):
        raise InvalidInput(f"grid: arm must be clean or adversarial, got {setting['arm']!r}")
    limits = {"dropout": (0.0, 1.0), "hidden": (1, 10**6), "batch_size": (1, 10**6)}
    limits |= {"epochs": (1, 10**6), "arm_eps": (0.0, 1.0 + 1e-9)}
    for name, (low, beyond) in limits.items():
        if not low <= setting[name] < beyond:
            raise InvalidInput(f"grid: {name} must be in [{low}, {beyond:g}), got {setting[name]}")
    if setting["lr"] <= 0:
        raise InvalidInput(f"grid: lr must be above 0, got {setting['lr']}")


def _after(net: Cell, kind: str, images: int | None, **more: Plain) -> Cell:
    """Plan a cell that works on a network."""
    parameters = {**net.parameters, "images": images, **more}
    return Cell(net.study, kind, parameters, net.repeat, net.threads, net.version, (net.hash,))


def _strips(nets: Sequence[Cell]) -> list[Cell]:
    """Show the first setting and the most penalised one, of the first arm and seed."""
    arm = nets[0].parameters["arm"]
    first = [net for net in nets if net.repeat == 0 and net.parameters["arm"] == arm]
    most = max(first, key=_penalties)
    chosen = {net.hash: net for net in (first[0], most)}
    return [_after(net, "strip", None) for net in chosen.values()]


def _penalties(net: Cell) -> Any:  # noqa: ANN401 - two numbers
    return net.parameters["l1"], net.parameters["l2"]


def _searches(options: Options, nets: Sequence[Cell]) -> list[Cell]:
    """Run the expensive attacks on all seeds of the first arm, and the first seed of the others."""
    if options.searched == 0:
        return []
    arm = nets[0].parameters["arm"]
    chosen = [net for net in nets if net.repeat == 0 or net.parameters["arm"] == arm]
    chosen.sort(key=lambda net: net.repeat)  # a study that is stopped early has whole repetitions
    return [
        _after(net, "search", options.searched, search=attack, restarts=restarts)
        for attack, restarts in _SEARCHES
        for net in chosen
    ]


def cost(cell: Cell, data: DataSummary) -> float:
    """Return the expected seconds of a cell."""
    values: Any = cell.parameters
    if cell.kind == "strip":
        return 0.5
    if cell.kind == "train":
        images = min(values["train_images"] or data.train, data.train)
        return float(images * values["epochs"] * _TRAIN_SECONDS[values["arm"]])
    images = min(values["images"] or data.test, data.test)
    return float(images * _TEST_SECONDS[values.get("search", "judge")])
