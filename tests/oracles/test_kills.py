"""Clients and servers that are killed: no answer is lost, and no image is counted twice."""

import random
from pathlib import Path

import pytest
from benchmarks.http_kills import IMAGES, many_kills, one_run


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["client", "server"])
def test_kills(victim: str, tmp_path: Path) -> None:
    outcomes = many_kills(tmp_path, victim, 25)
    assert sum(one.kills for one in outcomes) == 25
    for one in outcomes:
        assert one.right
        assert one.labels == IMAGES  # none is lost
        assert one.queries == one.paid == IMAGES  # none is paid twice


@pytest.mark.slow
def test_answers_that_get_lost_are_answered_again_at_no_charge(tmp_path: Path) -> None:
    outcome = one_run(tmp_path, "client", 5, random.Random(1))
    assert outcome.resent > 0
    assert outcome.lost == outcome.paid_twice == 0
