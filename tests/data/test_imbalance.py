"""Which images of each class a profile keeps: counts by hand, and what every profile promises."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epsball.data.imbalance import choose_imbalanced, class_counts, imbalanced
from epsball.data.load import load_data
from epsball.data.profiles import profile_counts
from epsball.errors import InvalidInput

NAMES = ("cat", "dog", "ship", "a=b")
FULL = np.array([5000, 5000, 5000, 5000])


@pytest.mark.parametrize(
    ("imbalance", "counts"),
    [
        ("under:cat=1000", [1000, 5000, 5000, 5000]),
        ("under:1=1/5", [5000, 1000, 5000, 5000]),
        ("over:ship=1000", [1000, 1000, 5000, 1000]),
        ("over:ship=0.02", [100, 100, 5000, 100]),
        ("counts:cat=10, dog=0.1", [10, 500, 5000, 5000]),
        ("under:a=b=7", [5000, 5000, 5000, 7]),
        ("long-tail:8", [5000, 2500, 1250, 625]),
        ("long-tail:8:ship", [1250, 625, 5000, 2500]),
        ("long-tail:1", [5000, 5000, 5000, 5000]),
    ],
)
def test_counts_by_hand(imbalance: str, counts: list[int]) -> None:
    assert profile_counts(FULL, NAMES, imbalance).tolist() == counts


def test_a_long_tail_keeps_its_ratio_where_classes_differ_in_size() -> None:
    counts = profile_counts(np.array([800, 100, 1000, 1000]), NAMES, "long-tail:8")
    assert counts.tolist() == [200, 100, 50, 25]  # the second class can give no more than 100


@pytest.mark.parametrize(
    ("imbalance", "says"),
    [
        ("under:bird=10", "unknown class 'bird'"),
        ("under:cat", "is no profile: write under:CLASS=AMOUNT"),
        ("under:cat=1,dog=1", "is no profile"),
        ("shuffle:cat=1", "is no profile"),
        ("under:cat=1/20000", "leaves no image of class 'cat', of which there are 5000"),
        ("under:cat=0", "between 0 and 1, got 0"),
        ("under:cat=-5", "asks for|leaves no image"),
        ("under:cat=3/2", "between 0 and 1, got 3/2"),
        ("under:cat=many", "'many' is no number; write a count"),
        ("over:cat=6000", "asks for 6000 images of class 'dog', and there are 5000"),
        ("long-tail:0.5", "must be 1 or more, got 0.5"),
        ("long-tail:1/0", "is no number"),
        ("long-tail:100000", "leaves no image"),
        ("long-tail:8:bird", "unknown class 'bird'"),
    ],
)
def test_bad_profiles(imbalance: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        profile_counts(FULL, NAMES, imbalance)


@given(st.integers(1, 30), st.integers(0, 5), st.integers(0, 2**31))
def test_a_stronger_imbalance_keeps_part_of_a_weaker_one(few: int, more: int, seed: int) -> None:
    labels = np.random.default_rng(0).integers(0, 4, 400)
    stronger = choose_imbalanced(labels, NAMES, f"under:dog={few}", seed=seed)
    weaker = choose_imbalanced(labels, NAMES, f"under:dog={few + more}", seed=seed)
    assert set(stronger) <= set(weaker)
    assert class_counts(labels[stronger], 4)[1] == few
    assert (np.diff(stronger) > 0).all()


def test_the_seed_decides_which_images_and_nothing_else_does() -> None:
    labels = np.repeat(np.arange(4), 50)
    first, again, other = (
        choose_imbalanced(labels, NAMES, "under:cat=10", seed=seed) for seed in (1, 1, 2)
    )
    assert first.tolist() == again.tolist() != other.tolist()


def test_a_data_set_reads_the_images_that_were_kept() -> None:
    whole = load_data("digits", split="train")
    rare = imbalanced(whole, "over:7=3", seed=4)
    assert (
        class_counts(rare.labels, 10).tolist()
        == [3] * 7 + [int((whole.labels == 7).sum())] + [3] * 2
    )
    chosen = choose_imbalanced(whole.labels, whole.class_names, "over:7=3", seed=4)
    some = np.array([0, 5, len(rare) - 1])
    assert (rare.read(some) == whole.read(chosen[some])).all()
    assert (rare.labels[some] == whole.labels[chosen[some]]).all()
