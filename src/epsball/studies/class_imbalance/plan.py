"""The cells of study `class-imbalance`: networks, and what each is put to. Imports no torch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from epsball.errors import InvalidInput, unknown_name
from epsball.studies.class_imbalance.networks import (
    NETWORKS,
    REMEDIES,
    SCHEDULES,
    VALIDATIONS,
    Network,
    network_for,
)
from epsball.studies.core.cell import Cell, Plain
from epsball.studies.core.data_summary import DataSummary
from epsball.studies.core.options import Options

NAME, VERSION = "class-imbalance", 1
PARTS = ("source", "dose", "remedies", "tail")
KNOWN: dict[str, Plain] = {
    "part": "source", "schedule": "fast", "validation": "removed", "eps": 0.01, "dose": 5,
    "training": "ordinary", "remedy": "none", "remedy_dose": 10, "attack_steps": 7,
    "tail": 50, "probed": 100,
}  # fmt: skip
SOURCE_DOSE = 5  # the source's: 1,000 of 5,000 images
DOSES = (2, 5, 10, 50)
REMEDY_DOSE = 10
TRAININGS = ("ordinary", "adversarial")


@dataclass(frozen=True)
class Design:
    """What is asked for, checked.

    Args:
        options: of the study.
        data: the facts about the images.
        network: what is trained.
        classes: names of the classes that take the rare role, in the order of the cells.
    """

    options: Options
    data: DataSummary
    network: Network
    classes: tuple[str, ...]

    def values(self, name: str, usual: Sequence[Plain]) -> tuple[Any, ...]:
        """Return the values of a parameter of the grid."""
        return tuple(self.options.grid.get(name, tuple(usual)))

    def one(self, name: str, usual: Plain) -> Any:  # noqa: ANN401 - a number or a word
        """Return the one value of a parameter that all cells share."""
        values = self.values(name, (usual,))
        if len(values) > 1:
            raise InvalidInput(f"grid: {NAME} takes one {name} at a time, got {len(values)}")
        return values[0]


def plan(options: Options, data: DataSummary) -> list[Cell]:
    """Return the cells of all parts that are asked for, the most telling first.

    Raises:
        InvalidInput: an unknown part, schedule, remedy or class, a dose that leaves a class without
            images, or images that the study has no network for.
    """
    design = Design(options, data, network_for(data), options.classes or data.class_names)
    choices = {"part": PARTS, "schedule": tuple(SCHEDULES), "validation": VALIDATIONS}
    for name, known in (choices | {"training": TRAININGS, "remedy": tuple(REMEDIES)}).items():
        for value in design.values(name, ()):
            if value not in known:
                raise unknown_name(f"{name} of the study", str(value), known)
    _check_doses(design)
    parts = {"source": _source, "dose": _dose, "remedies": _remedies, "tail": _tail}
    return [
        cell
        for repeat in range(options.seeds)
        for part in design.values("part", ("source",))
        for cell in parts[part](design, repeat)
    ]


def _check_doses(design: Design) -> None:
    """Refuse a ratio that would leave a class without images before anything is written."""
    images = min(design.options.train_limit or design.data.train, design.data.train)
    each = images / design.data.classes
    for name, usual in (("dose", DOSES), ("remedy_dose", (REMEDY_DOSE,)), ("tail", (50,))):
        for dose in design.values(name, usual):
            if dose < 1:
                raise InvalidInput(f"grid: {name} must be 1 or more, got {dose}")
            is_chosen = name in design.options.grid or "source" not in design.values(
                "part", ("source",)
            )
            if round(each / dose) < 1 and is_chosen:
                raise InvalidInput(
                    f"grid: {name}={dose} leaves no image of a class of {each:.0f}; take a smaller "
                    "one, or more training images"
                )


def _source(design: Design, repeat: int) -> Iterator[Cell]:
    """Yield the 21 networks and 50 evaluations of the source."""
    balanced = network_cell(design, repeat, "balanced")
    yield balanced
    yield _after(design, balanced, "judge")
    yield _probe(design, balanced)
    for name in design.classes:
        for kind in ("under", "over"):
            net = network_cell(design, repeat, kind, name=name, dose=SOURCE_DOSE)
            yield net
            yield _after(design, net, "judge", balanced.hash)


def _dose(design: Design, repeat: int) -> Iterator[Cell]:
    """Yield every class in the rare role, under every dose, ordinary and adversarial training."""
    for training in design.values("training", TRAININGS):
        remedy = "adversarial" if training == "adversarial" else "none"
        yield from _probed(design, network_cell(design, repeat, "balanced", remedy=remedy))
        for dose in design.values("dose", DOSES):
            for name in design.classes:
                yield from _probed(
                    design,
                    network_cell(design, repeat, "under", name=name, dose=dose, remedy=remedy),
                )


def _remedies(design: Design, repeat: int) -> Iterator[Cell]:
    """Yield every remedy for every class in the rare role."""
    yield from _probed(design, network_cell(design, repeat, "balanced"))
    dose = design.one("remedy_dose", REMEDY_DOSE)
    for remedy in design.values("remedy", tuple(REMEDIES)):
        for name in design.classes:
            yield from _probed(
                design, network_cell(design, repeat, "under", name=name, dose=dose, remedy=remedy)
            )


def _tail(design: Design, repeat: int) -> Iterator[Cell]:
    """Yield the positive control: a long tail, and the same tail begun half way round."""
    names = design.data.class_names
    ratio = design.one("tail", 50)
    for training in design.values("training", TRAININGS):
        remedy = "adversarial" if training == "adversarial" else "none"
        for first in (names[0], names[len(names) // 2]):
            yield from _probed(
                design,
                network_cell(design, repeat, "long-tail", name=first, dose=ratio, remedy=remedy),
            )


def network_cell(
    design: Design,
    repeat: int,
    kind: str,
    *,
    name: str | None = None,
    dose: int = 1,
    remedy: str = "none",
) -> Cell:
    """Return the cell that trains a network.

    Args:
        design: what is asked for.
        repeat: which repetition.
        kind: "balanced", "under", "over" or "long-tail".
        name: the class in the rare role ("under"), in the frequent one ("over"), or the first of
            the long tail.
        dose: how many times rarer.
        remedy: in `REMEDIES`.
    """
    schedule = design.one("schedule", "fast")
    chosen, network = REMEDIES[remedy], design.network
    settings = dict(SCHEDULES[schedule]) | dict(chosen.settings)
    if schedule == "fast":
        settings["epochs"] = network.epochs
    if design.options.epochs is not None:
        settings["epochs"] = design.options.epochs
    if chosen.hardened:
        settings |= {"recipe": "pgd", "eps": network.hardened_eps, "watch_every": 0}
        settings["attack_steps"] = design.one("attack_steps", 7)
    parameters: dict[str, Plain] = {
        "set": kind, "class": name, "dose": dose, "remedy": remedy, "schedule": schedule,
        "model": network.model, "data": design.data.name, "content": design.data.content,
        "train_images": design.options.train_limit, "imbalance": _profile(kind, name, dose),
        "eps": network.hardened_eps if chosen.hardened else design.one("eps", network.eps),
    }  # fmt: skip
    if schedule == "source":
        parameters["validation"] = design.one("validation", "removed")
    parameters |= {f"train_{key}": value for key, value in settings.items()}
    return Cell(NAME, "train", parameters, repeat, design.options.threads, VERSION)


def _profile(kind: str, name: str | None, dose: int) -> str | None:
    """Return the profile of `epsball.data.imbalance`; None where all images are used."""
    if kind == "balanced" or dose == 1:
        return None
    return f"long-tail:{dose}:{name}" if kind == "long-tail" else f"{kind}:{name}=1/{dose}"


def _after(design: Design, net: Cell, kind: str, *needs: str, **more: Plain) -> Cell:
    """Return a cell that puts a trained network to something."""
    own = {k: v for k, v in net.parameters.items() if not k.startswith("train_")}
    parameters = {**own, "images": design.options.limit, **more}
    return Cell(NAME, kind, parameters, net.repeat, net.threads, VERSION, (net.hash, *needs))


def _probe(design: Design, net: Cell) -> Cell:
    return _after(
        design, net, "probe", probed=design.one("probed", 100), references=_references(design)
    )


def _probed(design: Design, net: Cell) -> Iterator[Cell]:
    """Yield a network, the attacks on it, and the strongest one on fewer images."""
    yield net
    yield _probe(design, net)
    if design.options.searched:
        probed = design.options.searched
        yield _after(design, net, "search", probed=probed, references=_references(design))


def control_of(label: int, classes: int) -> int:
    """Return the class that is watched beside a rare one: half way round the labels."""
    return (label + classes // 2) % classes


def _references(design: Design) -> str | None:
    """Return the labels that a balanced network is probed on, as text; None for all."""
    names = design.data.class_names
    rare = {names.index(name) for name in design.classes}
    labels = sorted(rare | {control_of(label, len(names)) for label in rare})
    return None if len(labels) == len(names) else " ".join(map(str, labels))


def cost(cell: Cell, data: DataSummary) -> float:
    """Expect so many seconds of a cell on one core."""
    speed, of = NETWORKS[data.shape].images_per_second, cell.parameters.get
    if cell.kind == "train":
        images = min(_number(of("train_images")) or data.train, data.train)
        passes = 1 + _number(of("train_attack_steps"))
        return images * _number(of("train_epochs")) * passes / speed
    if cell.kind == "judge":
        return 2 * min(_number(of("images")) or data.test, data.test) / speed
    classes = data.classes if of("set") in ("balanced", "long-tail") else 2
    return classes * _number(of("probed")) * (200 if cell.kind == "probe" else 2000) / speed


def _number(value: Plain) -> float:
    """Return a number; 0 for None."""
    return float(value or 0)
