"""What the squares of Square look like."""

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.attacks.asked import seeded, streams
from torch import Tensor

from epsball.attacks.black_box.square_moves import (
    first_stripes,
    first_tiles,
    next_paint,
    next_tiles,
)
from epsball.geometry import size
from epsball.randomness import ImageStreams

shapes = st.tuples(st.integers(1, 3), st.integers(1, 12), st.integers(1, 12))


def _images(shape: tuple[int, int, int], seed: int) -> Tensor:
    return torch.rand((3, *shape), generator=seeded(seed))


@settings(max_examples=40, deadline=None)
@given(shape=shapes, seed=st.integers(0, 999), share=st.floats(0.001, 0.8))
def test_paint_is_one_square_of_one_colour_a_channel(
    shape: tuple[int, int, int], seed: int, share: float
) -> None:
    clean, eps, randomness = _images(shape, seed), 0.1, streams(3)
    point = first_stripes(clean, eps, randomness)
    assert torch.equal((point - clean).sign(), (point - clean).sign()[:, :, :1].expand(clean.shape))
    result = next_paint(clean, point, eps, share, randomness)
    assert (result - clean).abs().max() <= eps + 1e-6
    _, height, width = shape
    side = min(max(1, round(math.sqrt(share * height * width))), height, width)
    for row in range(3):
        changed = result[row] != point[row]
        assert changed.any()
        _, down, across = changed.nonzero().unbind(1)
        assert down.max() - down.min() < side
        assert across.max() - across.min() < side


@settings(max_examples=40, deadline=None)
@given(shape=shapes, seed=st.integers(0, 999), share=st.floats(0.001, 0.8))
def test_tiles_use_the_whole_length(shape: tuple[int, int, int], seed: int, share: float) -> None:
    clean, eps, randomness = 0.4 + 0.2 * _images(shape, seed), 0.3, streams(3)
    point = first_tiles(clean, eps, randomness)
    result = next_tiles(clean, point, eps, share, randomness)
    for points in (point, result):
        assert points.isfinite().all()
        assert torch.allclose(size(points - clean, "l2"), torch.full((3,), eps), atol=1e-5)
    corner = _images(shape, seed).round()
    result = next_tiles(corner, first_tiles(corner, eps, randomness), eps, share, randomness)
    assert (size(result - corner, "l2") <= eps + 1e-5).all()


def test_squares_come_everywhere() -> None:
    """Every pixel is reached, the borders as well, by every image in its own order."""
    clean = torch.full((2, 1, 6, 9), 0.5)
    touched = torch.zeros_like(clean)
    randomness: ImageStreams = streams(2)
    for _ in range(600):
        touched += next_paint(clean, clean, 0.1, 0.001, randomness) != clean
    assert (touched.sum((1, 2, 3)) == 600).all()  # one pixel at a time
    assert touched.min() > 0
    inner = touched[:, :, 1:-1, 1:-1]
    assert inner.min() > 600 / 40 / 4
    assert not torch.equal(touched[0], touched[1])


def test_bumps_have_a_middle() -> None:
    clean = torch.full((9, 1, 12, 12), 0.5)
    delta = next_tiles(clean, clean, 0.1, 0.11, streams(9)) - clean  # as large as 4 x 4, so 5 x 5
    for row in delta.abs() > 1e-6:
        _, down, across = row.nonzero().unbind(1)
        assert down.max() - down.min() == 4
        assert across.max() - across.min() == 4


def test_bumps_lean_both_ways() -> None:
    """One half of a bump goes up and the other down; some lie, some stand."""
    clean = torch.full((40, 1, 5, 5), 0.5)
    delta = next_tiles(clean, clean, 0.1, 1.0, streams(40)) - clean
    upright = (delta[:, 0, :2].sum((1, 2)) - delta[:, 0, 3:].sum((1, 2))).abs() > 0.05
    assert 5 < int(upright.sum()) < 35
    assert delta.sum((1, 2, 3)).abs().max() < 0.1
    assert (delta[:, 0, 0, 0] > 0).any()
    assert (delta[:, 0, 0, 0] < 0).any()
