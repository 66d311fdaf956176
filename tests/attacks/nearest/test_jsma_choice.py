"""Which entries JSMA chooses."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.attacks.sparsest import FIRST, GREY, Weighted

from epsball.attacks.nearest.jsma import _best_pair, jsma

PAPER: dict[str, Any] = {"saliency": "product", "pair": True, "both_ways": False, "pruned": False}


@pytest.mark.parametrize(
    ("knobs", "entries"),
    [
        ({}, {0: 0.0}),  # the lead of class 1 gains 5 * 0.5 by the first entry falling
        ({"both_ways": False}, {1: 1.0}),  # 3 * 0.5 by the second rising
        ({"both_ways": False, "theta": -1.0}, {0: 0.0}),
        ({"saliency": "product", "both_ways": False}, {2: 1.0}),  # 1.2 * 1.2 > 2.9 * 0.1
        ({"theta": 0.25}, {0: 0.25}),
    ],
)
def test_which_entry_is_chosen(knobs: dict[str, Any], entries: dict[int, float]) -> None:
    model = Weighted([[5.0, -0.1, -1.2, 0.0], [0.0, 2.9, 1.2, 0.0]], [1.2, 0.0])
    adversarial = jsma(model, GREY, FIRST, pruned=False, **knobs).flatten()
    expected = GREY.flatten().clone()
    for entry, value in entries.items():
        expected[entry] = value
    assert torch.equal(adversarial, expected)


def test_the_paper_changes_pairs() -> None:
    """No single entry raises class 1 and lowers class 0, but the first two together do both."""
    model = Weighted([[-3.0, 1.0, 0.5, 0.0], [-0.5, 2.0, 0.0, 0.0]], [3.0, 0.0])
    adversarial = jsma(model, GREY, FIRST, **PAPER).flatten()
    assert torch.equal(adversarial, torch.tensor([1.0, 1.0, 0.5, 0.5]))
    alone = jsma(model, GREY, FIRST, **(PAPER | {"pair": False}))
    assert torch.equal(alone, GREY)


@given(seed=st.integers(0, 1000), entries=st.integers(2, 60), power=st.sampled_from([1, 3]))
@settings(deadline=None, max_examples=40)
def test_the_best_pair_is_found(seed: int, entries: int, power: int) -> None:
    gain, relief = (
        torch.randn((2, 3, entries), generator=torch.Generator().manual_seed(seed)) ** power
    )
    chosen = _best_pair(gain, relief)
    for row in range(3):
        gains, reliefs = (s[row][:, None] + s[row] for s in (gain, relief))
        worth = gains.clamp_min(0) * reliefs.clamp_min(0)
        best = worth.fill_diagonal_(0).max()
        pair = chosen[row].nonzero()[:, 0]
        assert len(pair) == (2 if best > 0 else 0)
        if len(pair):
            assert worth[pair[0], pair[1]] >= 0.99 * best


def test_a_crowd_does_not_hide_the_best_pair() -> None:
    """Twenty entries of the largest sum of both slopes are worth nothing together."""
    gain = torch.tensor([[1.0] * 20 + [-1.0, 0.4, 0.4]])
    relief = torch.tensor([[0.0] * 20 + [1.0, 0.5, 0.5]])
    assert _best_pair(gain, relief)[0].nonzero()[:, 0].tolist() == [21, 22]
