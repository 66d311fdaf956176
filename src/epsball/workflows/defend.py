"""Fitting a defence around a model given by its spec, and saving it."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from epsball.data import choose
from epsball.defences import RbfSvm, rejector_named
from epsball.defences.base.rejector import Rejector
from epsball.defences.base.saving import FACTS
from epsball.defences.base.thresholds import calibration_mask
from epsball.defences.false_rejection import images_needed, rejection_interval
from epsball.defences.table import RejectorSpec
from epsball.errors import InvalidInput
from epsball.evaluation.class_matching import fit_classes
from epsball.evaluation.defended import BASE, open_bare
from epsball.evaluation.inputs import sample_of
from epsball.evaluation.metrics.present import percent
from epsball.evaluation.subject import device_for
from epsball.files import write_bytes
from epsball.models import class_names_of, probe
from epsball.models.preprocess import without_preprocessing
from epsball.named_settings import read_settings, split_named
from epsball.runs.directory import check_vacant
from epsball.tensors import Classifier
from epsball.types import Dataset, Positions

_OF_FILES = ("onnx", "pt2", "jit", "sklearn", "hf")  # sources that may name a file or a folder
_ELSEWHERE = {  # settings that are no one word
    "layers": "by --layer, once for each (layers=... in Python)",
    "search": "in Python alone (search={'c': (0.1, 1, 10)})",
}


@dataclass(frozen=True)
class FittedDefence:
    """A defence that was fitted.

    Args:
        rejector: it.
        folder: where it was saved.
        images: how many it was fitted on.
        seconds: what the fit took.
        data: what they were chosen from.
        rows: (images,), their positions in it.
    """

    rejector: Rejector
    folder: Path
    images: int
    seconds: float
    data: Dataset
    rows: Positions

    @property
    def support_vectors(self) -> dict[str, int]:
        """Return how many images each machine keeps, by layer; empty where there is none."""
        return {name: machine.support_count_ for name, machine in self.machines}

    @property
    def false_rejection(self) -> tuple[float, int, float, float] | None:
        """Return the share of clean images asked for, on how many it was set, and its interval."""
        share = self.rejector.false_rejection
        if share is None:
            return None
        labels = torch.from_numpy(self.data.labels[self.rows])
        count = int(calibration_mask(labels).sum())
        return share, count, *rejection_interval(count, share)

    @property
    def machines(self) -> list[tuple[str, RbfSvm]]:
        """Return each row of machines with the name of its layer; of DNR the combiner is last."""
        machines = [part for part in self.rejector.modules() if isinstance(part, RbfSvm)]
        layers = getattr(self.rejector, "layers_", ()) or (getattr(self.rejector, "layer_", ""),)
        combiner = "combiner" if "combiner" not in layers else "the combiner"
        return list(zip([*layers, combiner], machines, strict=False))


def defend(
    model: str,
    data: Dataset,
    *,
    out: Path | str,
    defence: str = "dnr",
    layers: Sequence[str] = (),
    threshold: float | None = None,
    false_rejection: float | None = None,
    limit: int | None = None,
    device: str = "auto",
    **loading: Any,  # noqa: ANN401 - load_model's own
) -> FittedDefence:
    """Fit a defence around a model, and save it where `defended:OUT` names it.

    Args:
        model: as `load_model` takes it.
        data: training images; every class has to be there. Where data and model both name their
            classes, labels are those of the model.
        out: the folder; made if need be. It is empty, or holds a defence that is replaced.
        defence: its name, with settings where the defaults do not suit: "dnr:gamma=0.1,c=1".
        layers: whose activations it sees, for those that look at some; none: its own choice.
        threshold: below which an image is rejected; None: the defence's own.
        false_rejection: instead of a threshold: share of clean images to be rejected.
        limit: training images to fit on, a fair share of every class; None: all.
        device: "auto", "cpu", "cuda" ...
        **loading: weights, mean, std, resize, channels for `load_model`.

    Raises:
        InvalidInput: model, images or settings break a rule.
    """
    folder = Path(out)
    if not any((folder / name).exists() for name in (BASE, FACTS)):  # another fit may be replaced
        check_vacant(folder)
    spec, settings = parse_defence(defence)
    settings |= _layered(spec.name, spec.knobs, layers)
    settings |= _one_threshold(threshold, false_rejection)
    sample, place = sample_of(data, 2)[0], device_for(device)
    base = open_bare(model, sample, place, loading)
    data = labelled_for(base, probe(base, sample.to(place)).classes, data)
    rejector = spec.build(base, **settings)
    rows = choose(data.labels, limit)
    if false_rejection is not None:
        _check_enough(data.labels[rows], false_rejection)
    start = time.perf_counter()
    rejector.fit(data.read(rows), data.labels[rows])
    seconds = time.perf_counter() - start
    rejector.save(folder)
    arguments = {
        name: _portable(name, value)
        for name, value in loading.items()
        if name != "trust" and value is not None
    }
    content = {"model": _whole(model), "loading": arguments, "data": data.name, "images": len(rows)}
    write_bytes(folder / BASE, (json.dumps(content, indent=2) + "\n").encode())
    return FittedDefence(rejector, folder, len(rows), seconds, data, rows)


def labelled_for(model: Classifier, classes: int, data: Dataset) -> Dataset:
    """Return data with labels in the order of a model's classes, where the model names them.

    Raises:
        InvalidInput: a class of the data is none of the model's, or it cannot be told which.
    """
    inside = without_preprocessing(model) if isinstance(model, nn.Module) else model
    return fit_classes(data, type(inside).__name__, classes, class_names_of(model))[0]


def _check_enough(labels: NDArray[np.int64], share: float) -> None:
    """Refuse a false-rejection rate that is too small for the number of images."""
    count = int(calibration_mask(torch.from_numpy(labels)).sum())
    if not 0 < share < 1:
        return  # the defence itself refuses it
    low, high = rejection_interval(max(1, count), share)
    needed = images_needed(share)
    if count < needed:
        raise InvalidInput(
            f"false_rejection {share:g} is set on every tenth image of a class, here {count}: with "
            f"95 % confidence {percent(low)} to {percent(high)} of other clean images would be "
            f"rejected; fit on about {10 * needed:,} images or more (--limit), or give --threshold"
        )


def parse_defence(text: str) -> tuple[RejectorSpec, dict[str, Any]]:
    """Read a defence as a person types it.

    Args:
        text: "dnr", "nr:gamma=0.1,c=1"; a number, true, false, none or a word for each setting.

    Returns:
        Its line of the table, and the settings.

    Raises:
        InvalidInput: no such defence or setting.

    Example:
        >>> parse_defence("nr:gamma=scale,c=10,standardise=true")[1]
        {'gamma': 'scale', 'c': 10, 'standardise': True}
    """
    name, texts = split_named(text)
    spec = rejector_named(name)
    for key in _ELSEWHERE.keys() & texts.keys():
        raise InvalidInput(
            f"{name}: {key} is given {_ELSEWHERE[key]}, got {key}={texts[key]}; leave it out here"
        )
    layer = {key: texts.pop(key) for key in ("layer",) if key in texts and key in spec.knobs}
    return spec, layer | read_settings(name, texts, spec.knobs, words=True)


def _layered(name: str, knobs: Mapping[str, Any], layers: Sequence[str]) -> dict[str, Any]:
    if not layers:
        return {}
    if "layers" in knobs:
        return {"layers": tuple(layers)}
    if "layer" not in knobs:
        raise InvalidInput(f"{name} looks at no layer, got {', '.join(layers)}: leave them out")
    if len(layers) > 1:
        raise InvalidInput(f"{name} looks at one layer, got {', '.join(layers)}")
    return {"layer": layers[0]}


def _one_threshold(threshold: float | None, share: float | None) -> dict[str, Any]:
    """Both given, here or among the settings, is for the defence to refuse."""
    rules = {"threshold": threshold, "false_rejection": share}
    return {name: value for name, value in rules.items() if value is not None}


def _portable(name: str, value: Any) -> Any:  # noqa: ANN401 - any option of load_model
    return str(Path(value).resolve()) if name == "weights" else value


def _whole(model: str) -> str:
    """Return the model's name with its file's whole path, so that it is found from elsewhere."""
    source, _, file = model.partition(":")
    if source in _OF_FILES:
        return f"{source}:{Path(file).resolve()}" if Path(file).exists() else model
    file, _, factory = model.rpartition(":")
    return f"{Path(file).resolve()}:{factory}" if Path(file).is_file() else model
