"""The cells of study `substitute`. Imports no torch."""

import itertools
from collections.abc import Mapping
from typing import Any

from epsball.errors import InvalidInput, unknown_name
from epsball.studies.core.cell import Cell, Plain
from epsball.studies.core.data_summary import DataSummary
from epsball.studies.core.options import Options

NAME, VERSION = "substitute", 2
ORACLES = ("dnn", "lr", "svm")
QUERIES = (800, 2000, 6400)
KNOWN: Mapping[str, Plain] = {
    "oracle": "dnn",
    "queries": 800,
    "questions": "jacobian",  # the source's; beside it attacks on the substitute
    "architecture": "zoo:base-cnn",
    "attack": "fgsm",  # the source's; momentum steps are scored beside it
    "eps": 0.3,
    "seed_images": 150,
    "substitute_epochs": 10,
    "epochs": 6,  # of the oracle, where it is a network
    "width": 0.5,  # of that network, times its filters
    "direct_images": 100,
}
_OWN: Mapping[str, tuple[Plain, ...]] = {
    "oracle": ORACLES, "queries": QUERIES, "questions": ("jacobian", "attacks")
}  # fmt: skip


def plan(options: Options, data: DataSummary) -> list[Cell]:
    """Plan the oracles, and a substitute of each for every number of queries."""
    if data.shape != (1, 28, 28):
        raise InvalidInput(
            f"study substitute needs images of 1 x 28 x 28, got {data.shape} from {data.name}; "
            "take mnist or digits"
        )
    values = {
        name: options.grid.get(name, _OWN.get(name, (usual,))) for name, usual in KNOWN.items()
    }
    if options.epochs is not None:
        values["epochs"] = (options.epochs,)
    single = {name: given[0] for name, given in values.items() if name not in _OWN}
    for name, given in values.items():
        if name not in _OWN and len(given) != 1:
            raise InvalidInput(f"grid: study substitute takes one value of {name}")
    _check(values, single)
    common = {"data": data.name, "content": data.content, "train_images": options.train_limit}
    trained = {name: single[name] for name in ("epochs", "width")}
    cells = []
    for repeat in range(options.seeds):
        given = (repeat, options.threads, VERSION)
        for oracle in values["oracle"]:
            net = Cell(NAME, "train", {**common, **trained, "oracle": oracle}, *given)
            cells.append(net)
            for queries, questions in itertools.product(values["queries"], values["questions"]):
                more = {**common, **single, **_asking(queries, questions)}
                more |= {"oracle": oracle, "images": options.limit}
                cells.append(Cell(NAME, "substitute", more, *given, (net.hash,)))
    return cells


def _asking(queries: Plain, questions: Plain) -> dict[str, Plain]:
    """Return what tells cells of an oracle apart; those of the source do not name questions."""
    if questions == KNOWN["questions"]:
        return {"queries": queries}
    return {"queries": queries, "questions": questions}


def _check(values: Mapping[str, tuple[Plain, ...]], single: Mapping[str, Any]) -> None:
    unknown = [one for one in values["oracle"] if one not in ORACLES]
    if unknown:
        raise InvalidInput(f"grid: oracle must be among {', '.join(ORACLES)}, got {unknown[0]}")
    for one in values["questions"]:
        if one not in _OWN["questions"]:
            raise unknown_name("grid: questions", str(one), [str(q) for q in _OWN["questions"]])
    numbers: Any = values["queries"]
    for queries in numbers:
        if queries < single["seed_images"]:
            raise InvalidInput(
                f"grid: queries must be at least the {single['seed_images']} seed images, "
                f"got {queries}"
            )
    for name in ("eps", "seed_images", "substitute_epochs", "epochs", "width", "direct_images"):
        if not single[name] > 0:
            raise InvalidInput(f"grid: {name} must be above 0, got {single[name]}")


def cost(cell: Cell, data: DataSummary) -> float:
    """Return the expected seconds of a cell on one core."""
    values: Any = cell.parameters
    if cell.kind == "train":
        images = min(values["train_images"] or data.train, data.train)
        return float(images * (1e-3 * values["epochs"] if values["oracle"] == "dnn" else 2e-3))
    return float(10 + values["queries"] * (0.1 if "questions" in values else 0.05))
