"""Verdicts of study adversarial-training on rows that are made up, so that they are known."""

import polars as pl
import pytest

from epsball.studies.adversarial_training.claims import judge
from epsball.studies.claims.study_rows import StudyRows
from epsball.studies.claims.table import Verdict, load_claims
from epsball.studies.core.data_summary import DataSummary

MNIST = DataSummary("mnist", "abc", 60_000, 10_000, (1, 28, 28), 10)
EPS = 0.3
Accuracies = dict[tuple[str, str], float]
# what the field knows: one step leaks and falls, several hold
KNOWN: Accuracies = {
    ("none", "none"): 0.99,
    ("none", "fgsm"): 0.1,
    ("none", "pgd"): 0.0,
    ("dropout", "none"): 0.991,
    ("dropout", "fgsm"): 0.12,
    ("offline", "none"): 0.990,
    ("offline", "fgsm"): 0.5,
    ("fgsm-mix", "none"): 0.991,
    ("fgsm-mix", "fgsm"): 0.995,
    ("fgsm-mix", "pgd"): 0.05,
    ("fgsm-mix", "transfer:fgsm"): 0.7,
    ("fgsm-mix", "strongest"): 0.01,
    ("fgsm-mix-narrow", "fgsm"): 0.6,
    ("fgsm-mix-wide", "fgsm"): 0.997,
    ("iterative-mix", "pgd"): 0.9,
    ("ensemble", "transfer:fgsm"): 0.9,
}
SMALL = {("slopes", EPS): 0.95, ("levels", 0.45 / 255): 0.0, ("levels", 0.9 / 255): 1.0}


def verdicts(
    changes: Accuracies | None = None,
    data: DataSummary = MNIST,
    trained: int | None = None,
    later: Accuracies | None = None,  # added in the second repetition
) -> dict[str, Verdict]:
    table = KNOWN | (changes or {})
    more = later or {}
    measured = [(r, a, 0.0 if a == "none" else EPS, v) for (r, a), v in table.items()]
    measured += [("none", attack, eps, value) for (attack, eps), value in SMALL.items()]
    rows = [
        {
            "kind": "judge",
            "mode": "whole",
            "row": row,
            "attack": attack,
            "eps": eps,
            "n": 10_000,
            "repeat": repeat,
            "accuracy": value + repeat * more.get((row, attack), 0.0),
        }
        for row, attack, eps, value in measured
        for repeat in (0, 1)
    ]
    judged = judge(StudyRows(pl.DataFrame(rows)), EPS, data, trained)
    return {v.id.removeprefix("adversarial-training."): v for v in judged}


def test_what_the_field_knows() -> None:
    judged = verdicts()
    assert len(judged) == len(load_claims("adversarial-training")) == 12
    words = {name: v.verdict for name, v in judged.items()}
    assert words == {
        "offline-like-dropout": "holds",
        "fgsm-regulariser": "holds",
        "capacity": "holds",
        "label-leak": "holds",
        "one-step-fails": "holds",
        "iterative-helps": "holds",
        "black-box-hole": "holds",
        "ensemble": "holds",
        "eight-bit": "refuted",
        "linear": "holds",
        "goodfellow-before": "undecided",
        "goodfellow-after": "undecided",
    }


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({("offline", "none"): 0.98}, "offline-like-dropout"),
        ({("fgsm-mix", "fgsm"): 0.05}, "fgsm-regulariser"),
        ({("fgsm-mix-wide", "fgsm"): 0.9}, "capacity"),
        ({("fgsm-mix-narrow", "fgsm"): 0.999}, "capacity"),
        ({("fgsm-mix", "pgd"): 0.6}, "one-step-fails"),
        ({("iterative-mix", "pgd"): 0.04}, "iterative-helps"),
        ({("fgsm-mix", "transfer:fgsm"): 0.999}, "black-box-hole"),
        ({("ensemble", "transfer:fgsm"): 0.6}, "ensemble"),
    ],
)
def test_each_finding_can_be_refuted(change: Accuracies, name: str) -> None:
    assert verdicts(change)[name].verdict == "refuted"


def test_one_network_that_leaks_bears_can_out_and_a_few_that_do_not_leave_it_open() -> None:
    none = {("fgsm-mix", "fgsm"): 0.99}
    assert verdicts(none)["label-leak"].verdict == "undecided"
    assert any("too few to refute" in one for one in verdicts(none)["label-leak"].differs)
    long: Accuracies = {("fgsm-only-long", "fgsm"): 0.97, ("fgsm-only-long", "none"): 0.95}
    judged = verdicts(none | long)["label-leak"]
    assert judged.verdict == "holds"
    assert judged.value == pytest.approx(0.02)
    # above on average, but not beyond what the seeds differ by
    spread: Accuracies = {("fgsm-only-long", "none"): 0.03}
    judged = verdicts({("fgsm-mix", "fgsm"): 0.5} | long, later=spread)["label-leak"]
    assert judged.value == pytest.approx(0.005)
    assert judged.verdict == "undecided"


def test_the_errors_of_another_network_stand_beside_goodfellows_and_decide_nothing() -> None:
    judged = verdicts()["goodfellow-before"]
    assert judged.value == pytest.approx(0.01)
    assert judged.interval == pytest.approx((0.01, 0.01))
    assert "maxout" in judged.differs[0]


def test_digits_refute_nothing() -> None:
    digits = DataSummary("digits", "abc", 1438, 359, (1, 28, 28), 10)
    judged = verdicts({("ensemble", "transfer:fgsm"): 0.6}, digits)
    assert judged["ensemble"].verdict == "undecided"
    assert judged["linear"].verdict == "holds"
    assert not any(v.same_setting for v in judged.values())


def test_networks_that_saw_a_part_of_the_images_refute_nothing() -> None:
    refuting: Accuracies = {("ensemble", "transfer:fgsm"): 0.6}
    judged = verdicts(refuting, trained=4_000)
    assert judged["ensemble"].verdict == "undecided"
    assert any("trained on 4,000 of" in one for one in judged["ensemble"].differs)
    assert judged["iterative-helps"].verdict == "holds"
    assert judged["eight-bit"].verdict == "refuted"  # arithmetic of pixels, not of networks
    assert verdicts(refuting, trained=60_000)["ensemble"].verdict == "refuted"


def test_what_was_not_run_is_said() -> None:
    rows = [
        {
            "kind": "judge",
            "mode": "whole",
            "row": "none",
            "attack": "none",
            "eps": 0.0,
            "n": 10,
            "repeat": 0,
            "accuracy": 0.9,
        }
    ]
    judged = judge(StudyRows(pl.DataFrame(rows)), EPS, MNIST)
    # Goodfellow's network is another one, so its number stays undecided
    assert {v.verdict for v in judged} == {"undecided", "not run"}
