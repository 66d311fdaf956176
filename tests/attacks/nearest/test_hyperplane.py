"""Shortest steps onto planes, against slow references that work in another way."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import linprog
from torch import Tensor

from epsball.attacks.nearest.hyperplane import NORMS, dual_size, step_to_plane
from epsball.errors import UnsupportedNorm
from epsball.geometry import size
from epsball.types import Norm

Row = NDArray[np.float64]
# pixels at the border of the box, pixels without slope and equal slopes are common in images
PIXELS = st.one_of(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.floats(0, 1))
SLOPES = st.one_of(st.sampled_from([-2.0, -1.0, 0.0, 0.5, 1.0]), st.floats(-3, 3))
SHARES = st.one_of(st.sampled_from([-1.0, 0.0, 0.5, 1.0]), st.floats(-1.3, 1.3))


def room(x: Row, w: Row) -> float:
    """Return the most that <w, x> can rise within the box."""
    return float(np.maximum(w * (1 - x), -w * x).sum())


@st.composite
def planes(draw: Any) -> tuple[Row, Row, float]:
    """Draw an image, a slope, and a rise that is a share of what the box allows, or too much."""
    pairs = draw(st.lists(st.tuples(PIXELS, SLOPES), min_size=1, max_size=7))
    x, w = np.array(pairs).T
    # far below any use, where the reference's own sums are inexact
    w[np.abs(w) < 1e-6] = 0
    share = draw(SHARES)
    return x, w, share * room(x, w if share >= 0 else -w)


def linear_program(x: Row, w: Row, rise: float, norm: Norm) -> float:
    """Return the length of the shortest step: d = up - down, and t bounds what is measured."""
    d, one, none = len(x), np.eye(len(x)), np.zeros((1, 1))
    equal = np.concatenate([w, -w, none[0]])[None]
    bounds = [(0.0, 1 - v) for v in x] + [(0.0, v) for v in x] + [(0.0, None)]
    if norm == "l1":
        cost, limits = np.append(np.ones(2 * d), 0), None
    else:
        cost = np.append(np.zeros(2 * d), 1)
        limits = np.hstack([one, one, -np.ones((d, 1))])
    limit = None if limits is None else np.zeros(d)
    result = linprog(cost, A_ub=limits, b_ub=limit, A_eq=equal, b_eq=[rise], bounds=bounds)
    assert result.success, result.message
    return float(result.fun)


def bisection(x: Row, w: Row, rise: float) -> float:
    """Return the length in l2 of clip(x + t w) - x, its t the one that meets the plane."""
    low, high = -1e8, 1e8
    for _ in range(200):
        middle = (low + high) / 2
        if w @ (np.clip(x + middle * w, 0, 1) - x) < rise:
            low = middle
        else:
            high = middle
    return float(np.linalg.norm(np.clip(x + low * w, 0, 1) - x))


def step(x: Row, w: Row, rise: float, norm: Norm) -> Tensor:
    rows = (
        torch.from_numpy(x)[None],
        torch.from_numpy(w)[None],
        torch.tensor([rise], dtype=torch.float64),
    )
    return step_to_plane(*rows, norm)


@pytest.mark.parametrize("norm", NORMS)
@settings(max_examples=150, deadline=None)
@given(plane=planes())
def test_inside_the_box_and_on_the_plane_or_at_its_nearest_corner(norm: Norm, plane: Any) -> None:
    x, w, rise = plane
    d = step(x, w, rise, norm)[0].numpy()
    assert (x + d >= -1e-12).all()
    assert (x + d <= 1 + 1e-12).all()
    reachable = np.clip(rise, -room(x, -w), room(x, w))
    assert w @ d == pytest.approx(reachable, abs=1e-9)
    assert (d[w == 0] == 0).all()


@pytest.mark.parametrize("norm", NORMS)
@settings(max_examples=100, deadline=None)
@given(plane=planes())
def test_no_step_is_shorter(norm: Norm, plane: Any) -> None:
    x, w, rise = plane
    rise = 0.99 * float(np.clip(rise, -room(x, -w), room(x, w)))
    best = bisection(x, w, rise) if norm == "l2" else linear_program(x, w, rise, norm)
    assert float(size(step(x, w, rise, norm), norm)) == pytest.approx(best, abs=1e-6)


@pytest.mark.parametrize("norm", NORMS)
def test_many_pixels_in_float32(norm: Norm) -> None:
    """Sums of many thousands of pixels still meet the plane, and a batch is a row at a time."""
    generator = torch.Generator().manual_seed(3)
    x = torch.rand((7, 3, 50, 60), generator=generator).round(decimals=1)
    w = torch.randn(x.shape, generator=generator) ** 3 * torch.logspace(-25, 8, 7).view(7, 1, 1, 1)
    most = torch.maximum(w * (1 - x), -w * x).flatten(1).sum(1)
    rise = most * torch.tensor([1e-6, 0.01, 0.3, 0.9, 0.999, 1 - 1e-7, 2])
    d = step_to_plane(x, w, rise, norm)
    assert d.shape == x.shape
    assert (x + d).min() >= 0
    assert (x + d).max() <= 1
    risen = (w.double() * d.double()).flatten(1).sum(1)
    error = (risen - torch.minimum(rise, most).double()).abs() / most
    assert error.max() < 1e-6
    for i in range(7):
        row = slice(i, i + 1)
        assert torch.equal(step_to_plane(x[row], w[row], rise[row], norm), d[row])


@pytest.mark.parametrize("norm", NORMS)
def test_rounding_of_long_sums_turns_no_step_around(norm: Norm) -> None:
    """All but one pixel met the box; what the last one gains is less than the sums' last bits."""
    generator = torch.Generator().manual_seed(4)
    x = torch.rand((200, 3000), generator=generator)
    w = torch.ones_like(x)
    w[:, -1] = 1e-4
    most = (w * (1 - x)).sum(1)
    d = step_to_plane(x, w, most * (1 - 1e-7), norm)
    assert d.min() >= 0
    assert ((w.double() * d.double()).sum(1) / most - 1).abs().max() < 1e-6


@pytest.mark.parametrize("norm", NORMS)
def test_without_slope_nothing_moves(norm: Norm) -> None:
    x = torch.rand((2, 5), generator=torch.Generator().manual_seed(0))
    flat = step_to_plane(x, torch.zeros_like(x), torch.tensor([1.0, -1.0]), norm)
    assert torch.equal(flat, torch.zeros_like(x))


def test_l1_moves_the_steepest_pixel_first() -> None:
    x, w = torch.tensor([[0.25, 0.5, 0.5]]), torch.tensor([[-4.0, 2.0, 1.0]])
    moved = step_to_plane(x, w, torch.tensor([1.5]), "l1")
    assert torch.equal(moved, torch.tensor([[-0.25, 0.25, 0.0]]))


@pytest.mark.parametrize("norm", NORMS)
def test_the_best_step_of_length_one_gains_the_dual_size(norm: Norm) -> None:
    w = torch.tensor([[3.0, -1.0, 0.5, 0.0]])
    x = torch.full_like(w, 0.5)
    gain = dual_size(w, norm)
    assert torch.allclose(size(step_to_plane(x, w, 0.25 * gain, norm), norm), torch.tensor(0.25))


def test_no_other_norm() -> None:
    x = torch.zeros((1, 2))
    with pytest.raises(UnsupportedNorm, match="step_to_plane: norm must be one of linf, l2, l1"):
        step_to_plane(x, x, torch.ones(1), "l0")
    with pytest.raises(UnsupportedNorm, match="dual_size"):
        dual_size(x, "l0")
