"""Shortest steps onto a plane that stay inside the box of images, in linf, l2 and l1.

All three are exact and batched. Towards the plane every pixel moves the one way that its slope
tells, as far as its room to the border of the box lets it. What differs is who moves: in linf and
l2 all pixels together, each at its own speed, until it meets the box; in l1 one pixel after the
other, the steepest first.
"""

import torch
from torch import Tensor

from epsball.geometry import check_norm, size
from epsball.types import Norm

NORMS: tuple[Norm, ...] = ("linf", "l2", "l1")
_DUAL: dict[Norm, Norm] = {"linf": "l1", "l2": "l2", "l1": "linf"}


def dual_size(slope: Tensor, norm: Norm) -> Tensor:
    """Measure how much a linear score rises along its best step of length one in norm.

    Args:
        slope: (n, ...), float; the gradient of the score.
        norm: "linf", "l2" or "l1", of the step.

    Returns:
        (n,).

    Raises:
        UnsupportedNorm: no such norm.

    Example:
        >>> dual_size(torch.tensor([[3.0, -4.0]]), "linf").item()
        7.0
    """
    check_norm("dual_size", norm, NORMS)
    return size(slope, _DUAL[norm])


def step_to_plane(points: Tensor, slope: Tensor, rise: Tensor, norm: Norm) -> Tensor:
    """Find the shortest step that changes a linear score by rise without leaving [0, 1].

    Args:
        points: (n, ...), float, in [0, 1].
        slope: (n, ...), the gradient of the score.
        rise: (n,), by how much <slope, point> is to change; below zero: fall.
        norm: "linf", "l2" or "l1"; what is made short.

    Returns:
        (n, ...). Where the box holds no point of the plane, the step to the corner that is nearest
        to it. Pixels without slope stay.

    Raises:
        UnsupportedNorm: no such norm.

    Example:
        >>> x, w = torch.tensor([[0.5, 0.75]]), torch.tensor([[1.0, 1.0]])
        >>> step_to_plane(x, w, torch.tensor([0.625]), "linf")
        tensor([[0.3750, 0.2500]])
        >>> step_to_plane(x, w, torch.tensor([-0.5]), "l2")
        tensor([[-0.2500, -0.2500]])

    Source: the projections onto a hyperplane within the box of Croce and Hein 2020,
    arXiv:1907.02044. Departure: a plane is given by the rise that leads to it, not by its offset:
    the difference of two long sums that are almost equal is never taken.
    """
    check_norm("step_to_plane", norm, NORMS)
    flat = points.flatten(1)
    way = (slope.flatten(1) * rise.sign()[:, None]).sign()
    room = torch.where(way > 0, 1 - flat, flat).clamp_min(0) * way.abs()
    steepness = slope.flatten(1).abs()
    # in units of the steepest pixel: squares of small gradients would underflow
    unit = steepness.amax(1, keepdim=True).clamp_min(_tiny(flat))
    worth, needed = steepness / unit, rise.abs()[:, None] / unit
    if norm == "l1":
        length = _one_by_one(worth, room, needed)
    else:
        speed = torch.ones_like(worth) if norm == "linf" else worth
        length = _together(worth, room, needed, speed)
    return (way * length).view_as(points)


def _together(worth: Tensor, room: Tensor, needed: Tensor, speed: Tensor) -> Tensor:
    """Return min(room, time * speed), its time the first at which worth * length sums to needed."""
    meets = room / speed.clamp_min(_tiny(room))  # when a pixel meets the box
    meets, order = meets.sort(dim=1)
    full = (worth * room).gather(1, order)
    rate = (worth * speed).gather(1, order)
    stopped = full.cumsum(1) - full  # (n, d): gained by those that met the box earlier
    moving = rate.flip(1).cumsum(1).flip(1)  # summed from the end: no small rest of a large sum
    gained = stopped + moving * meets
    at = (gained < needed).sum(1, keepdim=True).clamp_max(meets.shape[1] - 1)
    time = (needed - stopped.gather(1, at)) / moving.gather(1, at).clamp_min(_tiny(room))
    # where little still moves, a last bit of a sum is a long time: it is held between its meetings
    earliest = torch.cat((torch.zeros_like(meets[:, :1]), meets[:, :-1]), 1).gather(1, at)
    time = torch.maximum(torch.minimum(time, meets.gather(1, at)), earliest)
    return torch.minimum(room, time * speed)


def _one_by_one(worth: Tensor, room: Tensor, needed: Tensor) -> Tensor:
    """Return lengths of at most room that sum worth * length to needed, the most worthy first."""
    sorted_worth, order = worth.sort(dim=1, descending=True)
    sorted_room = room.gather(1, order)
    full = sorted_worth * sorted_room
    gained = full.cumsum(1)
    lacks = (needed - (gained - full)).clamp_min(0)
    part = torch.minimum(lacks / sorted_worth.clamp_min(_tiny(room)), sorted_room)
    length = torch.where(gained <= needed, sorted_room, part)
    return torch.zeros_like(room).scatter(1, order, length)


def _tiny(values: Tensor) -> float:
    return float(torch.finfo(values.dtype).tiny)
