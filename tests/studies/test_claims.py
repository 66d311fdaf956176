"""Verdicts: when a number is the source's, when a finding holds, and that none is left out."""

import tomllib
from importlib.resources import files

import pytest

from epsball.errors import BrokenContract
from epsball.studies.claims.estimates import Estimate
from epsball.studies.claims.table import (
    Claim,
    complete,
    is_near,
    judge_finding,
    judge_value,
    load_claims,
    not_run,
)

NUMBER = Claim("a", "s", "value", "accuracy", value=0.5, unit="fraction")
ORDER = Claim("b", "s", "ordering", "one above the other")


def found(value: float, half: float = 0.0, seeds: int = 3) -> Estimate:
    return Estimate(value, value - half, value + half, seeds, "seeds" if seeds > 1 else "images")


@pytest.mark.parametrize(
    ("value", "half", "near"),
    [
        (0.5199, 0.0, True),  # within 0.02
        (0.5201, 0.0, False),
        (0.4801, 0.0, True),
        (0.55, 0.051, True),  # in the interval
        (0.55, 0.049, False),
    ],
)
def test_a_share_is_near_inside_the_interval_or_within_two_points(
    value: float, half: float, near: bool
) -> None:
    assert is_near(NUMBER, found(value, half)) is near


def test_a_loss_may_be_a_tenth_off_and_a_count_not_at_all() -> None:
    loss = Claim("l", "s", "value", "loss", value=2.0, unit="nats")
    assert is_near(loss, found(2.19))
    assert not is_near(loss, found(2.21))
    count = Claim("c", "s", "value", "images", value=5000, unit="count")
    assert is_near(count, found(5000))
    assert not is_near(count, found(5001, half=10))


def test_verdicts_on_numbers() -> None:
    good, bad = judge_value(NUMBER, found(0.51)), judge_value(NUMBER, found(0.6))
    assert (good.verdict, bad.verdict) == ("match", "differs")
    assert good.same_setting
    assert good.interval_kind == "Student t over 3 seeds"
    assert judge_value(NUMBER, found(0.51, seeds=1)).interval_kind == (
        "Wilson over the images, one seed"
    )


@pytest.mark.parametrize("value", [0.5, 0.9])
def test_a_number_of_another_setting_decides_nothing(value: float) -> None:
    verdict = judge_value(NUMBER, found(value), differs=["on digits"])
    assert (verdict.verdict, verdict.same_setting) == ("undecided", False)
    assert verdict.value == value
    assert verdict.differs == ("on digits",)


def test_another_setting_can_bear_a_finding_out_and_never_refute_it() -> None:
    def word(*, holds: bool, differs: tuple[str, ...] = ()) -> tuple[str, bool]:
        verdict = judge_finding(ORDER, found(0.1), holds=holds, note="", differs=differs)
        return verdict.verdict, verdict.same_setting

    assert word(holds=True) == ("holds", True)
    assert word(holds=False) == ("refuted", True)
    assert word(holds=True, differs=("on digits",)) == ("holds", False)
    assert word(holds=False, differs=("on digits",)) == ("undecided", False)


def test_a_difference_within_the_spread_is_said_to_be() -> None:
    close = judge_finding(ORDER, found(0.01, half=0.02), holds=True, note="why")
    assert close.note == "why; the deciding difference is within the spread of the seeds"
    assert judge_finding(ORDER, found(0.03, half=0.02), holds=True, note="why").note == "why"


def test_no_claim_is_silently_missing() -> None:
    claims = load_claims("red-blue")
    assert len(claims) == 70
    verdicts = complete("red-blue", [not_run(claims[3], "because")])
    assert [v.id for v in verdicts] == [c.id for c in claims]
    assert {v.verdict for v in verdicts} == {"not run"}
    assert [v.note for v in verdicts].count("because") == 1


def test_a_verdict_of_no_claim_is_a_fault() -> None:
    with pytest.raises(BrokenContract, match="no claim"):
        complete("red-blue", [not_run(NUMBER, "")])
    twice = not_run(load_claims("red-blue")[0], "")
    with pytest.raises(BrokenContract, match="repeated"):
        complete("red-blue", [twice, twice])


def test_every_entry_of_the_list_can_be_read() -> None:
    text = files("epsball.studies.claims").joinpath("claims.toml").read_text(encoding="utf-8")
    names = {entry["study"] for entry in tomllib.loads(text)["claim"]}
    claims = [claim for name in names for claim in load_claims(name)]
    assert len({claim.id for claim in claims}) == len(tomllib.loads(text)["claim"])
    assert all((claim.value is not None) == (claim.kind == "value") for claim in claims)
