"""A module that is fitted, not trained: always in eval mode; NotFitted before the fit."""

from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor, nn

from epsball.errors import NotFitted


class FittedModule(nn.Module):
    """Shares what torch does not know of estimators: learned attributes end in `_`."""

    def __init__(self) -> None:
        super().__init__()
        self.training = False

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - torch's
        """Raise NotFitted for a learned attribute that is not there yet."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name.endswith("_") and not name.startswith("_"):
                raise self.not_fitted() from None
            raise

    def not_fitted(self) -> NotFitted:
        """Return the error for a call before `fit`."""
        return NotFitted(f"{type(self).__name__}: not fitted yet; call fit first")

    def train(self, mode: bool = True) -> Self:  # noqa: ARG002, FBT001, FBT002 - torch's signature
        """Stay in eval mode: nothing here is trained by gradients."""
        return self


class WideModule(FittedModule):
    """Stays float32 when it is asked to become bfloat16 or float16: distances would be noise."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:  # noqa: FBT001, FBT002 - torch's
        """Move and cast the buffers, but to no half precision."""

        def kept_wide(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            half = moved.is_floating_point() and moved.element_size() < torch.float32.itemsize
            return tensor.to(moved.device) if half else moved

        super()._apply(kept_wide, recurse)  # type: ignore[no-untyped-call]  # torch's
        return self
