"""The buffers and other tensors of a model, so that it is left as it was found."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from epsball.object_graph import modules_behind, references, walk

_LARGEST = 2**26  # entries of a tensor outside modules that is copied


class KeptState:
    """A copy of what a callable may move: buffers of modules, tensors in closures and mappings.

    Parameters are left out: a forward pass does not move them.

    Args:
        model: a module or any other callable; it is inspected, never called.
    """

    def __init__(self, model: Callable[..., Any]) -> None:
        self._buffers: list[tuple[str, Tensor, Tensor]] = [
            (f"{place}.{name}" if place else name, buffer, buffer.detach().clone())
            for place, module in modules_behind(model).items()
            for name, buffer in module.named_buffers()
        ]
        known = {id(buffer) for _, buffer, _ in self._buffers}
        for name, value in _tensors_outside(model):
            if id(value) not in known and _may_move(value):
                known.add(id(value))
                self._buffers.append((name, value, value.detach().clone()))

    def moved(self) -> list[str]:
        """Name the buffers that are not what they were."""
        return [name for name, buffer, before in self._buffers if not _same(buffer, before)]

    def restore(self) -> None:
        """Put every buffer back that has moved."""
        with torch.no_grad():
            for _, buffer, before in self._buffers:
                if not _same(buffer, before):
                    buffer.copy_(before)


def _tensors_outside(model: Callable[..., Any]) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors that are attributes, members of containers, or held by closures."""
    for name, value in walk(model):
        for label, inner in references(value):
            if isinstance(inner, Tensor):
                yield (f"{name}.{label}" if name else label), inner


def _may_move(tensor: Tensor) -> bool:
    settled = isinstance(tensor, nn.Parameter) or tensor.is_meta or tensor.requires_grad
    return not settled and tensor.numel() <= _LARGEST


def _same(one: Tensor, other: Tensor) -> bool:
    if one.is_quantized or one.layout != torch.strided:
        return True  # weights of quantised layers: nothing moves them
    return torch.equal(one, other) or bool(
        one.is_floating_point() and torch.equal(one.nan_to_num(), other.nan_to_num())
    )
