"""Distances: symmetric, exact enough, and cut into blocks without a seam."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from epsball.defences.svm import kernels
from epsball.defences.svm.kernels import rbf, squared_distances
from epsball.defences.svm.rows import stratified_folds


@given(
    seed=st.integers(0, 10**6),
    rows=st.integers(1, 40),
    wide=st.integers(1, 20),
    block=st.integers(1, 50),
)
@settings(deadline=None, max_examples=40)
def test_distances_are_those_of_the_definition(seed: int, rows: int, wide: int, block: int) -> None:
    points = torch.randn((rows, wide), generator=torch.Generator().manual_seed(seed))
    wanted = (points[:, None].double() - points[None].double()).square().sum(-1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "_BLOCK", block)
        result = squared_distances(points)
    assert torch.equal(result, result.T)
    assert bool((result.diagonal() == 0).all())
    assert bool((result >= 0).all())
    assert torch.allclose(result, wanted, atol=1e-5 * float(1 + wanted.max()))


def test_equal_rows_are_at_no_distance_worth_the_name() -> None:
    points = torch.randn((1, 100), generator=torch.Generator().manual_seed(0)).repeat(30, 1)
    assert float(rbf(squared_distances(points), 0.01).min()) > 1 - 1e-6


@given(
    counts=st.lists(st.integers(5, 30), min_size=2, max_size=6),
    folds=st.integers(2, 5),
)
@settings(deadline=None, max_examples=40)
def test_folds_hold_their_share_of_every_class(counts: list[int], folds: int) -> None:
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts)).numpy()
    dealt = stratified_folds(labels, folds, "test")
    sizes = [int((dealt == fold).sum()) for fold in range(folds)]
    assert max(sizes) - min(sizes) <= 1
    for one, count in enumerate(counts):
        for fold in range(folds):
            assert int(((labels == one) & (dealt == fold)).sum()) in {
                count // folds,
                -(-count // folds),
            }
