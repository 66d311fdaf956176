"""The cells of study `label-efficient`. Imports no torch."""

from collections.abc import Mapping
from typing import Any

from epsball.errors import InvalidInput
from epsball.studies.core.cell import Cell, Plain
from epsball.studies.core.data_summary import DataSummary
from epsball.studies.core.options import Options

NAME, VERSION = "label-efficient", 1
CHOICES = ("random", "entropy", "margin", "deepfool")
KNOWN: Mapping[str, Plain] = {
    "choice": "random",
    "first": 100,  # labelled images of the first round, drawn at random
    "more": 100,  # labelled in each later round
    "rounds": 8,
    "candidates": 2000,  # unlabelled images that are ranked in each round
    "architecture": "zoo:mlp",
    "epochs": 30,
}


def plan(options: Options, data: DataSummary) -> list[Cell]:
    """Plan a learning curve for every way of choosing and every seed."""
    values = dict(KNOWN)
    if options.epochs is not None:
        values["epochs"] = options.epochs
    for name, given in options.grid.items():
        if name != "choice" and len(given) != 1:
            raise InvalidInput(f"grid: study label-efficient takes one value of {name}")
        values[name] = given[0]
    choices = options.grid.get("choice", CHOICES)
    unknown = [one for one in choices if one not in CHOICES]
    if unknown:
        raise InvalidInput(f"grid: choice must be among {', '.join(CHOICES)}, got {unknown[0]}")
    numbers: Any = values
    for name in ("first", "more", "rounds", "candidates", "epochs"):
        if numbers[name] < 1:
            raise InvalidInput(f"grid: {name} must be 1 or more, got {numbers[name]}")
    whole = min(options.train_limit or data.train, data.train)
    last = numbers["first"] + (numbers["rounds"] - 1) * numbers["more"]
    if last > whole or numbers["more"] > numbers["candidates"]:
        raise InvalidInput(
            f"grid: {last} labels of {whole} training images, {numbers['more']} of "
            f"{numbers['candidates']} candidates a round: ask for fewer"
        )
    common: dict[str, Plain] = {"data": data.name, "content": data.content, "train_images": whole}
    return [
        Cell(
            NAME, "curve", {**common, **values, "choice": choice, "images": options.limit}, repeat,
            options.threads, VERSION,
        )
        for repeat in range(options.seeds)
        for choice in choices
    ]  # fmt: skip


def cost(cell: Cell, data: DataSummary) -> float:  # noqa: ARG001 - the signature of a cost
    """Return the expected seconds of a cell on one core."""
    values: Any = cell.parameters
    labels = values["rounds"] * (values["first"] + values["rounds"] * values["more"] / 2)
    return float(labels * values["epochs"] * 1e-4 + 5)
