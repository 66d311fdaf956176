"""Balls around images: their sizes, projections, steepest directions and random points."""

import math

import torch
from torch import Tensor

from epsball.errors import UnsupportedNorm
from epsball.randomness import Randomness, normal, random_signs, uniform
from epsball.types import NORMS, Norm


def per_row(values: Tensor, like: Tensor) -> Tensor:
    """View one value a row so that it broadcasts over a batch: (n,) -> (n, 1, ..., 1)."""
    return values.reshape(-1, *[1] * (like.dim() - 1))


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


def project(delta: Tensor, eps: float | Tensor, norm: Norm) -> Tensor:
    """Move each perturbation to the nearest point of the ball of radius eps.

    Args:
        delta: (n, ...), float.
        eps: radius, in the units of delta: one, or (n,), one a row. In l0 the number of entries
            that may differ from zero.
        norm: "linf", "l2", "l1" or "l0".

    Returns:
        (n, ...); rows already inside are unchanged.

    Raises:
        UnsupportedNorm: no projection for that norm.

    Example:
        >>> project(torch.tensor([[3.0, -4.0]]), 1.0, "l2")
        tensor([[ 0.6000, -0.8000]])
        >>> project(torch.tensor([[3.0, -4.0]]), 2.0, "l1")
        tensor([[ 0.5000, -1.5000]])

    Source: l1: Duchi et al. 2008, "Efficient projections onto the l1-ball", figure 1.
    """
    if norm == "linf" and not isinstance(eps, Tensor):
        return delta.clamp(-eps, eps)
    radius = per_row(torch.as_tensor(eps, dtype=delta.dtype, device=delta.device), delta)
    if norm == "linf":
        return torch.minimum(torch.maximum(delta, -radius), radius)
    if norm == "l2":
        length = _length(delta.flatten(1)).clamp_min(_tiny(delta))
        return delta * (radius / per_row(length, delta)).clamp_max(1)
    if norm == "l1":
        caps = torch.full_like(delta, torch.inf)
        return _soft_clipped(delta, caps, radius)
    if norm == "l0":
        return _largest_entries(delta, radius)
    raise _unsupported("project", norm, NORMS)


def project_into_box(points: Tensor, inputs: Tensor, eps: float | Tensor, norm: Norm) -> Tensor:
    """Move points into the ball around inputs and into [0, 1], both at once.

    Args:
        points: (n, ...), float, anywhere.
        inputs: (n, ...), centres of the balls, in [0, 1].
        eps: see `project`.
        norm: see `project`.

    Returns:
        (n, ...). In linf and l1 the nearest point of ball and box; in l2 and l0 a point of both.

    Source: l1: Croce and Hein 2021, arXiv:2103.01208, section 2.1; solved for here by sorting.
    """
    if norm != "l1":
        # clamping moves towards the centre: it cannot leave the ball again
        return (inputs + project(points - inputs, eps, norm)).clamp(0, 1)
    delta = points - inputs
    caps = torch.where(delta > 0, 1 - inputs, inputs)
    radius = per_row(torch.as_tensor(eps, dtype=delta.dtype, device=delta.device), delta)
    return (inputs + _soft_clipped(delta, caps, radius)).clamp(0, 1)


def _soft_clipped(delta: Tensor, caps: Tensor, radius: Tensor) -> Tensor:
    """Return sign(delta) * clip(|delta| - level, 0, caps), its level the least that fits radius."""
    height = delta.abs().flatten(1)
    caps = caps.flatten(1)
    radius = radius.reshape(-1, 1).expand(len(delta), 1)
    # the sum of what is kept is linear in the level between these levels, where entries come in
    # (at their height) and are full (a cap below it)
    levels = torch.cat((height, height - caps), 1)
    change = torch.cat((torch.ones_like(height), -torch.ones_like(height)), 1)
    levels, order = levels.clamp_min(0).sort(dim=1, descending=True)
    slope = change.gather(1, order).cumsum(1)
    falls = levels - torch.cat((levels[:, 1:], torch.zeros_like(levels[:, :1])), 1)
    sums = (slope * falls).cumsum(1)  # (n, 2 d): what is kept at the next level down
    before = (sums < radius).sum(1, keepdim=True).clamp_max(levels.shape[1] - 1)
    remaining = sums.gather(1, before) - (slope * falls).gather(1, before)
    left = (radius - remaining) / slope.gather(1, before).clamp_min(1)
    level = (levels.gather(1, before) - left).clamp_min(0)
    fits = torch.minimum(height, caps).sum(1, keepdim=True) <= radius
    level = torch.where(fits, torch.zeros_like(level), level)
    kept_height = torch.minimum((height - level).clamp_min(0), caps)
    # rounding of a long sum: what is a last bit too long is shortened
    excess = (kept_height.sum(1, keepdim=True) / radius.clamp_min(_tiny(delta))).clamp_min(1)
    return delta.sign() * (kept_height / excess).view_as(delta)


def _largest_entries(delta: Tensor, count: Tensor) -> Tensor:
    flat = delta.flatten(1)
    rank = flat.abs().argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    keep = rank < count.reshape(-1, 1)
    return torch.where(keep, flat, torch.zeros_like(flat)).view_as(delta)


def steepest(gradient: Tensor, norm: Norm) -> Tensor:
    """Find the direction of length one in norm along which a loss rises fastest.

    Args:
        gradient: (n, ...), float.
        norm: "linf" (the sign), "l2" (the gradient over its length) or "l1" (the sign of the
            largest entry alone).

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
    if norm == "l1":
        flat = gradient.flatten(1)
        place = flat.abs().argmax(1, keepdim=True)
        alone = torch.zeros_like(flat).scatter(1, place, flat.gather(1, place).sign())
        return alone.view_as(gradient)
    raise _unsupported("steepest", norm, ("linf", "l2", "l1"))


def random_in_ball(like: Tensor, eps: float, norm: Norm, generator: Randomness) -> Tensor:
    """Draw a perturbation for each row, uniform over the volume of the ball.

    Args:
        like: (n, ...), float; gives shape, dtype and place.
        eps: radius.
        norm: "linf", "l2" or "l1".
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
    if norm == "l1":
        # d + 1 exponentials over their sum are uniform over the simplex; the last is what is left
        waits = -torch.log1p(-uniform(like, generator)).flatten(1)
        last = -torch.log1p(-uniform(waits[:, 0], generator))
        share = waits / (waits.sum(1) + last)[:, None]
        return eps * share.view_as(like) * random_signs(like, generator)
    raise _unsupported("random_in_ball", norm, ("linf", "l2", "l1"))


def check_norm(attack: str, norm: Norm, allowed: tuple[Norm, ...]) -> None:
    """Raise UnsupportedNorm when an attack is not defined for a norm."""
    if norm not in allowed:
        raise _unsupported(attack, norm, allowed)


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
