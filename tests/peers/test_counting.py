"""Rows are counted whichever way a library asks, and memory is seen."""

import copy

import pytest
import torch
from benchmarks.peers.counting import Counting
from benchmarks.peers.memory import at_peak
from torch import nn


def counting() -> Counting:
    return Counting(nn.Sequential(nn.Flatten(), nn.Linear(4, 3)).eval())


def test_forwards_and_backwards_are_rows() -> None:
    model = counting()
    point = torch.rand(5, 1, 2, 2, requires_grad=True)
    scores = model(point)
    for column in range(3):  # as DeepFool does: one backward pass a class
        torch.autograd.grad(scores[:, column].sum(), point, retain_graph=True)
    with torch.no_grad():
        model(point[:2])
    assert (model.tally.forwards, model.tally.backwards) == (7, 15)


def test_a_copy_counts_into_the_same_tally() -> None:
    model = counting()
    copied = copy.deepcopy(model)
    copied(torch.rand(2, 1, 2, 2))
    assert model.tally.forwards == 2
    assert copied.model is not model.model


def test_the_mode_is_that_of_the_model() -> None:
    assert not counting().training


@pytest.mark.slow
def test_memory_of_the_work_is_seen_and_earlier_memory_is_not() -> None:
    mebibyte = 2**20
    small_ones = [torch.ones(mebibyte // 64) for _ in range(1024)]  # too small to be mapped
    del small_ones
    _, small = at_peak(lambda: torch.ones(1))
    kept, peak = at_peak(lambda: sum(map(len, [torch.ones(mebibyte // 64) for _ in range(768)])))
    assert kept == 48 * mebibyte // 4
    assert small < 24 * mebibyte
    assert 40 * mebibyte < peak < 80 * mebibyte
