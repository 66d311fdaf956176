"""The forms in which people hand a network over: modules, callables, compiled graphs, files."""

import copy
import functools
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn

Form = Callable[[nn.Module, Tensor, Path], Any]


class Holder:
    """No module: holds one, as classes of people's own do."""

    def __init__(self, net: nn.Module) -> None:
        self.net = net

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return what the network returns."""
        return self.net(inputs)

    def predict(self, inputs: Tensor) -> Tensor:
        """Return what the network returns."""
        return self.net(inputs)


class Members(nn.Module):
    """An ensemble whose members stand in a plain list."""

    def __init__(self, members: list[nn.Module]) -> None:
        super().__init__()
        self.members = members
        self.eval()

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the mean of the members' scores."""
        return torch.stack([member(inputs) for member in self.members]).mean(0)


class TimmLike(nn.Module):
    """Has the attributes of a network of timm, which scales nothing by itself."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.body, self.training = net, net.training
        self.pretrained_cfg = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}

    def forward(self, inputs: Tensor) -> Tensor:
        """Return scores."""
        return self.body(inputs)


def _traced(net: nn.Module, images: Tensor, _: Path) -> Any:  # noqa: ANN401
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.trace(net, images, check_trace=False)


def _scripted(net: nn.Module, *_: Any) -> Any:  # noqa: ANN401
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.script(net)


def _frozen(net: nn.Module, images: Tensor, folder: Path) -> Any:  # noqa: ANN401
    return torch.jit.freeze(_traced(net, images, folder))


def _saved_script(net: nn.Module, images: Tensor, folder: Path) -> Any:  # noqa: ANN401
    file = folder / "net.jit"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(_traced(net, images, folder), file)
        return torch.jit.load(file)


def _program(net: nn.Module, images: Tensor) -> Any:  # noqa: ANN401
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.export.export(net, (images,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))


def _exported(net: nn.Module, images: Tensor, _: Path) -> Any:  # noqa: ANN401
    return _program(net, images).module()


def _pt2(net: nn.Module, images: Tensor, folder: Path) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(_program(net, images), folder / "net.pt2")
    return f"pt2:{folder / 'net.pt2'}"


def _onnx(net: nn.Module, images: Tensor, folder: Path) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net,
            (images,),
            folder / "net.onnx",
            dynamo=False,
            input_names=["x"],
            dynamic_axes={"x": {0: "n"}},
        )
    return f"onnx:{folder / 'net.onnx'}"


def _factory(net: nn.Module, _: Tensor, folder: Path) -> str:
    """Save the whole module beside a Python file whose factory loads it."""
    torch.save(net, folder / "whole.pt")
    (folder / "mine.py").write_text(
        "import torch\n\n\ndef build():\n"
        f"    return torch.load({str(folder / 'whole.pt')!r}, weights_only=False)\n"
    )
    return f"{folder / 'mine.py'}:build"


def _compiled(net: nn.Module, *_: Any) -> Any:  # noqa: ANN401
    torch._dynamo.reset()
    return torch.compile(net, backend="aot_eager")


def _averaged(net: nn.Module, *_: Any) -> Any:  # noqa: ANN401
    return torch.optim.swa_utils.AveragedModel(net).train(net.training)


def _functional(net: nn.Module, *_: Any) -> Any:  # noqa: ANN401
    state = {**dict(net.named_parameters()), **dict(net.named_buffers())}
    skeleton = copy.deepcopy(net)
    return lambda inputs: torch.func.functional_call(skeleton, state, (inputs,))


def _dictionary(net: nn.Module, *_: Any) -> Any:  # noqa: ANN401
    stored = {"net": net}
    return lambda inputs: stored["net"](inputs)


def _ensemble(net: nn.Module, *_: Any) -> Any:  # noqa: ANN401
    return Members([net, copy.deepcopy(net)])


def _parallel(net: nn.Module, *_: Any) -> Any:  # noqa: ANN401
    return nn.DataParallel(net).train(net.training)


FORMS: dict[str, Form] = {
    "module": lambda net, *_: net,
    "DataParallel": _parallel,
    "lambda": lambda net, *_: lambda inputs: net(inputs),
    "partial": lambda net, *_: functools.partial(lambda model, inputs: model(inputs), net),
    "object": lambda net, *_: Holder(net),
    "method": lambda net, *_: Holder(net).predict,
    "forward": lambda net, *_: net.forward,
    "dictionary": _dictionary,
    "list of members": _ensemble,
    "timm-like": lambda net, *_: TimmLike(net),
    "averaged": _averaged,
    "functional call": _functional,
    "fx": lambda net, *_: fx.symbolic_trace(net),
    "channels last": lambda net, *_: copy.deepcopy(net).to(memory_format=torch.channels_last),
    "traced": _traced,
    "scripted": _scripted,
    "frozen script": _frozen,
    "saved script": _saved_script,
    "exported": _exported,
    "pt2 file": _pt2,
    "onnx file": _onnx,
    "factory file": _factory,
    "compiled": _compiled,
}
WEIGHTS: dict[str, float] = {
    **dict.fromkeys(FORMS, 1.0),
    "module": 6.0,
    **dict.fromkeys(("exported", "pt2 file", "onnx file", "compiled"), 0.6),
}
