"""What tells one model from another: a hash of all that decides its scores."""

import contextlib
import hashlib
import inspect
import re
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn

from epsball.object_graph import LARGEST, references
from epsball.runs.code_origin import OURS, SETTLED, home_of, is_installed

ADDRESS = re.compile(
    r" at 0x[0-9a-fA-F]+"
)  # of objects without a repr: another one in each process
MANGLED = re.compile(r"___torch_mangle_\d+\.")  # TorchScript numbers the classes of a process
DEPTH = 60  # how far to follow what a callable holds
# Attributes that decide no score: the mode is checked on its own, and a device computes the same.
_IDLE = frozenset(
    {"training", "device", "device_ids", "output_device", "src_device_obj", "_sizes_compared"}
)


def model_hash(model: Callable[..., Any], file: Path | None = None, *, weights: bool = True) -> str:
    """Hash a model: equal hashes, equal scores, as far as that can be read off it.

    What counts: parameters, buffers and every other attribute of modules, hooks included; the
    structure and source of modules; the source of any other callable, the globals that its code
    reads, and what it holds; the bytes of the file it was read from. Where that file lies, the
    device and the mode do not count. What a model reads only when it is asked (files, native code)
    cannot be seen here: runs keep scores of a few images beside the hash.

    Args:
        model: a module or any other callable.
        file: what it was read from, where code or numbers of the model are in it.
        weights: whether the values of parameters and of buffers that are saved count; else only
            their shapes do, so that the hash is the same before and after a training.

    Returns:
        64 hexadecimal digits.

    Example:
        >>> model_hash(nn.ReLU()) == model_hash(nn.ReLU())
        True
    """
    digest = hashlib.sha256()
    unread = frozenset() if weights else frozenset(map(id, _saved_tensors(model)))
    for part in _Reader(unread).parts(model, DEPTH):
        digest.update(len(part).to_bytes(8, "little") + part)
    if file:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _saved_tensors(model: object) -> list[Tensor]:
    """Return the parameters and buffers of a module that its state holds."""
    if not isinstance(model, nn.Module):
        return []
    saved = model.state_dict().keys()
    named = (*model.named_parameters(remove_duplicate=False), *model.named_buffers())
    return [tensor for name, tensor in named if name in saved]


class _Reader:
    """Reads every object once; where it comes up again, the number of its first place is given.

    Args:
        unread: ids of tensors of which only type and shape are read.
    """

    def __init__(self, unread: frozenset[int] = frozenset()) -> None:
        self._unread = unread
        self._numbers: dict[int, int] = {}
        self._kept: list[object] = []  # an id is unique only while its object lives

    def parts(self, value: object, depth: int) -> Iterator[bytes]:
        """Yield what decides the scores of a value, as bytes."""
        if id(value) in self._unread and isinstance(value, Tensor):
            yield f"{value.dtype} {tuple(value.shape)}".encode()
            return
        if (plain := _plain(value)) is not None:
            yield plain
            return
        if id(value) in self._numbers:
            yield f"#{self._numbers[id(value)]}".encode()
            return
        self._numbers[id(value)] = len(self._kept)
        self._kept.append(value)
        yield from _described(value)
        if not depth or len(self._kept) > LARGEST:
            return
        for name, inner in references(value):
            if name not in _IDLE:
                yield name.encode()
                yield from self.parts(inner, depth - 1)


def _plain(value: object) -> bytes | None:
    """Return the bytes of a value that refers to nothing else; None for other values."""
    if isinstance(value, Tensor):
        return _tensor_bytes(value)
    if isinstance(value, np.ndarray) and value.dtype != object:
        return f"{value.dtype} {value.shape} ".encode() + _array_bytes(value)
    if isinstance(value, torch.device | torch.Generator | ModuleType):
        return type(value).__name__.encode()
    if isinstance(value, Path):
        return b"path"  # where a file lies does not count
    if value is None or isinstance(value, str | bytes | int | float | complex | torch.dtype):
        return f"{type(value).__name__} {value!r}".encode()
    return None


def _described(value: object) -> Iterator[bytes]:
    if isinstance(value, nn.Module):
        yield from _module_bytes(value)
    elif inspect.isclass(value) or isinstance(value, FunctionType):
        yield from _code_bytes(value)
    elif isinstance(value, MethodType):
        yield value.__name__.encode()
    elif isinstance(value, torch.ScriptObject):  # weights of quantised layers
        with contextlib.suppress(Exception):  # some have no state to give
            yield from _Reader().parts(value.__getstate__(), DEPTH)
    elif isinstance(value, list | tuple | dict | set | frozenset):
        yield f"{type(value).__name__} {len(value)}".encode()
    elif home_of(type(value)) in SETTLED or not hasattr(value, "__dict__"):
        yield f"{type(value).__qualname__} {ADDRESS.sub('', repr(value))}".encode()
    else:
        yield type(value).__qualname__.encode()


def _module_bytes(module: nn.Module) -> Iterator[bytes]:
    yield type(module).__qualname__.encode()
    yield ADDRESS.sub("", module.extra_repr()).encode()
    if isinstance(module, fx.GraphModule):
        yield str(module.code).encode()
    elif isinstance(module, torch.jit.ScriptModule):
        yield from _script_bytes(module)


def _script_bytes(module: torch.jit.ScriptModule) -> Iterator[bytes]:
    graph: Any = getattr(module, "inlined_graph", None)
    if graph is None:
        return
    yield MANGLED.sub("", ADDRESS.sub("", str(graph))).encode()
    for _, value in script_constants(module):  # weights of a frozen network
        yield _plain(value) or b"constant"
    for name, value in sorted(module.state_dict().items()):
        yield name.encode()
        yield _plain(value) or repr(value).encode()


def script_constants(module: nn.Module) -> list[tuple[str, object]]:
    """Return the constants of a TorchScript graph: freezing leaves tensors there that it shares.

    Those that the graph changes stay attributes of parts which freezing hides from Python.
    """
    graph: Any = getattr(module, "inlined_graph", None)
    if not isinstance(module, torch.jit.ScriptModule) or graph is None:
        return []
    constants: list[tuple[str, object]] = []
    for place, node in enumerate(graph.findAllNodes("prim::Constant", recurse=True)):
        with contextlib.suppress(RuntimeError):  # constants of types that Python lacks
            constants.append((f"constant {place}", node.output().toIValue()))
    return constants + _hidden_attributes(module, graph)


def _hidden_attributes(module: torch.jit.ScriptModule, graph: Any) -> list[tuple[str, object]]:  # noqa: ANN401 - torch leaves it untyped
    """Return tensors that a graph reads and that are neither parameters nor buffers."""
    shown = {tensor.data_ptr() for tensor in (*module.parameters(), *module.buffers())}
    parts, hidden = {next(graph.inputs()).debugName(): module._c}, list[tuple[str, object]]()
    for node in graph.findAllNodes("prim::GetAttr", recurse=True):
        owner = parts.get(node.input().debugName())
        if owner is None or not owner.hasattr(node.s("name")):
            continue
        value = owner.getattr(node.s("name"))
        parts[node.output().debugName()] = value
        if isinstance(value, Tensor) and value.data_ptr() not in shown:
            hidden.append((f"attribute {node.s('name')}", value))
    return hidden


def _tensor_bytes(tensor: Tensor) -> bytes:
    values = tensor.detach()
    if values.is_quantized:
        scheme = f"{values.qscheme()} {values.dtype} "
        return scheme.encode() + _tensor_bytes(values.dequantize())
    if values.layout != torch.strided:
        values = values.to_dense()
    flat = values.cpu().contiguous().reshape(-1).resolve_conj().resolve_neg()
    return f"{tensor.dtype} {tuple(tensor.shape)} ".encode() + bytes(flat.view(torch.uint8).numpy())


def _array_bytes(array: NDArray[Any]) -> bytes:
    if array.dtype.names is None:
        return array.tobytes()
    # between the fields of a record may lie bytes that were never written
    return b"".join(_array_bytes(array[name]) for name in array.dtype.names)


def _code_bytes(code: Any) -> Iterator[bytes]:  # noqa: ANN401  # a class or a function
    module, name = str(getattr(code, "__module__", "")), getattr(code, "__qualname__", str(code))
    home, source = home_of(code), None
    if is_installed(home) and home != OURS:
        yield f"{module}.{name} {_version(home)}".encode()
        return
    in_class = isinstance(code, FunctionType) and re.fullmatch(r"[^.<]+(\.[^.<]+)+", name)
    if home not in SETTLED and not in_class:  # the source of a class holds its methods
        with contextlib.suppress(OSError, TypeError):  # typed at a prompt
            source = inspect.getsource(code)
    # what a user's file is called, or how it was imported, changes no score
    known = source is None or home in SETTLED or home == OURS
    yield (f"{module}.{name}" if known and not in_class else f"{name}").encode()
    if source is not None:
        yield source.encode()
        if name.endswith("<lambda>"):  # several may stand in the lines that are their source
            yield from _instructions(code.__code__)
    elif isinstance(code, FunctionType) and (
        code.__code__.co_filename.startswith("<") or not (home in SETTLED or in_class)
    ):
        yield code.__code__.co_code + repr(code.__code__.co_consts).encode()


def _instructions(code: CodeType) -> Iterator[bytes]:
    """Yield what a code object does, without where it stands."""
    yield code.co_code + repr(code.co_names).encode()
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _instructions(constant)
        else:
            yield repr(constant).encode()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
