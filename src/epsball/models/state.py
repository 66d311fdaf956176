"""Tensors, modes and stored gradients of a model, so that it is left as it was found."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeAlias

import torch
from torch import Tensor, fx, nn

from epsball.identity import script_constants
from epsball.object_graph import modules_behind, references, walk
from epsball.runs.code_origin import SETTLED, home_of

_LARGEST = 2**26  # entries of a tensor that is copied
_KINDS = (Tensor, nn.Parameter, nn.Buffer)  # subclasses of libraries have rules of their own
_FIXED = (fx.GraphModule, torch.jit.ScriptModule)  # whose flag of the mode decides nothing
# a tensor by a name, the mapping that it is kept in, and its key there; None: in no mapping
Place: TypeAlias = tuple[str, object, dict[Any, Any] | None, Any]


@dataclass(frozen=True)
class _KeptTensor:
    """A tensor with its values, and where it is kept."""

    label: str
    tensor: Tensor
    values: Tensor
    holder: dict[Any, Any] | None
    key: Any

    def moved(self) -> bool:
        """Say whether it, or what now stands in its place, has other values.

        What is replaced by a tensor of another shape is a result that a model stores, not state.
        """
        now = self.tensor if self.holder is None else self.holder.get(self.key)
        state = now if isinstance(now, Tensor) and now.shape == self.values.shape else self.tensor
        return not (_same(self.tensor, self.values) and _same(state, self.values))

    def restore(self) -> None:
        """Put it and its values back."""
        if self.holder is not None and self.holder.get(self.key) is not self.tensor:
            self.holder[self.key] = self.tensor
        if not _same(self.tensor, self.values):
            self.tensor.copy_(self.values)


@dataclass(frozen=True)
class _KeptGradient:
    """The gradient that a parameter stores, with its values."""

    label: str
    parameter: Tensor
    gradient: Tensor | None
    values: Tensor | None

    def moved(self) -> bool:
        """Say whether another one, or one with other values, is stored."""
        if self.gradient is None or self.values is None:
            return self.parameter.grad is not None
        return self.parameter.grad is not self.gradient or not _same(self.gradient, self.values)

    def restore(self) -> None:
        """Put it and its values back."""
        if self.moved():
            self.parameter.grad = self.gradient
            if self.gradient is not None and self.values is not None:
                self.gradient.copy_(self.values)


@dataclass(frozen=True)
class _KeptMode:
    """The mode of a module."""

    label: str
    module: nn.Module
    training: bool

    def moved(self) -> bool:
        """Say whether it is another one."""
        return self.module.training != self.training

    def restore(self) -> None:
        """Put it back."""
        self.module.training = self.training


class KeptState:
    """A copy of what calling a model may move.

    Kept are parameters and buffers of modules, tensors in attributes, closures and mappings, the
    gradients that are stored, and the mode of every module. Attributes that are no tensors (a
    counter in Python) are left alone: what they mean is unknown.

    Args:
        model: a module or any other callable; it is inspected, never called.
    """

    def __init__(self, model: Callable[..., Any]) -> None:
        tensors: dict[int, _KeptTensor] = {}
        for label, value, holder, key in (*_in_modules(model), *_outside(model)):
            if id(value) not in tensors and isinstance(value, Tensor) and _may_move(value):
                values = value.detach().clone()
                tensors[id(value)] = _KeptTensor(label, value, values, holder, key)
        self._kept: list[_KeptTensor | _KeptGradient | _KeptMode] = [
            *tensors.values(),
            *(_gradient_of(kept) for kept in tensors.values() if kept.tensor.requires_grad),
            *(_KeptMode(label, part, part.training) for label, part in _parts(model)),
        ]

    def moved(self) -> list[str]:
        """Name what is not as it was."""
        return [kept.label for kept in self._kept if kept.moved()]

    def restore(self) -> None:
        """Put everything back that has moved."""
        with torch.no_grad():
            for kept in self._kept:
                kept.restore()


def _in_modules(model: object) -> Iterator[Place]:
    """Yield parameters, buffers and constants of the modules that a callable is or hides."""
    for place, module in modules_behind(model).items():
        for name, part in module.named_modules():
            holders = [] if isinstance(part, torch.jit.ScriptModule) else _namespaces(part)
            for key, tensor in (
                *part.named_buffers(recurse=False),
                *part.named_parameters(recurse=False),
            ):
                holder = next((space for space in holders if space.get(key) is tensor), None)
                yield _joined(_joined(place, name), key), tensor, holder, key
        for name, constant in script_constants(module):
            yield _joined(place, name), constant, None, ""


def _outside(model: object) -> Iterator[Place]:
    """Yield what attributes, mappings, sequences and closures hold."""
    for name, value in walk(model):
        for space in _namespaces(value):
            yield from (
                (_joined(name, str(key)), inner, space, key) for key, inner in space.items()
            )
        yield from ((_joined(name, label), inner, None, "") for label, inner in references(value))


def _namespaces(value: object) -> list[dict[Any, Any]]:
    """Return the mappings in which an object keeps what it may replace: attributes, items."""
    if isinstance(value, dict):
        return [value]
    if isinstance(value, nn.Module):
        return [value._buffers, value._parameters, vars(value)]
    settled = isinstance(value, type | ModuleType) or home_of(type(value)) in SETTLED
    return [] if settled or not hasattr(value, "__dict__") else [vars(value)]


def _parts(model: object) -> Iterator[tuple[str, nn.Module]]:
    for place, module in modules_behind(model).items():
        for name, part in module.named_modules():
            if not isinstance(part, _FIXED):
                yield f"the mode of {_joined(place, name) or 'the model itself'}", part


def _gradient_of(kept: _KeptTensor) -> _KeptGradient:
    stored = kept.tensor.grad
    values = None if stored is None else stored.detach().clone()
    return _KeptGradient(f"the gradient of {kept.label}", kept.tensor, stored, values)


def _joined(place: str, name: str) -> str:
    return f"{place}.{name}" if place and name else place or name


def _may_move(tensor: Tensor) -> bool:
    is_result = tensor.requires_grad and not tensor.is_leaf
    plain = type(tensor) in _KINDS and tensor.layout == torch.strided
    fixed = tensor.is_meta or tensor.is_quantized or is_result or tensor.is_inference()
    return plain and not fixed and tensor.numel() <= _LARGEST


def _same(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype or one.device != other.device:
        return False
    return torch.equal(one, other) or bool(
        one.is_floating_point() and torch.equal(one.nan_to_num(), other.nan_to_num())
    )
