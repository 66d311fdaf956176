"""Which parts of a model act as in training, told without asking it once."""

import inspect
from collections.abc import Iterator
from typing import Any

import torch
from torch import fx, nn

from epsball.object_graph import modules_behind

_FLAGS = ("training", "train")  # arguments of functions and operators that differ by mode
_QUANTISED = ("torch.ao.nn.quantized.", "torchao.")
_INTERNAL = ("torch.export", "torch._")  # parts of a program that only check its inputs
# Operators of TorchScript whose mode was fixed when it was traced: position of that argument.
_TRACED = {"aten::batch_norm": 5, "aten::dropout": 2, "aten::feature_dropout": 2}


def training_parts(module: nn.Module) -> list[str]:
    """Name the parts of a module that act as in training.

    A network of torch.fx or torch.export has its mode in its operators, and its own flag decides
    nothing; a traced network may have it there too. Other modules act as their flags say.

    Args:
        module: looked at, never called.

    Returns:
        Dotted names; "the model itself" for the outermost. Empty in eval mode.

    Example:
        >>> training_parts(nn.Sequential(nn.Dropout()).eval())
        []
        >>> training_parts(nn.Dropout())
        ['the model itself']
    """
    return [name or "the model itself" for name in _training(module, "")]


def parts_in_training(model: object) -> list[str]:
    """Name the parts in train mode of every module that a callable is or hides."""
    return [
        f"{place}: {name}" if place else name
        for place, module in modules_behind(model).items()
        for name in training_parts(module)
    ]


def _training(module: nn.Module, name: str) -> Iterator[str]:
    if isinstance(module, fx.GraphModule):
        yield from _of_graph(module, name)
        return
    if isinstance(module, torch.jit.ScriptModule):
        yield from _of_script(module, name)
        return
    # quantising makes modules anew, in train mode by their flag, which decides nothing there
    if getattr(module, "training", False) and not type(module).__module__.startswith(_QUANTISED):
        yield name
    for label, child in module.named_children():
        yield from _training(child, _joined(name, label))


def _of_graph(module: fx.GraphModule, name: str) -> Iterator[str]:
    for node in module.graph.nodes:
        if node.op == "call_function" and _flag_of(node) is True:
            yield _joined(name, node.name)
        elif node.op in {"call_module", "get_attr"}:
            part: Any = module
            for step in str(node.target).split("."):
                part = getattr(part, step, None)
            if isinstance(part, fx.GraphModule) or (
                isinstance(part, nn.Module) and not type(part).__module__.startswith(_INTERNAL)
            ):
                yield from _training(part, _joined(name, str(node.target)))


def _flag_of(node: fx.Node) -> object:
    """Return the argument of a call that says whether to act as in training; None without one."""
    for flag in _FLAGS:
        if flag in node.kwargs:
            return node.kwargs[flag]
    names = _parameters(node.target)
    at = next((names.index(flag) for flag in _FLAGS if flag in names), len(node.args))
    return node.args[at] if at < len(node.args) else _default(node.target)


def _parameters(function: Any) -> list[str]:  # noqa: ANN401  # an operator or a function
    schema = getattr(function, "_schema", None)
    if schema is not None:
        return [argument.name for argument in schema.arguments]
    try:
        return list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return []


def _default(function: Any) -> object:  # noqa: ANN401  # an operator or a function
    """Return the default of the mode's argument: torch's own functional dropout has True."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return None
    return next((parameters[flag].default for flag in _FLAGS if flag in parameters), None)


def _of_script(module: torch.jit.ScriptModule, name: str) -> Iterator[str]:
    # a frozen module has no such attribute: its mode was fixed as eval mode
    if getattr(module, "training", False):
        yield name
        return
    graph: Any = getattr(module, "inlined_graph", None)
    if graph is None:
        return
    for operator, at in _TRACED.items():
        for node in graph.findAllNodes(operator, recurse=True):
            if list(node.inputs())[at].toIValue() is True:
                yield _joined(name, operator)


def _joined(name: str, label: str) -> str:
    return f"{name}.{label}" if name else label
