"""What tells one model from another: a hash of all that decides its scores."""

import contextlib
import functools
import hashlib
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

ADDRESS = re.compile(
    r" at 0x[0-9a-fA-F]+"
)  # of objects without a repr: another one in each process
# Code that the versions in a manifest already tell apart; names suffice.
SETTLED = frozenset({"torch", "numpy", *sys.stdlib_module_names})
_OURS = "epsball"
DEPTH = 8  # how far to follow what a callable holds; an end for objects that hold each other


def model_hash(model: Callable[..., Any], file: Path | None = None) -> str:
    """Hash a model: equal hashes, equal scores.

    What counts: parameters and buffers, with their names and types; the structure, settings and
    source of modules; the source of any other callable, and what it holds; the bytes of the file
    it was read from. Where that file lies, the device and the mode do not count.

    Args:
        model: a module or any other callable.
        file: what it was read from, where code or numbers of the model are in it.

    Returns:
        64 hexadecimal digits.

    Example:
        >>> model_hash(nn.ReLU()) == model_hash(nn.ReLU())
        True
    """
    digest = hashlib.sha256()
    for part in _parts(model, DEPTH):
        digest.update(len(part).to_bytes(8, "little") + part)
    if file:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _parts(value: object, depth: int) -> Iterator[bytes]:
    if isinstance(value, nn.Module):
        yield from _module_parts(value, depth)
    elif isinstance(value, Tensor):
        yield _tensor_bytes(value)
    elif isinstance(value, np.ndarray):
        yield f"{value.dtype} {value.shape} ".encode() + value.tobytes()
    elif depth and isinstance(value, list | tuple | dict | set | frozenset):
        for held in _items(value):
            yield from _parts(held, depth - 1)
    elif depth and (callable(value) or hasattr(value, "__dict__")):
        yield from _object_parts(value, depth)
    else:
        yield ADDRESS.sub("", repr(value)).encode()


def _module_parts(module: nn.Module, depth: int) -> Iterator[bytes]:
    yield ADDRESS.sub("", repr(module)).encode()
    state = {**dict(module.named_buffers()), **module.state_dict()}  # buffers outside the state too
    for name, value in sorted(state.items()):
        yield name.encode()
        yield _tensor_bytes(value) if isinstance(value, Tensor) else repr(value).encode()
    children = [child for child in module.modules() if not isinstance(child, fx.GraphModule)]
    for kind in dict.fromkeys(type(child) for child in children):  # reading a source takes time
        yield from _object_parts(kind, 0)
    for child in children:
        for held in _settings(child):
            yield from _parts(held, depth - 1)
    for graph in module.modules():
        if isinstance(graph, fx.GraphModule):
            yield str(graph.code).encode()


def _settings(module: nn.Module) -> Iterator[object]:
    """Give the plain attributes of a module, a temperature or a function, but not its mode."""
    for name, value in sorted(vars(module).items()):
        simple = isinstance(value, bool | int | float | str | bytes | list | tuple | np.ndarray)
        if not name.startswith("_") and name != "training" and (simple or callable(value)):
            yield (name, value)


def _tensor_bytes(tensor: Tensor) -> bytes:
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return f"{tensor.dtype} {tuple(tensor.shape)} ".encode() + bytes(flat.view(torch.uint8).numpy())


def _items(
    value: list[Any] | tuple[Any, ...] | dict[Any, Any] | set[Any] | frozenset[Any],
) -> list[Any]:
    if isinstance(value, dict):
        return sorted(value.items(), key=lambda item: repr(item[0]))
    return sorted(value, key=repr) if isinstance(value, set | frozenset) else list(value)


def _object_parts(value: object, depth: int) -> Iterator[bytes]:
    code: Any = value if inspect.isroutine(value) or inspect.isclass(value) else type(value)
    module, name = str(getattr(code, "__module__", "")), getattr(code, "__qualname__", code)
    home, source = module.partition(".")[0], None
    if home not in SETTLED:
        with contextlib.suppress(OSError, TypeError):  # built in, or typed at a prompt
            source = inspect.getsource(code)
    # what a user's file is called, or how it was imported, changes no score
    known = source is None or home in SETTLED or home == _OURS
    yield (f"{module}.{name}" if known else f"{name}").encode()
    if source is not None:
        yield source.encode()
    for held in _held(value):
        yield from _parts(held, depth - 1)


def _held(value: object) -> list[object]:
    """Give what an object carries along: bound arguments, names its code looks up, attributes."""
    if isinstance(value, functools.partial):
        return [value.func, value.args, value.keywords]
    if inspect.ismethod(value):
        return [value.__self__, value.__func__]
    if inspect.isfunction(value) and value.__module__.partition(".")[0] not in SETTLED:
        return [value.__defaults__, value.__kwdefaults__, _looked_up(value)]
    if inspect.isroutine(value) or inspect.isclass(value):
        return []
    return [getattr(value, "__dict__", {})]


def _looked_up(function: Callable[..., Any]) -> dict[str, object]:
    try:
        names = inspect.getclosurevars(function)
    except ValueError:  # a name that is bound only later
        return {}
    found = {**names.globals, **names.nonlocals}
    return {name: value for name, value in found.items() if not inspect.ismodule(value)}
