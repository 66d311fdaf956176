"""What a callable reaches: bound objects, closures, globals that its code reads, attributes.

Two questions are answered by it: what decides a model's scores (`identity`), and which torch
modules a callable hides (`modules_behind`), so that their mode is known without a forward pass.
"""

import contextlib
import dis
import functools
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from types import (
    BuiltinMethodType,
    CodeType,
    FunctionType,
    GeneratorType,
    MethodType,
    ModuleType,
    SimpleNamespace,
)
from typing import Any

import numpy as np
from torch import Tensor, fx, nn

from epsball.runs.code_origin import SETTLED, home_of, is_settled

LARGEST = 50_000  # objects that are looked at; an end for callables that hold a whole program
_GLOBAL = frozenset({"LOAD_GLOBAL", "LOAD_NAME"})
_PLAIN = str | bytes | bytearray | int | float | complex | None | Tensor | np.ndarray
# Attributes that every module has; hooks are among them, and decide scores.
_OWN = frozenset(vars(nn.Module()))
_HOOKS = ("_forward_pre_hooks", "_forward_hooks")

Reference = tuple[str, object]


def references(value: object) -> Iterator[Reference]:
    """Yield what an object refers to, with a name for each.

    Args:
        value: any object. Plain values, tensors and arrays refer to nothing.
    """
    if isinstance(value, _PLAIN | ModuleType):
        return
    for kinds, read in _READERS:
        if isinstance(value, kinds):
            yield from read(value)
            return
    if home_of(type(value)) not in SETTLED:
        yield from _of_object(value)
    elif (wrapped := getattr(value, "__wrapped__", None)) is not None:  # of functools.lru_cache
        yield "__wrapped__", wrapped


def modules_behind(model: object) -> dict[str, nn.Module]:
    """Find the torch modules that a callable is or hides, without calling it.

    Args:
        model: a module or any other callable.

    Returns:
        The outermost modules by a name: "" for the callable itself, "__self__.inner" for others.
        Modules kept in plain attributes of another module (a list of members, say) are found too.
    """
    modules: dict[str, nn.Module] = {}
    registered: set[int] = set()
    for name, value in walk(model):
        if isinstance(value, nn.Module) and id(value) not in registered:
            modules[name] = value
            registered.update(map(id, value.modules()))
    return modules


def walk(root: object) -> Iterator[Reference]:
    """Yield every object that another one reaches, each once, nearest first, itself included."""
    queue: list[Reference] = [("", root)]
    ids: set[int] = {id(root)}
    alive: list[object] = [root]  # an id is unique only while its object lives
    for name, value in queue:
        yield name, value
        if len(alive) > LARGEST:
            return
        for label, inner in references(value):
            if id(inner) not in ids and not isinstance(inner, _PLAIN):
                ids.add(id(inner))
                alive.append(inner)
                queue.append((f"{name}.{label}" if name else label, inner))


def _of_function(function: FunctionType) -> Iterator[Reference]:
    original = getattr(function, "_torchdynamo_orig_callable", None)  # of torch.compile
    if original is not None:
        yield "_torchdynamo_orig_callable", original
        return
    if is_settled(function) and not function.__closure__:
        return
    yield from (
        ("__defaults__", function.__defaults__),
        ("__kwdefaults__", function.__kwdefaults__),
    )
    names = function.__code__.co_freevars
    for name, cell in zip(names, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # bound only later
            continue
    if not is_settled(function):
        yield from _globals_of(function)
        yield from sorted(vars(function).items())


def _globals_of(function: FunctionType) -> Iterator[Reference]:
    for code in _codes(function.__code__):
        for name in dict.fromkeys(_global_names(code)):
            target = function.__globals__.get(name)
            if isinstance(target, ModuleType):  # a name looked up in a module of the user's
                if not is_settled(target):
                    inside = ((n, vars(target)[n]) for n in code.co_names if n in vars(target))
                    yield from ((f"{name}.{attribute}", thing) for attribute, thing in inside)
            elif target is not None:
                yield name, target


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _global_names(code: CodeType) -> Iterator[str]:
    for instruction in dis.get_instructions(code):
        if instruction.opname in _GLOBAL:
            yield str(instruction.argval)


def _of_class(kind: type) -> Iterator[Reference]:
    for base in kind.__mro__:
        if is_settled(base) or base is object:
            continue
        for name, value in sorted(vars(base).items()):
            if name in {"__dict__", "__weakref__", "__module__", "__doc__", "__annotations__"}:
                continue
            function = getattr(value, "__func__", None) or getattr(value, "fget", None) or value
            yield f"{base.__qualname__}.{name}", function


def _of_object(value: object) -> Iterator[Reference]:
    compiled = getattr(value, "_orig_mod", None)
    if isinstance(compiled, nn.Module):  # torch.compile keeps its own machinery beside the module
        yield "_orig_mod", compiled
        return
    if isinstance(value, nn.Module):
        yield from _of_module(value)
    else:
        yield from sorted(_attributes(value).items())
        if not hasattr(value, "__dict__"):
            yield from _of_compiled(value)
    yield "__class__", type(value)


def _of_compiled(value: object) -> Iterator[Reference]:
    """Yield what an object of compiled code (a tree of scikit-learn) gives to be copied."""
    with contextlib.suppress(Exception):  # many cannot be copied: locks, files, sessions
        copied: Any = value.__reduce_ex__(4)
        yield from (("arguments", copied[1]), ("state", copied[2]))


def _of_module(module: nn.Module) -> Iterator[Reference]:
    attributes = {name: inner for name, inner in vars(module).items() if name not in _OWN}
    if isinstance(module, fx.GraphModule):  # beside these it keeps only what it was traced from
        attributes = {key: inner for key, inner in attributes.items() if isinstance(inner, Tensor)}
        yield "functions", [n.target for n in module.graph.nodes if n.op == "call_function"]
    children = {**module._modules, **module._parameters, **module._buffers}
    yield from sorted((children | attributes).items())
    for hooks in _HOOKS:
        yield hooks, list(vars(module).get(hooks, {}).values())


def _attributes(value: object) -> dict[str, object]:
    attributes: dict[str, object] = dict(getattr(value, "__dict__", {}))
    for base in type(value).__mro__:
        slots: Any = base.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(value, name) and not name.startswith("__"):
                attributes[name] = getattr(value, name)
    return attributes


def _sorted(values: Iterable[Any], key: Callable[[Any], object]) -> list[Any]:
    return sorted(values, key=lambda value: repr(key(value)))


def _of_mapping(value: Mapping[Any, Any]) -> Iterator[Reference]:
    yield from ((str(key), inner) for key, inner in _sorted(value.items(), lambda item: item[0]))


def _of_sequence(value: Iterable[Any]) -> Iterator[Reference]:
    yield from ((str(at), inner) for at, inner in enumerate(value))


def _of_set(value: Iterable[Any]) -> Iterator[Reference]:
    yield from _of_sequence(_sorted(value, lambda item: item))


def _of_partial(value: functools.partial[Any]) -> Iterator[Reference]:
    yield from (("func", value.func), ("args", value.args), ("keywords", value.keywords))


def _of_method(value: MethodType) -> Iterator[Reference]:
    yield from (("__self__", value.__self__), ("__func__", value.__func__))


def _of_builtin(value: BuiltinMethodType) -> Iterator[Reference]:
    if not isinstance(value.__self__, ModuleType | type):
        yield "__self__", value.__self__


def _of_weak(value: weakref.ref[Any]) -> Iterator[Reference]:
    yield "referent", value()


def _of_variable(value: ContextVar[Any]) -> Iterator[Reference]:
    yield "value", value.get(None)


def _of_generator(value: Any) -> Iterator[Reference]:  # noqa: ANN401  # its type has no frame
    frame = value.gi_frame
    if frame is not None:
        yield from sorted(frame.f_locals.items())


_READERS: tuple[tuple[Any, Callable[[Any], Iterator[Reference]]], ...] = (
    (Mapping, _of_mapping),
    (list | tuple | deque, _of_sequence),
    (set | frozenset, _of_set),
    (functools.partial, _of_partial),
    (MethodType, _of_method),
    (BuiltinMethodType, _of_builtin),
    (weakref.ref, _of_weak),
    (ContextVar, _of_variable),
    (GeneratorType, _of_generator),
    (FunctionType, _of_function),
    (type, _of_class),
    (nn.Module | SimpleNamespace, _of_object),
)
