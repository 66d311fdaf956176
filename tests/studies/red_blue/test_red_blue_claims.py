"""Verdicts of study red-blue on rows that are made up, so that they are known."""

from collections.abc import Callable

import polars as pl
import pytest

from epsball.studies.claims.study_rows import StudyRows
from epsball.studies.claims.table import Verdict
from epsball.studies.core.cell import Plain
from epsball.studies.core.data_summary import DataSummary
from epsball.studies.core.options import Options
from epsball.studies.red_blue.claims import judge

MNIST = DataSummary("mnist", "abc", 60_000, 10_000, (1, 28, 28), 10)
BASE: dict[str, Plain] = {"arm": "clean", "hidden": 625}
PENALTIES = (0.0, 1e-5, 1e-4)
Accuracy = Callable[[float, float, str, float], float]  # l1, l2, attack, eps


def like_the_source(l1: float, l2: float, attack: str, eps: float) -> float:
    """Order the settings as the source has them; fall with eps and the attack's strength."""
    strength = {"none": 0.0, "fgsm": 4.0, "pgd": 5.0, "strongest": 5.5}[attack]
    small = -0.01 if l1 == 1e-4 else 0.01
    gain = {0.0: 0.0, 1e-5: 0.1, 1e-4: 0.25}[l1] + {0.0: 0.0, 1e-5: small, 1e-4: 0.02}[l2]
    return max(0.0, 0.97 - strength * eps * (1 - gain))


def verdicts(
    accuracy: Accuracy, *, options: Options | None = None, data: DataSummary = MNIST
) -> dict[str, Verdict]:
    rows = [
        {
            **BASE,
            "l1": l1,
            "l2": l2,
            "repeat": repeat,
            "kind": "judge",
            "mode": "whole",
            "n": 10_000,
            "attack": attack,
            "eps": eps,
            "accuracy": value,
            "confidence": 0.9 - eps - l1 * 1000,
        }
        for l1 in PENALTIES
        for l2 in PENALTIES
        for repeat in (0, 1, 2)
        for attack in ("none", "fgsm", "pgd", "strongest")
        for eps in ((0.0,) if attack == "none" else (0.05, 0.075, 0.1, 0.25))
        for value in [accuracy(l1, l2, attack, eps) + 0.001 * repeat]
    ]
    judged = judge(StudyRows(pl.DataFrame(rows)), BASE, options or Options(), data)
    return {v.id.removeprefix("red-blue."): v for v in judged}


def test_findings_that_hold() -> None:
    judged = verdicts(like_the_source)
    stored = ("every-penalty-helps", "l1-over-l2", "two-best", "best-pair", "small-eps")
    assert {judged[name].verdict for name in stored} == {"holds"}
    assert judged["small-eps-confidence"].verdict == "refuted"  # penalties lower it here
    assert judged["visible"].verdict == "not run"


@pytest.mark.parametrize(
    ("worse", "refuted"),
    [
        ((1e-5, 1e-5), {"every-penalty-helps"}),
        ((1e-4, 1e-5), {"every-penalty-helps", "l1-over-l2"}),
        ((1e-4, 1e-4), {"every-penalty-helps", "l1-over-l2", "two-best", "best-pair"}),
    ],
)
def test_one_setting_out_of_line_refutes(worse: tuple[float, float], refuted: set[str]) -> None:
    def accuracy(l1: float, l2: float, attack: str, eps: float) -> float:
        low = (l1, l2) == worse and (attack, eps) == ("fgsm", 0.1)
        return 0.01 if low else like_the_source(l1, l2, attack, eps)

    judged = verdicts(accuracy)
    names = ("every-penalty-helps", "l1-over-l2", "two-best", "best-pair", "small-eps")
    assert {name for name in names if judged[name].verdict == "refuted"} == refuted


def test_the_difference_that_decides_is_told_with_its_setting() -> None:
    judged = verdicts(like_the_source)["every-penalty-helps"]
    # the smallest gain of all: l2 1e-5 alone, 0.4 * 0.01
    assert judged.value == pytest.approx(0.004)
    assert judged.seeds == 3
    assert "8 of 8 comparisons hold" in judged.note
    assert "l2 1e-5 against no penalty" in judged.note


def test_the_red_team_is_judged_by_the_strongest_attack() -> None:
    judged = verdicts(like_the_source)["red-fails"]
    assert judged.verdict == "refuted"
    assert "under strongest (l1 1e-4, l2 1e-4)" in judged.note
    assert judged.value == pytest.approx(like_the_source(1e-4, 1e-4, "strongest", 0.1) + 0.001)
    few = verdicts(
        lambda l1, l2, a, eps: 0.0 if a == "strongest" else like_the_source(l1, l2, a, eps)
    )
    assert few["red-fails"].value == pytest.approx(0.001)
    kept = verdicts(lambda *_: 0.97)["red-fails"]
    assert kept.verdict == "holds"


def test_numbers_are_looked_up_where_they_were_measured() -> None:
    at = 0.6229  # of the source: l1 = l2 = 1e-4, eps 0.10

    def accuracy(l1: float, l2: float, attack: str, eps: float) -> float:
        hit = (l1, l2, attack, eps) == (1e-4, 1e-4, "fgsm", 0.1)
        return at - 0.001 if hit else 0.1

    judged = verdicts(accuracy)
    assert judged["l1_0.0001.l2_0.0001.accuracy.eps0.10"].verdict == "match"
    assert judged["l1_0.0001.l2_0.0001.accuracy.eps0.25"].verdict == "differs"
    assert judged["l1_0.0001.l2_1e-05.accuracy.eps0.10"].verdict == "differs"


def test_another_data_set_refutes_nothing() -> None:
    digits = DataSummary("digits", "abc", 1438, 359, (1, 28, 28), 10)
    judged = verdicts(like_the_source, data=digits)
    assert {v.verdict for v in judged.values()} == {"holds", "undecided", "not run"}
    assert not any(v.same_setting for v in judged.values())
    few = verdicts(like_the_source, options=Options(limit=500))
    assert few["none.accuracy.clean"].differs == ("on 500 of 10,000 test images",)
