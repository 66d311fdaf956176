"""Networks compared image by image: counts by hand, intervals as scipy has them."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, ttest_1samp

from epsball.studies.class_imbalance.coding import (
    read_mask,
    read_values,
    write_mask,
    write_values,
)
from epsball.studies.class_imbalance.page import summarise
from epsball.studies.class_imbalance.paired import Probes, effect_of, pair_of
from epsball.studies.core.data_summary import DataSummary
from epsball.studies.core.options import Options

NAMES = ("ant", "bee", "cat", "dog")


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_masks_survive_being_written(bits: list[bool]) -> None:
    mask = np.array(bits, dtype=np.bool_)
    assert read_mask(write_mask(mask), len(bits)).tolist() == bits


def test_distances_survive_to_three_digits() -> None:
    values = np.array([0.0, 0.0123456, 0.5, np.inf])
    assert read_values(write_values(values)) == pytest.approx(values, rel=1e-3)


def record(right: list[int], safe: list[int], **more: Any) -> dict[str, Any]:
    masks = {
        name: write_mask(np.array(bits, dtype=np.bool_))
        for name, bits in (("right_mask", right), ("safe_mask", safe))
    }
    return {"n": len(right), **masks, **more}


def test_only_images_that_both_get_right_count() -> None:
    rare = record([1, 1, 1, 1, 0, 0], [1, 0, 0, 0, 0, 0])
    reference = record([1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 1, 1])
    pair = pair_of(rare, reference)
    assert pair is not None
    assert (pair.images, pair.kept, pair.kept_reference) == (4, 1, 3)
    assert pair.difference == -0.5
    assert pair.p_value == pytest.approx(binomtest(0, 2, 0.5).pvalue)


def test_no_image_right_in_both_is_no_pair() -> None:
    assert pair_of(record([1, 0], [0, 0]), record([0, 1], [0, 0])) is None


def test_the_interval_over_classes_is_students() -> None:
    each = {"ant": -0.3, "bee": -0.1, "cat": 0.05}
    effect = effect_of(each, clear=1)
    assert effect is not None
    expected = ttest_1samp(list(each.values()), 0).confidence_interval()
    assert (effect.low, effect.high) == pytest.approx((expected.low, expected.high))
    assert effect.mean == pytest.approx(np.mean(list(each.values())))
    assert effect_of({}, 0) is None


def probed(kind: str, label: str, right: list[int], safe: list[int], **more: Any) -> dict[str, Any]:
    usual = {
        "mode": "probed", "remedy": "none", "set": kind, "dose": 1 if kind == "balanced" else 5,
        "role": "reference" if kind in ("balanced", "long-tail") else "target", "attack": "pgd",
        "scale": "own", "label": label, "class": None, "repeat": 0,
    }  # fmt: skip
    result = record(right, safe, **usual)
    accuracy = sum(safe) / len(safe)
    return {**result, "accuracy": accuracy, "named": "0 0 0 0", "distances": None, **more}


def test_survival_is_paired_by_class_and_seed_and_kind_of_training() -> None:
    rows = [
        probed("balanced", "ant", [1, 1, 1, 1], [1, 1, 1, 1]),
        probed("balanced", "bee", [1, 1, 1, 1], [1, 1, 0, 0]),
        probed("balanced", "ant", [1, 1, 1, 1], [0, 0, 0, 0], remedy="adversarial"),
        probed("under", "ant", [1, 1, 1, 1], [1, 0, 0, 0]),
        probed("under", "bee", [1, 1, 1, 1], [1, 0, 0, 0]),
        probed("under", "bee", [1, 1, 1, 1], [1, 1, 1, 1], repeat=1),  # has no reference
    ]
    effect = Probes(pl.DataFrame(rows)).survival("none", 5, "target", "pgd")
    assert effect is not None
    assert effect.each == {"ant": -0.75, "bee": -0.25}
    assert Probes(pl.DataFrame(rows)).survival("none", 5, "control", "pgd") is None


def test_the_median_distance_is_that_of_images_right_in_both() -> None:
    far, near = np.array([0.4, 0.4, 0.0, 0.4]), np.array([0.2, 0.2, 0.2, 0.0])
    rows = [
        probed("balanced", "ant", [1] * 4, [0] * 4, attack="fmn", distances=write_values(far)),
        probed("under", "ant", [1] * 4, [0] * 4, attack="fmn", distances=write_values(near)),
    ]
    effect = Probes(pl.DataFrame(rows)).distance("none", 5, "target")
    assert effect is not None
    assert effect.mean == pytest.approx(-0.5, abs=1e-3)


def test_head_and_tail_turn_with_the_class_that_is_first() -> None:
    safe = {"ant": 4, "bee": 3, "cat": 2, "dog": 0}
    rows = [
        probed(
            "long-tail",
            label,
            [1] * 4,
            [1] * safe[label] + [0] * (4 - safe[label]),
            **{"class": first},
        )
        for first in ("ant",)
        for label in NAMES
    ]
    ends = Probes(pl.DataFrame(rows)).ends("none", "pgd", NAMES)
    assert ends == {"head": (1 + 0.75) / 2, "tail": (0.5 + 0) / 2}
    turned = pl.DataFrame([{**row, "class": "cat"} for row in rows])
    assert Probes(turned).ends("none", "pgd", NAMES) == {"head": 0.25, "tail": 0.875}


def test_an_end_without_an_image_that_is_right_says_so() -> None:
    right = {"ant": 4, "bee": 4, "cat": 0, "dog": 0}
    rows = [
        probed("long-tail", label, [int(right[label] > 0)] * 4, [0] * 4, **{"class": "ant"})
        for label in NAMES
    ]
    assert Probes(pl.DataFrame(rows)).ends("none", "pgd", NAMES) == {"head": 0.0, "tail": None}


def test_wrong_answers_that_name_frequent_classes() -> None:
    tail = [
        probed("long-tail", "dog", [1], [0], named="6 2 1 1", **{"class": "ant"}),
        probed("balanced", "dog", [1], [0], named="3 3 3 1"),
    ]
    flow = Probes(pl.DataFrame(tail)).to_frequent("none", "pgd", NAMES)
    assert flow == pytest.approx((8 / 9, 6 / 9))


def test_a_page_of_long_tails_alone_answers_with_both_ends() -> None:
    data = DataSummary("mnist", "", 60, 40, (1, 28, 28), 4, NAMES)
    rows = [
        probed("long-tail", label, [1, 1, 1, 1], safe, **{"class": "ant"})
        for label, safe in zip(
            NAMES, ([1, 1, 1, 1], [1, 1, 1, 0], [1, 0, 0, 0], [0] * 4), strict=True
        )
    ]
    answer = summarise(pl.DataFrame(rows), Options(), data).answer
    assert "Ordinarily trained on a long tail" in answer
    assert "keep 87.5 %" in answer
    assert "12.5 % in the two rarest" in answer
    assert "Too few networks" not in answer


def test_the_answer_takes_the_largest_dose_that_leaves_half_of_the_classes() -> None:
    def rows(dose: int, survivals: dict[str, list[int]]) -> list[dict[str, Any]]:
        own = [
            probed("under", n, [1] * 4, s, **{"class": n, "dose": dose})
            for n, s in survivals.items()
        ]
        return own + [probed("balanced", n, [1] * 4, [1] * 4) for n in survivals]

    some, none = [1, 1, 0, 0], [0, 0, 0, 0]
    frame = pl.DataFrame([*rows(2, dict.fromkeys(NAMES, some)), *rows(5, {"ant": none})]).unique(
        maintain_order=True
    )
    data = DataSummary("mnist", "", 60, 40, (1, 28, 28), 4, NAMES)
    answer = summarise(frame, Options(), data).answer
    assert "2 times rarer" in answer
    assert "-50.0 percentage points" in answer
    two = pl.DataFrame([*rows(2, {"ant": none, "bee": some})])
    assert "interval -100.0 to +100.0" in summarise(two, Options(), data).answer
