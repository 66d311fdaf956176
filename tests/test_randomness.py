"""Random streams that belong to images."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from epsball.randomness import ImageStreams, normal, random_below, random_signs, uniform


def streams(indices: list[int], **names: object) -> ImageStreams:
    named = {"seed": 0, "purpose": "test"} | names
    return ImageStreams.of(indices, **named)  # type: ignore[arg-type]  # names are keyword values


@given(rows=st.lists(st.integers(0, 10**6), min_size=1, max_size=8, unique=True))
def test_an_image_draws_the_same_in_any_batch(rows: list[int]) -> None:
    together = streams(rows)
    first, second = together.uniform((3,)), together.uniform((3,))
    for i, row in enumerate(rows):
        alone = streams([row])
        assert torch.equal(alone.uniform((3,))[0], first[i])
        assert torch.equal(alone.uniform((3,))[0], second[i])


def test_rows_keep_their_place_in_the_stream() -> None:
    whole = streams([3, 4, 5])
    whole.uniform((2,))
    part = whole.rows(torch.tensor([2]))
    assert torch.equal(part.uniform((2,))[0], whole.uniform((2,))[2])


def test_streams_differ_by_everything_that_names_them() -> None:
    base = streams([1]).uniform((8,))
    others = [
        streams([2]).uniform((8,)),
        streams([1], seed=1).uniform((8,)),
        streams([1], purpose="other").uniform((8,)),
        streams([1], restart=1).uniform((8,)),
        streams([1]).restarted(0).uniform((8,)),
        streams([1]).restarted(1).uniform((8,)),
    ]
    seen = {tuple(drawn.flatten().tolist()) for drawn in [base, *others]}
    assert len(seen) == 7


def test_numbers_are_uniform_and_normal() -> None:
    drawn = streams(list(range(200))).uniform((500,)).flatten().double()
    assert drawn.min() >= 0
    assert drawn.max() < 1
    assert kstest(drawn.numpy(), "uniform").pvalue > 1e-3
    bell = normal(torch.zeros(200, 500), streams(list(range(200)))).flatten().double()
    assert kstest(bell.numpy(), "norm").pvalue > 1e-3
    # neighbouring images, neighbouring pixels
    table = streams(list(range(400))).uniform((400,)).double()
    for shifted in (table[1:] * table[:-1], table[:, 1:] * table[:, :-1]):
        assert abs(float(shifted.mean()) - 0.25) < 0.003


@pytest.mark.parametrize("generator", [None, torch.Generator().manual_seed(0), streams([0, 1])])
def test_draws_take_any_source(generator: object) -> None:
    like = torch.zeros(2, 1000, dtype=torch.float64)
    assert uniform(like, generator).dtype == torch.float64  # type: ignore[arg-type]  # one of three
    signs = random_signs(like, generator)  # type: ignore[arg-type]  # one of three
    assert set(signs.flatten().tolist()) == {-1.0, 1.0}
    assert abs(float(signs.mean())) < 0.1


def test_random_below_covers_its_range_and_no_more() -> None:
    limits = torch.full((3000,), 3)
    drawn = random_below(limits, streams(list(range(3000))))
    assert torch.bincount(drawn, minlength=3).min() > 900
    assert drawn.max() == 2
