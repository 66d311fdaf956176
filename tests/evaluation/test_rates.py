"""Rates from records that are written out by hand."""

import polars as pl
import pytest

from epsball.evaluation.metrics.grouping import robust_images
from epsball.evaluation.metrics.rates import worst_case

# image, eps, prediction when clean, safe: all have label 0, and two attacks each
ROWS = [
    (0, 0.1, 0, True),
    (0, 0.2, 0, True),
    (1, 0.1, 3, True),  # wrong when clean: an attack that turns it right does not make it robust
    (1, 0.2, 3, True),
    (2, 0.1, 0, False),  # fooled in the smaller ball, so in the larger one too
    (2, 0.2, 0, True),
    (3, 0.1, 0, True),
    (3, 0.2, 0, False),
]
RECORDS = pl.DataFrame(
    {
        "index": [row[0] for row in ROWS],
        "eps": [row[1] for row in ROWS],
        "label": [0] * len(ROWS),
        "clean_prediction": [row[2] for row in ROWS],
        "safe": [row[3] for row in ROWS],
        "norm": ["linf"] * len(ROWS),
        "variant": ["pgd"] * len(ROWS),
    }
)


def test_a_robust_image_is_right_when_clean_and_safe_in_every_record() -> None:
    robust = robust_images(RECORDS).sort("index")["robust"].to_list()
    assert robust == [True, False, False, False]


def test_the_worst_case_counts_smaller_balls() -> None:
    small, large = worst_case(RECORDS)
    assert (small["n"], large["n"]) == (4, 4)
    assert small["robust_accuracy"] == pytest.approx(2 / 4)
    assert large["robust_accuracy"] == pytest.approx(1 / 4)
