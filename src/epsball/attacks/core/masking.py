"""A mask of the entries that an attack may change."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from epsball.attacks.core.asking import call_model, relaxed_of
from epsball.errors import InvalidInput
from epsball.tensors import Classifier, Images, Labels


def under_mask(name: str, attack: Callable[..., Images], mask: Tensor) -> Callable[..., Images]:
    """Return an attack that changes only the entries of a mask.

    The attack sees a model that puts the clean entries back before it answers. Gradients of the
    other entries are then zero, and what is returned has them as they were. No ball grows by that.

    Args:
        name: of the attack, for messages.
        attack: a function with the house signature, in a ball of some norm.
        mask: broadcast to (n, c, h, w); bool, or numbers 0 and 1.

    Raises:
        InvalidInput: the attack knows no ball, or the mask has another shape or other values.
    """
    if "norm" not in inspect.signature(attack).parameters:
        raise InvalidInput(
            f"{name}: mask is for attacks in a ball, and this one moves whole images; leave mask "
            "out or use an attack with a norm such as pgd"
        )

    @functools.wraps(attack)
    def masked(model: Classifier, inputs: Images, labels: Labels, **named: Any) -> Images:  # noqa: ANN401 - the attack's own
        free = _as_bool(name, mask, inputs)
        search = named.get("search")
        if search is not None and search.confirm is not None:
            named["search"] = replace(search, confirm=_Masked(search.confirm, inputs, free))
        attacked = attack(_Masked(model, inputs, free), inputs, labels, **named)
        return torch.where(free, attacked, inputs.detach())

    return masked


@dataclass(frozen=True)
class _Masked:
    """A classifier of images whose entries outside a mask are put back.

    Args:
        model: the classifier of the whole batch.
        clean: (n, c, h, w).
        free: (n, c, h, w), bool; what may differ from clean.
    """

    model: Classifier
    clean: Tensor
    free: Tensor

    def __call__(self, points: Tensor) -> Tensor:
        """Return the model's scores of all rows, in order."""
        return self.model(torch.where(self.free, points, self.clean.detach().to(points.dtype)))

    def score_rows(self, points: Tensor, rows: Tensor) -> Tensor:
        """Return the model's scores of some rows."""
        clean = self.clean.detach()[rows].to(points.dtype)
        return call_model(self.model, torch.where(self.free[rows], points, clean), rows)

    @property
    def info(self) -> Any:  # noqa: ANN401 - a ModelInfo, where the model has one
        """Return what is known of the model."""
        return getattr(self.model, "info", None)

    def relaxed(self) -> "_Masked | None":
        """Return the model's differentiable stand-in for itself, if it has one."""
        inner = relaxed_of(self.model)
        return None if inner is None else _Masked(inner, self.clean, self.free)


def _as_bool(name: str, mask: Tensor, inputs: Tensor) -> Tensor:
    """Return the mask as bool in the shape of the images."""
    values = torch.as_tensor(mask, device=inputs.device)
    if values.dtype != torch.bool and not bool(((values == 0) | (values == 1)).all()):
        raise InvalidInput(f"{name}: mask must hold 0 and 1 only, or bool; threshold it first")
    try:
        return values.bool().expand_as(inputs)
    except RuntimeError:
        raise InvalidInput(
            f"{name}: mask must broadcast to the images {tuple(inputs.shape)}, got "
            f"{tuple(values.shape)}; give (c, h, w), (n, 1, h, w) or (n, c, h, w)"
        ) from None
