"""Radii in the forms that people write, and balls that leave no room."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from epsball.errors import InvalidInput
from epsball.radii import check_eps, check_room, parse_eps, widest
from epsball.types import NORMS, Norm


@pytest.mark.parametrize("eps", [-0.1, math.nan, math.inf])
def test_bad_eps(eps: float) -> None:
    with pytest.raises(InvalidInput, match="pgd: eps must be a finite number >= 0"):
        check_eps("pgd", eps)


@given(st.integers(0, 4096), st.integers(1, 255))
def test_every_form_of_a_number_is_the_same_radius(above: int, below: int) -> None:
    value = above / below
    assert parse_eps(f"{above}/{below}") == value
    assert (
        parse_eps(np.float64(value)) == parse_eps(torch.tensor(value, dtype=torch.float64)) == value
    )
    assert parse_eps(np.array([value])) == parse_eps(repr(value)) == value
    assert parse_eps(np.float32(value)) == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("odd", ["a", "1/0", "", None, True, [0.1, 0.2], torch.ones(2), "nan"])
def test_what_is_no_radius_is_refused(odd: object) -> None:
    with pytest.raises(InvalidInput, match="eps must be a number >= 0 such as 0.1 or 8/255"):
        parse_eps(odd)


@given(st.sampled_from(NORMS), st.integers(1, 5000), st.integers(0, 10**6))
def test_the_farthest_image_marks_the_largest_ball(norm: Norm, entries: int, seed: int) -> None:
    from epsball.geometry import size

    corner = torch.ones(1, entries, dtype=torch.float64)
    assert float(size(corner, norm)[0]) == pytest.approx(widest(norm, entries))
    check_room("pgd", widest(norm, entries), norm, entries)
    beyond = widest(norm, entries) * 1.01 + seed
    with pytest.raises(InvalidInput, match="in all; write fewer" if norm == "l0" else "so write"):
        check_room("pgd", beyond, norm, entries)


def test_the_remedy_of_an_eps_in_levels_is_an_eps_that_is_taken() -> None:
    with pytest.raises(InvalidInput) as refused:
        check_room("pgd", 8, "linf", 48)
    written = str(refused.value).rpartition("so write ")[2]
    assert written == "8/255"
    check_room("pgd", parse_eps(written), "linf", 48)


def test_in_l0_an_eps_that_allows_no_entry_is_refused() -> None:
    with pytest.raises(InvalidInput, match="counts the entries that may change, so 1 or more"):
        check_room("sigma-zero", 0.5, "l0", 48)
    check_room("sigma-zero", 0, "l0", 48)
    check_room("sigma-zero", 10, "l0", 48)
