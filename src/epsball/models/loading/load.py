"""From the words somebody typed to a classifier that takes images in [0, 1]."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, cast

import torch
from torch import nn

from epsball.errors import InvalidInput
from epsball.models.loading.exported import from_pt2
from epsball.models.loading.hubs import from_hf, from_robustbench, from_timm, from_torchvision
from epsball.models.loading.messages import one_line
from epsball.models.loading.onnx.convert import from_onnx
from epsball.models.loading.request import Built, Request, split_spec
from epsball.models.loading.user_code import from_file, from_package, name_forms
from epsball.models.preprocess import Channels, Pipeline, Preprocess
from epsball.models.purifiers.defended import defended
from epsball.models.purifiers.table import defence_named
from epsball.models.sklearn.loading import from_sklearn
from epsball.models.zoo.table import MODELS, from_zoo
from epsball.tensors import Classifier

SOURCES: dict[str, Callable[[Request], Built]] = {
    "zoo": from_zoo,
    "file": from_file,
    "package": from_package,
    "timm": from_timm,
    "torchvision": from_torchvision,
    "hf": from_hf,
    "robustbench": from_robustbench,
    "onnx": from_onnx,
    "pt2": from_pt2,
    "sklearn": from_sklearn,
}


@dataclass(frozen=True)
class LoadedModel:
    """A classifier and how it was asked for.

    Args:
        model: (n, c, h, w) in [0, 1] to scores; its preprocessing is inside.
        spec: as it was typed.
        name: short, for titles.
    """

    model: Classifier
    spec: str
    name: str


class _Settings(TypedDict):
    mean: Sequence[float] | None
    std: Sequence[float] | None
    resize: int | None
    channels: Channels | None


def load_model(
    spec: str,
    *,
    weights: Path | str | None = None,
    classes: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    resize: int | None = None,
    channels: Channels | None = None,
    defence: str | None = None,
    device: str = "cpu",
    require_weights: bool = True,
    trust: bool = True,
) -> LoadedModel:
    """Load a classifier by name, with its preprocessing as the first layer.

    Models built here come in eval mode; one from a user's factory keeps the mode it comes in.

    Args:
        spec: `zoo:NAME`, `FILE.py:factory`, `package.module:factory`, `timm:NAME`,
            `torchvision:NAME`, `hf:NAME`, `robustbench:NAME` or `robustbench:DATASET/THREAT/NAME`,
            `onnx:FILE`, `pt2:FILE`, `sklearn:FILE` (saved by skops).
        weights: file of weights to use in place of published ones; safetensors, or a torch file.
        classes: number of classes to build the architecture with; None: its own, or, in the zoo,
            that of the weights. Files and factories bring their own, whatever is asked for.
        mean: subtracted per channel, in [0, 1]; None: what the model was published with.
        std: divided by, likewise.
        resize: side of the square the model wants, in pixels; None: images keep their size.
        channels: "rgb", "bgr" or "gray", what the model wants; None: images keep their channels.
        defence: what images go through first: "jpeg:quality=75"; see `DEFENCES`.
        device: where the model goes: "cpu", "cuda:0".
        require_weights: whether published or given weights are needed. False builds the
            architecture with fresh ones, to be trained.
        trust: whether a file that may run code when it is read (`pt2:FILE`) may be read; the
            command line asks for --trust.

    Returns:
        The model, ready to be probed and audited.

    Raises:
        InvalidInput: the name, the file, the weights or the preprocessing breaks a rule.

    Example:
        >>> loaded = load_model("zoo:mlp", require_weights=False)
        >>> loaded.name, tuple(loaded.model(torch.zeros(2, 1, 28, 28)).shape)
        ('mlp', (2, 10))
    """
    source, name = split_spec(spec)
    if source not in SOURCES:
        raise _unknown(spec)
    if classes is not None and classes < 2:  # the fewest that can be told apart
        raise InvalidInput(f"{spec}: classes must be at least 2, got {classes}")
    _check_device(device)
    asked: _Settings = {"mean": mean, "std": std, "resize": resize, "channels": channels}
    Preprocess(**asked)  # a bad value is told before anything is fetched
    step = None if defence is None else defence_named(defence)
    file = None if weights is None else Path(weights)
    request = Request(spec, name, file, classes, device, require_weights, trust)
    built = SOURCES[source](request)
    model = _with_preprocessing(built, spec, asked)
    if step is not None:
        model = defended(cast(Classifier, model), step)
    if isinstance(model, nn.Module):
        model = model.to(device)
    return LoadedModel(cast(Classifier, model), spec, built.name)


def _unknown(spec: str) -> InvalidInput:
    if spec in MODELS:
        return InvalidInput(f"unknown model {spec!r}: did you mean 'zoo:{spec}'?")
    suffix = Path(spec).suffix
    if suffix == ".py":
        return InvalidInput(f"unknown model {spec!r}: name the factory too, {spec}:factory")
    if suffix == ".skops":
        return InvalidInput(f"unknown model {spec!r}: did you mean 'sklearn:{spec}'?")
    if suffix in (".onnx", ".pt2"):
        return InvalidInput(f"unknown model {spec!r}: did you mean '{suffix[1:]}:{spec}'?")
    return InvalidInput(f"unknown model {spec!r}{name_forms(spec)}")


def _check_device(device: str) -> None:
    try:
        torch.empty(0, device=device)
    except Exception as error:  # torch raises RuntimeError, AssertionError or its own, by backend
        raise InvalidInput(
            f"device {device!r} cannot be used ({one_line(error)}): try cpu"
        ) from error


def _with_preprocessing(built: Built, spec: str, asked: _Settings) -> object:
    inner = getattr(built.model, "preprocess", None)
    given = asked["mean"] is not None or asked["std"] is not None
    if isinstance(inner, Preprocess) and given:
        raise InvalidInput(
            f"{spec} scales its input itself ({inner.extra_repr()}): leave --mean and --std out"
        )
    settings: _Settings = asked if given else {**asked, "mean": built.mean, "std": built.std}
    if settings["channels"] is None:
        settings = {**settings, "channels": built.channels}
    if all(value is None for value in settings.values()) and built.size is None:
        return built.model
    size = built.size if settings["resize"] is None else None
    return Pipeline(Preprocess(**settings, size=size), built.model)
