"""A module that is fitted, not trained: always in eval mode, and it says when it is not ready."""

from typing import Any, Self

from torch import nn

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
        """Return the error for a question that comes too early."""
        return NotFitted(f"{type(self).__name__}: asked before it was fitted; call fit first")

    def train(self, mode: bool = True) -> Self:  # noqa: ARG002, FBT001, FBT002 - torch's signature
        """Stay in eval mode: nothing here is trained by gradients."""
        return self
