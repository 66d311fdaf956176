"""What every attack asks of its arguments before it spends a forward pass."""

import torch
from torch import Tensor

from epsball.errors import InvalidInput
from epsball.geometry import check_eps, check_norm
from epsball.types import Norm


def check_call(
    attack: str,
    inputs: Tensor,
    labels: Tensor,
    targets: Tensor | None,
    *,
    eps: float,
    norm: Norm,
    norms: tuple[Norm, ...],
    steps: int = 1,
    step_size: float | None = None,
) -> None:
    """Raise the error that names the first argument that breaks its rule.

    Raises:
        InvalidInput: shapes, dtypes, eps, steps, step_size.
        UnsupportedNorm: the attack is not defined for norm.
    """
    check_norm(attack, norm, norms)
    check_eps(attack, eps)
    if not inputs.is_floating_point():
        raise InvalidInput(
            f"{attack}: inputs must be float in [0, 1], got {inputs.dtype}; divide by 255"
        )
    for name, classes in (("labels", labels), ("targets", targets)):
        if classes is not None:
            _check_classes(attack, name, classes, len(inputs))
    if steps < 1:
        raise InvalidInput(f"{attack}: steps must be >= 1, got {steps}")
    if step_size is not None and not step_size > 0:
        raise InvalidInput(f"{attack}: step_size must be > 0, got {step_size}")


def _check_classes(attack: str, name: str, classes: Tensor, count: int) -> None:
    if classes.dtype != torch.int64 or classes.shape != (count,):
        raise InvalidInput(
            f"{attack}: {name} must be int64 of shape ({count},), "
            f"got {classes.dtype} of shape {tuple(classes.shape)}"
        )
