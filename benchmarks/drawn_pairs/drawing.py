"""One pair: which network, behaviour, form, precision, scaling, range, layout and order."""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from benchmarks.drawn_pairs.behaviours import BEHAVIOURS
from benchmarks.drawn_pairs.forms import WEIGHTS
from benchmarks.drawn_pairs.networks import ARCHITECTURES
from benchmarks.drawn_pairs.presentations import LAYOUTS, ONLY_BYTES, ORDERS, RANGES
from benchmarks.drawn_pairs.scaling import scalings
from benchmarks.drawn_pairs.tasks import Task

# how often a dimension keeps what is usual and right
_USUAL = {"behaviour": 0.55, "scaling": 0.4, "range": 0.6, "order": 0.7, "given": 0.75}
_NO_LABELS = ("labels float", "labels one-hot", "labels as text")  # always refused
PRECISIONS = ("float32", "float64", "float16", "bfloat16")
GIVEN = ("right", "none", "another", "twice")
NAMES = ("none", "own", "permuted")
COUNTS = (60, 120, 200)
BYTES = (
    *("uint8", "bytes of 0 and 1", "bytes of 0 to 16", "inverted", "rows for columns"),
    *("upside down", "BGR", "reshaped"),
)


@dataclass(frozen=True)
class Pair:
    """A drawn pair.

    Args:
        number: of the draw; everything else follows from it and the seed.
        task: whose images.
        architecture: of the network.
        behaviour: what it does beside giving logits.
        form: in which it is handed over.
        precision: of its parameters.
        scaling: that it expects.
        given: the scaling that it is given: the right one, none, another one, or the right one
            twice.
        other: the other scaling.
        range: of the pixels.
        layout: of the images.
        order: of the labels.
        subset: how many classes the images show; 0: all.
        count: of images.
        names: of classes that the model knows: none, its own, or its own in an order of its own.
    """

    number: int
    task: str
    architecture: str
    behaviour: str
    form: str
    precision: str
    scaling: str
    given: str
    other: str
    range: str
    layout: str
    order: str
    subset: int
    count: int
    names: str = "none"

    def row(self) -> dict[str, Any]:
        """Return the pair as plain values."""
        return asdict(self)


def draw(number: int, seed: int, tasks: dict[str, Task], *, named: bool = False) -> Pair:
    """Draw a pair; equal numbers and seeds draw equal pairs.

    Args:
        number: of the pair.
        seed: of the run.
        tasks: by name.
        named: draw also which names of its classes the model knows.
    """
    rng = np.random.default_rng([seed, number])
    task = tasks[str(rng.choice(list(tasks), p=(0.4, 0.35, 0.1, 0.15)))]
    known = list(scalings(task))
    forms = np.array(list(WEIGHTS.values()))
    layouts = np.array([0.2 if name in _NO_LABELS else 1.0 for name in LAYOUTS])
    pair = Pair(
        number=number,
        task=task.name,
        architecture=str(rng.choice(list(ARCHITECTURES))),
        behaviour=_usual(rng, "behaviour", list(BEHAVIOURS)),
        form=str(rng.choice(list(WEIGHTS), p=forms / forms.sum())),
        precision=str(rng.choice(PRECISIONS, p=(0.7, 0.1, 0.1, 0.1))),
        scaling=_usual(rng, "scaling", known),
        given=_usual(rng, "given", list(GIVEN)),
        other=str(rng.choice(known)),
        range=_usual(rng, "range", list(RANGES)),
        layout=str(rng.choice(list(LAYOUTS), p=layouts / layouts.sum())),
        order=_usual(rng, "order", list(ORDERS)),
        subset=int(rng.choice([0, 0, 0, 0, 0, max(2, task.classes // 2)])),
        count=int(rng.choice(COUNTS)),
    )
    if named:
        chosen = np.random.default_rng([seed, number, 2]).choice(NAMES, p=(0.2, 0.3, 0.5))
        pair = replace(pair, names=str(chosen))
    return _possible(pair, task)


def _usual(rng: np.random.Generator, what: str, names: list[str]) -> str:
    return names[0] if rng.random() < _USUAL[what] else str(rng.choice(names))


def _possible(pair: Pair, task: Task) -> Pair:
    """Change what cannot be combined: Pillow holds bytes only, greys have no colours."""
    if pair.layout in ONLY_BYTES and pair.range not in BYTES:
        pair = replace(pair, range="uint8")
    if task.shape[0] == 1 and pair.range in ("BGR", "reshaped"):
        pair = replace(pair, range="uint8")
    if task.shape[0] == 3 and pair.layout == "without channels":
        pair = replace(pair, layout="channels last")
    if task.classes == 2:
        pair = replace(pair, subset=0)
    if pair.behaviour in ("int8 dynamic", "float16 dynamic"):
        pair = replace(pair, precision="float32")
    if pair.given == "another" and pair.other == pair.scaling:
        pair = replace(pair, given="right")
    if pair.scaling == "unit" and pair.given in ("none", "twice"):
        pair = replace(pair, given="right")
    return pair
