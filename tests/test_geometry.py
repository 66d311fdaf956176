"""Balls: closed forms and properties."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from epsball.errors import UnsupportedNorm
from epsball.geometry import project, random_in_ball, size, steepest
from epsball.randomness import ImageStreams
from epsball.types import Norm

norms = st.sampled_from(["linf", "l2"])
radii = st.floats(0, 3, allow_subnormal=False)


def deltas(seed: int, scale: float = 1.0) -> Tensor:
    return scale * torch.randn((5, 2, 3, 3), generator=torch.Generator().manual_seed(seed))


def test_size_closed_forms() -> None:
    delta = torch.tensor([[3.0, -4.0, 0.0], [0.0, 0.0, 0.0]])
    assert size(delta, "linf").tolist() == [4, 0]
    assert size(delta, "l2").tolist() == [5, 0]
    assert size(delta, "l1").tolist() == [7, 0]
    assert size(delta, "l0").tolist() == [2, 0]


@pytest.mark.parametrize("scale", [1e-30, 1e-22, 1e18])
def test_l2_neither_underflows_nor_overflows(scale: float) -> None:
    delta = torch.tensor([[3.0, -4.0]]) * scale
    assert math.isclose(size(delta, "l2").item(), 5 * scale, rel_tol=1e-5)
    assert torch.allclose(steepest(delta, "l2"), torch.tensor([[0.6, -0.8]]))


@given(seed=st.integers(0, 99), eps=radii, norm=norms)
def test_projection(seed: int, eps: float, norm: Norm) -> None:
    delta = deltas(seed)
    inside = project(delta, eps, norm)
    before, after = size(delta, norm), size(inside, norm)
    assert (after <= eps + 1e-6).all()
    within = before <= eps
    assert torch.allclose(inside[within], delta[within], atol=1e-7)  # identity inside
    assert torch.allclose(after[~within], torch.tensor(eps).float(), atol=1e-5)  # surface outside
    assert torch.allclose(project(inside, eps, norm), inside, atol=1e-6)  # idempotent


@given(seed=st.integers(0, 99), eps=st.floats(0.01, 3), norm=norms)
def test_projection_is_the_nearest_point(seed: int, eps: float, norm: Norm) -> None:
    delta = deltas(seed).double()
    nearest = size(delta - project(delta, eps, norm), "l2")
    generator = torch.Generator().manual_seed(seed)
    for _ in range(20):
        other = random_in_ball(delta, eps, norm, generator)
        assert (size(delta - other, "l2") >= nearest - 1e-9).all()


@given(seed=st.integers(0, 99), norm=norms)
def test_steepest_is_steepest(seed: int, norm: Norm) -> None:
    gradient = deltas(seed).double()
    best = (steepest(gradient, norm) * gradient).flatten(1).sum(1)
    dual = size(gradient, "l1" if norm == "linf" else "l2")
    assert torch.allclose(best, dual)
    assert torch.allclose(size(steepest(gradient, norm), norm), torch.ones(5).double())


def test_steepest_of_no_gradient_is_no_direction() -> None:
    zero = torch.zeros(2, 3)
    for norm in ("linf", "l2"):
        assert torch.equal(steepest(zero, norm), zero)


@given(seed=st.integers(0, 99), eps=st.floats(0.01, 3), norm=norms)
def test_random_points_lie_inside(seed: int, eps: float, norm: Norm) -> None:
    generator = torch.Generator().manual_seed(seed)
    drawn = random_in_ball(torch.zeros(50, 1, 2, 2), eps, norm, generator)
    assert (size(drawn, norm) <= eps * (1 + 1e-6)).all()
    assert size(drawn, norm).max() > 0.5 * eps


def test_random_points_fill_the_l2_ball_evenly() -> None:
    drawn = random_in_ball(torch.zeros(20_000, 2), 1.0, "l2", torch.Generator().manual_seed(0))
    inner = (size(drawn, "l2") < 0.5).float().mean().item()
    assert abs(inner - 0.25) < 0.015  # in the plane half the radius holds a quarter of the disc


def test_random_in_ball_takes_image_streams() -> None:
    like = torch.zeros(3, 1, 4, 4)
    streams = ImageStreams.of([0, 1, 2], seed=0, purpose="test")
    assert (size(random_in_ball(like, 0.5, "l2", streams), "l2") <= 0.5).all()


@pytest.mark.parametrize("function", [project, random_in_ball])
def test_norm_without_a_rule(function: object) -> None:
    assert callable(function)
    arguments = [torch.zeros(1, 2), 1.0, "l7"] + ([None] if function is random_in_ball else [])
    with pytest.raises(UnsupportedNorm, match="norm must be one of linf, l2, l1.*; got 'l7'"):
        function(*arguments)
