"""The cells of study `fooling`: one for each way of searching. Imports torch for the model."""

from collections.abc import Mapping

import numpy as np

from epsball.errors import InvalidInput
from epsball.studies.core.cell import Cell, Plain
from epsball.studies.core.data_summary import DataSummary
from epsball.studies.core.options import Options
from epsball.studies.core.workspace import Workspace
from epsball.studies.judge.victim import NOWHERE, identity_of

NAME, VERSION = "fooling", 2
KNOWN: Mapping[str, Plain] = {
    "model": "zoo:base-cnn-robust",
    "weights": "",
    "confidence": 0.99,
    "steps": 200,  # of the gradient
    "evaluations": 20_000,  # of evolution
    "gradient_classes": 50,  # evenly spaced; all, where there are fewer
    "evolution_classes": 10,
}
WAYS = {
    "gradient from noise": {"by": "gradient", "start": "noise"},
    "gradient from black": {"by": "gradient", "start": "black"},
    "evolution, patterns": {"by": "evolution", "encoding": "cppn"},
    "evolution, pixels": {"by": "evolution", "encoding": "direct"},
}


def plan(options: Options, data: DataSummary) -> list[Cell]:
    """Plan a cell for each way and seed."""
    values: dict[str, Plain] = {}
    for name, own in KNOWN.items():
        grid_values = options.grid.get(name, (own,))
        if len(grid_values) > 1:
            raise InvalidInput(f"grid: give one {name}, got {len(grid_values)}")
        values[name] = grid_values[0]
    if not 0 < float(str(values["confidence"])) < 1:
        raise InvalidInput(f"grid: confidence must be in (0, 1), got {values['confidence']}")
    for name in ("steps", "evaluations", "gradient_classes", "evolution_classes"):
        if int(str(values[name])) < 1:
            raise InvalidInput(f"grid: {name} must be at least 1, got {values[name]}")
    workspace = Workspace(NOWHERE, options.data, options.device)
    model, weights = str(values["model"]), str(values["weights"])
    base: dict[str, Plain] = {
        "data": data.name,
        "content": data.content,
        "model": model,
        "weights": weights,
        "identity": identity_of(workspace, model, weights),
        "confidence": values["confidence"],
    }
    cells = []
    for way, how in WAYS.items():
        gradient = how["by"] == "gradient"
        name = "steps" if gradient else "evaluations"
        search = {"way": way, name: values[name], "classes": values[f"{how['by']}_classes"]}
        cells += [
            Cell(NAME, "search", base | search, seed, options.threads, VERSION)
            for seed in range(options.seeds)
        ]
    return cells


# seconds on one core for each value of an image: a pass of a small network, forward and back
_FORWARD, _GRADIENT = 6e-7, 2e-6


def cost(cell: Cell, data: DataSummary) -> float:
    """Return the expected seconds of a cell."""
    values, size = cell.parameters, data.pixels
    if "evaluations" in values:
        return int(str(values["evaluations"])) * size * _FORWARD
    return len(classes_of(cell, data.classes)) * int(str(values["steps"])) * size * _GRADIENT


def classes_of(cell: Cell, classes: int) -> list[int]:
    """Return the target classes of a cell, evenly spaced."""
    count = min(int(str(cell.parameters["classes"])), classes)
    return [int(number) for number in np.linspace(0, classes - 1, count).round()]
