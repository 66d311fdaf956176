"""Loads the classifier that a text names; it takes images in [0, 1]."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, cast

import torch
from torch import nn

from epsball.errors import InvalidInput
from epsball.models.loading.exported import from_pt2
from epsball.models.loading.first_layer import Scaling, with_first_layer
from epsball.models.loading.hubs import from_hf, from_robustbench, from_timm, from_torchvision
from epsball.models.loading.messages import one_line
from epsball.models.loading.onnx.convert import from_onnx
from epsball.models.loading.request import Built, Request, split_spec
from epsball.models.loading.stated import class_names_in, preprocessing_in
from epsball.models.loading.torchscript import from_jit
from epsball.models.loading.user_code import from_file, from_package, name_forms
from epsball.models.names import ATTRIBUTE, class_names_of
from epsball.models.preprocess import Channels, Preprocess
from epsball.models.purifiers.defended import defended
from epsball.models.purifiers.table import defence_named
from epsball.models.readiness import check_ready
from epsball.models.sklearn.loading import from_sklearn
from epsball.models.zoo.table import MODELS, from_zoo
from epsball.modes import parts_in_training
from epsball.named_settings import read_numbers
from epsball.tensors import Classifier

Numbers: TypeAlias = Sequence[float] | float | str | None
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
    "jit": from_jit,
    "sklearn": from_sklearn,
}


@dataclass(frozen=True)
class LoadedModel:
    """A classifier and how it was asked for.

    Args:
        model: (n, c, h, w) in [0, 1] to scores; its preprocessing is inside.
        spec: as it was typed.
        name: short, for titles.
        put_in_eval: whether it came in train mode and was put into eval mode.
    """

    model: Classifier
    spec: str
    name: str
    put_in_eval: bool = False


def load_model(
    spec: str,
    *,
    weights: Path | str | None = None,
    classes: int | None = None,
    mean: Numbers = None,
    std: Numbers = None,
    resize: int | None = None,
    channels: Channels | None = None,
    input_range: float | str | None = None,
    layout: str | None = None,
    output: int | str | None = None,
    eval: bool = False,  # noqa: A002 - as the option is called
    defence: str | None = None,
    device: str = "cpu",
    require_weights: bool = True,
    trust: bool = True,
) -> LoadedModel:
    """Load a classifier by name, with its preprocessing as the first layer.

    Models built here come in eval mode. So does one that a user's factory returns in train mode;
    a model that lies finished in a module keeps its mode.

    Args:
        spec: `zoo:NAME`, `FILE.py:factory`, `package.module:factory`, `timm:NAME`,
            `torchvision:NAME`, `hf:NAME`, `robustbench:NAME` or `robustbench:DATASET/THREAT/NAME`,
            `onnx:FILE`, `pt2:FILE`, `jit:FILE`, `sklearn:FILE` (saved by skops).
        weights: file of weights to use in place of published ones; safetensors, or a torch file.
            The preprocessing that `epsball train` wrote into it is used where none is given here,
            and its class names where the model carries none.
        classes: number of classes to build the architecture with; None: its own, or, in the zoo,
            that of the weights. Files and factories have their own; this is then ignored.
        mean: subtracted per channel, in [0, input_range]: numbers, or text as the command line
            takes it, "0.49,0.48,0.45" or "124/255"; None: what the model was published with.
        std: divided by, likewise.
        resize: side of the square the model wants, in pixels; None: images keep their size.
        channels: "rgb", "bgr" or "gray", what the model wants; None: images keep their channels.
        input_range: the brightest value of the images that the model wants: 255 for levels; None:
            as its file declares it, else 1.
        layout: "nchw" or "nhwc", the order of dimensions that the model wants; None: as its file
            declares it, else "nchw".
        output: position or name of the output that holds the scores, of a model that gives
            several; None: the only one.
        eval: put the model into eval mode, whatever its mode is.
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
    if classes is not None and classes < 2:  # one class needs no classifier
        raise InvalidInput(f"{spec}: classes must be at least 2, got {classes}")
    _check_device(device)
    brightest = read_numbers("input_range", input_range)
    scaling: Scaling = {
        "mean": read_numbers("mean", mean),
        "std": read_numbers("std", std),
        "resize": resize,
        "channels": channels,
        "input_range": None if brightest is None else brightest[0],
        "layout": layout,
    }
    file = None if weights is None else Path(weights)
    if file is not None and all(value is None for value in scaling.values()):
        scaling |= cast(Scaling, preprocessing_in(file))
    output = int(output) if isinstance(output, str) and output.isdecimal() else output
    Preprocess(**scaling)  # a bad value is refused before anything is fetched
    step = None if defence is None else defence_named(defence)
    request = Request(spec, name, file, classes, device, require_weights, trust, layout, output)
    built = SOURCES[source](request)
    put_in_eval = built.put_in_eval
    if eval and isinstance(built.model, nn.Module):
        put_in_eval = bool(put_in_eval or parts_in_training(built.model))
        built.model.eval()
    if file is not None:
        _name_classes(built.model, file)
    model = with_first_layer(built, spec, scaling, output)
    if step is not None:
        model = defended(cast(Classifier, model), step)
    check_ready(model)  # parameters without values cannot be moved
    if isinstance(model, nn.Module):
        model = model.to(device)
    return LoadedModel(cast(Classifier, model), spec, built.name, put_in_eval)


def _name_classes(model: object, file: Path) -> None:
    names = class_names_in(file)
    if names is not None and isinstance(model, nn.Module) and class_names_of(model) is None:
        setattr(model, ATTRIBUTE, names)


def _unknown(spec: str) -> InvalidInput:
    if spec in MODELS:
        return InvalidInput(f"unknown model {spec!r}: did you mean 'zoo:{spec}'?")
    suffix = Path(spec).suffix
    if suffix == ".py":
        return InvalidInput(f"unknown model {spec!r}: name the factory too, {spec}:factory")
    if suffix == ".skops":
        return InvalidInput(f"unknown model {spec!r}: did you mean 'sklearn:{spec}'?")
    if suffix in (".pt", ".pth", ".torchscript") and Path(spec).is_file():
        return InvalidInput(
            f"unknown model {spec!r}: for TorchScript write 'jit:{spec}', for weights name the "
            f"model they are for and add --weights {spec}"
        )
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
