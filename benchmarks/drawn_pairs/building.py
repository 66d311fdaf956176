"""From a drawn pair to a model, to data, and to the truth about them in float64."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.drawn_pairs.behaviours import BEHAVIOURS, Then
from benchmarks.drawn_pairs.drawing import Pair
from benchmarks.drawn_pairs.forms import FORMS
from benchmarks.drawn_pairs.networks import trained
from benchmarks.drawn_pairs.presentations import LAYOUTS, ORDERS, PIXELS, RANGES
from benchmarks.drawn_pairs.scaling import Expecting, Scale, Scaling, scalings
from benchmarks.drawn_pairs.tasks import Task
from numpy.typing import NDArray
from torch import Tensor, nn

_COARSE = {"float64": 1e-5, "float32": 1e-4, "float16": 4e-3, "bfloat16": 3e-2}


@dataclass(frozen=True)
class Built:
    """What is audited, and the truth.

    Args:
        model: as it is handed over, a spec or a callable.
        options: of `audit`, that go with a spec.
        data: as they are handed over.
        truth: images (n, c, h, w) in [0, 1], float64, to logits: what a right tool judges by.
        images: (n, c, h, w), float64, what the images are.
        labels: (n,), what their classes are.
        codes: findings that tell of a mistake in this pair.
        mistaken: whether there is one.
        coarse: how far scores may be from the truth, as a share of the largest.
        rounding: how far they may be beyond that, in their own unit.
        held: the module behind the model, whose state must stay as it is; None where it is a file.
    """

    model: Any
    options: dict[str, Any]
    data: Any
    truth: Callable[[Tensor], Tensor]
    images: Tensor
    labels: Tensor
    codes: frozenset[str]
    mistaken: bool
    coarse: float
    held: nn.Module | None
    rounding: float = 0.0


def build(pair: Pair, task: Task, networks: Path, folder: Path, seed: int) -> Built:
    """Make a pair; raises whatever torch raises where the parts cannot be combined."""
    rng = np.random.default_rng([seed, pair.number, 1])
    torch.manual_seed(pair.number)
    chosen = _rows(pair, task, rng)
    images, labels = task.test[chosen], task.test_labels[chosen]
    model, options, stored, truth = _model(pair, task, networks, folder, images)
    behaviour, order, change = (
        BEHAVIOURS[pair.behaviour],
        ORDERS[pair.order],
        RANGES[pair.range],
    )
    shown = order.make(labels, task.classes, rng)
    names = [*task.names, "more"]
    data = LAYOUTS[pair.layout](change.make(images), shown, folder, names)
    named = pair.layout in ("folder by name", "folder with classes.txt")
    codes = {*behaviour.codes, *change.codes, *order.codes}
    codes |= {*PIXELS} if pair.given != "right" else set()
    if (
        named or pair.subset or pair.names == "permuted" or "folder" in pair.layout
    ):  # an order of names of its own
        codes |= {*ORDERS["permuted"].codes}
    return Built(
        model=model,
        options=options,
        data=data,
        truth=truth,
        images=torch.from_numpy(images / 255),
        labels=torch.from_numpy(labels),
        codes=frozenset(codes),
        mistaken=bool(codes),
        coarse=_COARSE[pair.precision] + behaviour.coarse,
        held=stored,
        rounding=behaviour.size * torch.finfo(getattr(torch, pair.precision)).eps,
    )


def _rows(pair: Pair, task: Task, rng: np.random.Generator) -> NDArray[np.int64]:
    rows = np.arange(len(task.test))
    if pair.subset:
        kept = rng.choice(task.classes, pair.subset, replace=False)
        rows = rows[np.isin(task.test_labels, kept)]
    return np.sort(rng.choice(rows, min(pair.count, len(rows)), replace=False))


def _model(
    pair: Pair, task: Task, networks: Path, folder: Path, images: NDArray[np.uint8]
) -> tuple[Any, dict[str, Any], nn.Module | None, Callable[[Tensor], Tensor]]:
    dtype = getattr(torch, pair.precision)
    net = trained(task, pair.architecture, networks).to(dtype)
    own = scalings(task)[pair.scaling]
    other = scalings(task)[pair.other]
    expecting = Expecting(net, own).to(dtype).eval()
    inner = BEHAVIOURS[pair.behaviour].make(_named(expecting, pair, task))
    given = {"right": [own], "none": [], "another": [other], "twice": [own, own]}[pair.given]
    as_option = pair.form in ("pt2 file", "onnx file", "factory file") and len(given) == 1
    layers = [] if as_option else [one for one in given if one.name != "unit"]
    steps = [Scale(one).to(dtype).eval() for one in layers]
    whole = nn.Sequential(*steps, inner) if steps else inner
    if steps:
        whole.training = inner.training
    example = torch.from_numpy(images[:3] / 255).to(dtype)
    model = FORMS[pair.form](whole, example, folder)
    options = _options(given[0]) if as_option else {}
    exact = copy.deepcopy(net).double()
    stored = None if isinstance(model, str) else whole
    return model, options, stored, lambda points: exact(points)


def _named(net: nn.Module, pair: Pair, task: Task) -> nn.Module:
    """Return a network that knows the names of its classes, and may have its own order of them."""
    if pair.names == "none":
        return net
    order = np.arange(task.classes)
    if pair.names == "permuted":
        order = np.random.default_rng(pair.number).permutation(task.classes)
        net = Then(net, lambda scores: scores[:, torch.from_numpy(order)])
    net.class_names = tuple(task.names[place] for place in order)
    return net


def _options(scaling: Scaling) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if scaling.mean != (0.0,):
        options["mean"] = scaling.mean
    if scaling.std != (1.0,):
        options["std"] = scaling.std
    if scaling.reversed:
        options["channels"] = "bgr"
    return options
