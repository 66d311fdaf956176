import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from epsball.data import choose, stratified_order
from epsball.data.sampling import How
from epsball.errors import InvalidInput

Labels = NDArray[np.int64]
labels_of_some_classes = arrays(
    np.int64, st.integers(1, 120), elements=st.sampled_from([0, 1, 2, 5, 6, 9, 40])
)
seeds = st.integers(0, 2**32)


@given(labels_of_some_classes, seeds)
def test_every_prefix_holds_each_class_in_proportion(labels: Labels, seed: int) -> None:
    order = stratified_order(labels, seed)
    assert sorted(order) == list(range(len(labels)))
    for name in np.unique(labels):
        size = int((labels == name).sum())
        seen = np.cumsum(labels[order] == name)
        # |seen - size * m / n| < 1, in whole numbers
        assert (abs(seen * len(labels) - size * np.arange(1, len(labels) + 1)) < len(labels)).all()


def test_one_large_and_many_small_classes_stay_in_proportion() -> None:
    labels = np.concatenate([np.zeros(1000, np.int64), np.arange(1, 101)])
    large = np.cumsum(labels[stratified_order(labels, 3)] == 0)
    assert abs(large - np.arange(1, 1101) / 1.1).max() < 1


def test_order_depends_on_the_seed_only() -> None:
    labels = np.repeat(np.arange(5), 20)
    assert (stratified_order(labels, 1) == stratified_order(labels, 1)).all()
    assert (stratified_order(labels, 1) != stratified_order(labels, 2)).any()


@given(labels_of_some_classes, st.integers(1, 130), seeds)
def test_stratified_sample_is_by_largest_remainder(labels: Labels, limit: int, seed: int) -> None:
    rows = choose(labels, limit, how="stratified", seed=seed)
    assert len(rows) == min(limit, len(labels))
    assert (np.diff(rows) > 0).all()
    names, sizes = np.unique(labels, return_counts=True)
    counts = np.array([(labels[rows] == name).sum() for name in names])
    whole, rest = np.divmod(sizes * len(rows), len(labels))
    extra = counts - whole
    assert set(extra) <= {0, 1}
    assert max(rest[extra == 0], default=0) <= min(rest[extra == 1], default=len(labels))


@given(labels_of_some_classes, st.integers(1, 60), st.integers(1, 60), seeds)
def test_a_larger_sample_keeps_what_a_smaller_one_took(
    labels: Labels, limit: int, more: int, seed: int
) -> None:
    few = choose(labels, limit, how="stratified", seed=seed)
    many = choose(labels, limit + more, how="stratified", seed=seed)
    for name in np.unique(labels):
        small, large = (set(rows[labels[rows] == name]) for rows in (few, many))
        assert small <= large or large <= small


def test_stratified_draw_depends_on_the_seed_only() -> None:
    labels = np.repeat(np.arange(3), 30)
    drawn = [choose(labels, 30, how="stratified", seed=seed) for seed in (7, 7, 8)]
    assert (drawn[0] == drawn[1]).all()
    assert (drawn[0] != drawn[2]).any()
    assert (drawn[0] != choose(labels, 30, how="first")).any()


def test_one_image_a_class_gives_random_classes() -> None:
    firsts = {tuple(choose(np.arange(100), 3, seed=seed)) for seed in range(10)}
    assert len(firsts) > 1


@pytest.mark.parametrize(
    ("labels", "taken"),
    [
        ([0, 0, 0, 1, 1, 1], [1, 1]),  # sorted by class: stratified
        ([0, 1, 0, 1, 0, 1], [1, 1]),  # mixed: the first two
        ([0, 0, 1, 1, 0, 0], [2, 0]),  # mixed: the first two
        ([0, 0, 0, 0, 0, 0], [2, 0]),  # one class
    ],
)
def test_auto_is_stratified_only_where_labels_come_sorted(
    labels: list[int], taken: list[int]
) -> None:
    array = np.array(labels)
    rows = choose(array, 2)
    assert np.bincount(array[rows], minlength=2).tolist() == taken


def test_auto_takes_the_first_of_a_single_class() -> None:
    assert choose(np.zeros(50, np.int64), 3).tolist() == [0, 1, 2]


@pytest.mark.parametrize("how", ["auto", "first", "stratified"])
@pytest.mark.parametrize("limit", [None, 6, 7])
def test_all_are_taken_in_order(how: How, limit: int | None) -> None:
    rows = choose(np.array([0, 0, 0, 1, 1, 1]), limit, how=how)
    assert rows.dtype == np.int64
    assert rows.tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("limit", [0, -3])
def test_limit_below_one_is_refused(limit: int) -> None:
    with pytest.raises(InvalidInput, match=f"limit must be 1 or more, got {limit}"):
        choose(np.array([0, 1]), limit)


def test_unknown_way_is_refused() -> None:
    with pytest.raises(InvalidInput, match="auto, first or stratified, got 'last'"):
        choose(np.array([0, 1]), 1, how="last")  # type: ignore[arg-type]  # the fault under test
