"""Balls around pictures: their sizes, projections, steepest directions and random points."""

import math

import torch
from torch import Tensor

from epsball.errors import InvalidInput, UnsupportedNorm
from epsball.randomness import Randomness, normal, uniform
from epsball.types import NORMS, Norm


def per_row(values: Tensor, like: Tensor) -> Tensor:
    """View one value a row so that it broadcasts over a batch: (n,) -> (n, 1, ..., 1)."""
    return values.view(-1, *[1] * (like.dim() - 1))


def size(delta: Tensor, norm: Norm) -> Tensor:
    """Measure each perturbation.

    Args:
        delta: (n, ...), float; adversarial minus clean.
        norm: "linf", "l2", "l1", or "l0" (entries that differ from zero).

    Returns:
        (n,), the length of each row in norm.

    Raises:
        UnsupportedNorm: no such norm.

    Example:
        >>> size(torch.tensor([[3.0, -4.0, 0.0]]), "l2").item()
        5.0
    """
    flat = delta.flatten(1)
    if norm == "linf":
        return flat.abs().amax(1)
    if norm == "l2":
        return _length(flat)
    if norm == "l1":
        return flat.abs().sum(1)
    if norm == "l0":
        return (flat != 0).sum(1).to(delta)
    raise _unsupported("size", norm, NORMS)


def project(delta: Tensor, eps: float, norm: Norm) -> Tensor:
    """Move each perturbation to the nearest point of the ball of radius eps.

    Args:
        delta: (n, ...), float.
        eps: radius, in the units of delta.
        norm: "linf" or "l2".

    Returns:
        (n, ...); rows already inside are unchanged.

    Raises:
        UnsupportedNorm: no projection for that norm.

    Example:
        >>> project(torch.tensor([[3.0, -4.0]]), 1.0, "l2")
        tensor([[ 0.6000, -0.8000]])
    """
    if norm == "linf":
        return delta.clamp(-eps, eps)
    if norm == "l2":
        length = _length(delta.flatten(1)).clamp_min(torch.finfo(delta.dtype).tiny)
        return delta * per_row((eps / length).clamp_max(1), delta)
    raise _unsupported("project", norm, ("linf", "l2"))


def steepest(gradient: Tensor, norm: Norm) -> Tensor:
    """Find the direction of length one in norm along which a loss rises fastest.

    Args:
        gradient: (n, ...), float.
        norm: "linf" (the sign) or "l2" (the gradient over its length).

    Returns:
        (n, ...); zero where the whole gradient of a row is zero.

    Raises:
        UnsupportedNorm: no rule for that norm.

    Example:
        >>> steepest(torch.tensor([[0.3, -0.4]]), "l2")
        tensor([[ 0.6000, -0.8000]])
    """
    if norm == "linf":
        return gradient.sign()
    if norm == "l2":
        return gradient / per_row(_length(gradient.flatten(1)), gradient).clamp_min(_tiny(gradient))
    raise _unsupported("steepest", norm, ("linf", "l2"))


def random_in_ball(like: Tensor, eps: float, norm: Norm, generator: Randomness) -> Tensor:
    """Draw a perturbation for each row, uniform over the volume of the ball.

    Args:
        like: (n, ...), float; gives shape, dtype and place.
        eps: radius.
        norm: "linf" or "l2".
        generator: see `epsball.randomness.uniform`.

    Returns:
        (n, ...), each row within eps in norm.

    Raises:
        UnsupportedNorm: no sampler for that norm.
    """
    if norm == "linf":
        return (2 * uniform(like, generator) - 1) * eps
    if norm == "l2":
        direction = steepest(normal(like, generator), "l2")
        dimension = max(1, math.prod(like.shape[1:]))
        # volume grows with radius ** dimension
        radius = eps * uniform(like[:, :1].flatten(1)[:, 0], generator) ** (1 / dimension)
        return direction * per_row(radius, like)
    raise _unsupported("random_in_ball", norm, ("linf", "l2"))


def check_norm(attack: str, norm: Norm, allowed: tuple[Norm, ...]) -> None:
    """Raise UnsupportedNorm when an attack is not defined for a norm."""
    if norm not in allowed:
        raise _unsupported(attack, norm, allowed)


def check_eps(attack: str, eps: float) -> None:
    """Raise InvalidInput unless eps is a finite number of at least zero."""
    if not (math.isfinite(eps) and eps >= 0):
        raise InvalidInput(
            f"{attack}: eps must be a finite number >= 0, got {eps}; "
            "pictures are in [0, 1], so write 8/255, not 8"
        )


def _length(flat: Tensor) -> Tensor:
    # squares of gradients below 1e-19 underflow float32: measure in units of the largest entry
    largest = flat.abs().amax(1, keepdim=True)
    unit = flat / largest.clamp_min(_tiny(flat))
    length: Tensor = torch.linalg.vector_norm(unit, dim=1)
    return length * largest[:, 0]


def _tiny(values: Tensor) -> float:
    return float(torch.finfo(values.dtype).tiny)


def _unsupported(who: str, norm: str, allowed: tuple[str, ...]) -> UnsupportedNorm:
    return UnsupportedNorm(f"{who}: norm must be one of {', '.join(allowed)}; got {norm!r}")
