"""The buffers of a model, so that it is left as it was found."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from epsball.object_graph import modules_behind


class KeptState:
    """A copy of every buffer that a callable is or hides, to be compared and put back.

    Args:
        model: a module or any other callable; it is looked at, never called.
    """

    def __init__(self, model: Callable[..., Any]) -> None:
        self._buffers: list[tuple[str, Tensor, Tensor]] = [
            (f"{place}.{name}" if place else name, buffer, buffer.detach().clone())
            for place, module in modules_behind(model).items()
            for name, buffer in module.named_buffers()
        ]

    def moved(self) -> list[str]:
        """Name the buffers that are not what they were."""
        return [name for name, buffer, kept in self._buffers if not _same(buffer, kept)]

    def restore(self) -> None:
        """Put every buffer back that has moved."""
        with torch.no_grad():
            for _, buffer, kept in self._buffers:
                if not _same(buffer, kept):
                    buffer.copy_(kept)


def _same(one: Tensor, other: Tensor) -> bool:
    if one.is_quantized or one.layout != torch.strided:
        return True  # weights of quantised layers: nothing moves them
    return torch.equal(one, other) or bool(
        one.is_floating_point() and torch.equal(one.nan_to_num(), other.nan_to_num())
    )
