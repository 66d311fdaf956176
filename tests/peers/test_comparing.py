"""Everybody has a turn in every round, nothing is measured twice, a failure stops nobody else."""

from pathlib import Path

import pytest
import torch
from benchmarks.peers import floor
from benchmarks.peers.comparing import Comparison, Options
from benchmarks.peers.jobs import Job
from benchmarks.peers.probe import probe
from benchmarks.peers.registry import ENTRANTS, attacks_of, entrants_for, why_not
from benchmarks.peers.results import tables_of
from benchmarks.peers.rows import Rows
from benchmarks.peers.sizing import sizes_to_try
from benchmarks.peers.subjects import Subject
from tests.peers.conftest import IMAGES, STEPS, setup_of

pytestmark = pytest.mark.usefixtures("only_two")


def compare(subject: Subject, folder: Path, **changed: float) -> Rows:
    options = Options(folder, probes=False, **{"rounds": 2, **changed})  # type: ignore[arg-type]  # numbers of both kinds
    rows = Rows(folder / "rows.jsonl")
    Comparison(setup_of("floor"), subject, options, rows, lambda _: None).run()
    return rows


@pytest.mark.slow
def test_rounds_are_interleaved_and_begin_with_another_one(
    subject: Subject, tmp_path: Path
) -> None:
    turns = compare(subject, tmp_path).of(what="turn")
    order = [(turn["turn"], turn["entrant"]) for turn in turns]
    assert order == [(0, "bare-passes"), (0, "other"), (1, "other"), (1, "bare-passes")]
    assert {turn["batch"] for turn in turns} <= {4, 8, IMAGES}


@pytest.mark.slow
def test_what_is_measured_is_not_measured_again(subject: Subject, tmp_path: Path) -> None:
    first = compare(subject, tmp_path).file.read_bytes()
    assert compare(subject, tmp_path).file.read_bytes() == first
    more = compare(subject, tmp_path, rounds=3)
    assert len(more.of(what="turn")) == 6
    assert len(more.of(what="batches")) == 2


@pytest.mark.slow
def test_a_slow_entrant_has_one_turn(subject: Subject, tmp_path: Path) -> None:
    rows = compare(subject, tmp_path, once_over=0.0)
    assert [turn["turn"] for turn in rows.of(what="turn")] == [0, 0]


@pytest.mark.slow
def test_what_would_take_too_long_is_left_out(subject: Subject, tmp_path: Path) -> None:
    rows = compare(subject, tmp_path, too_slow=0.0)
    assert rows.of(what="turn") == []
    assert "more than --too-slow" in rows.of(what="left-out")[0]["reason"]


def test_a_failure_is_told_and_the_others_go_on(
    subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(job: Job) -> torch.Tensor:
        raise ValueError("no\nsecond line")

    monkeypatch.setitem(floor.ATTACKS, "floor", broken)
    rows = compare(subject, tmp_path)
    (table,) = tables_of(rows)
    assert table.left_out == ("bare-passes: ValueError: no", "other: ValueError: no")
    assert table.results == ()


@pytest.mark.slow
def test_who_failed_at_first_is_not_missing_afterwards(
    subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as failing:
        failing.setitem(floor.ATTACKS, "floor", lambda _: None)
        assert compare(subject, tmp_path).of(what="turn") == []
    (table,) = tables_of(compare(subject, tmp_path))
    assert table.left_out == ()
    assert [result.entrant for result in table.results] == ["bare-passes", "other"]


@pytest.mark.slow
def test_the_bare_passes_are_as_many_as_the_steps(toy: Path) -> None:
    options = {
        "entrant": "bare-passes",
        "setup": vars(setup_of("floor")),
        "batch": 5,
        "weights": str(toy),
        "autoattack": None,
    }
    seen = probe(options)
    assert (seen["forwards"], seen["backwards"]) == (IMAGES * STEPS, IMAGES * STEPS)
    assert seen["memory"] >= 0


def test_sizes_stop_at_the_first_that_holds_all_images() -> None:
    assert sizes_to_try((16, 32, 64), 40) == [16, 32, 40]
    assert sizes_to_try((16, 32), 500) == [16, 32]


def test_weights_ask_for_no_gradients_and_the_model_is_in_eval_mode(subject: Subject) -> None:
    assert not subject.model.training
    assert not any(weights.requires_grad for weights in subject.model.parameters())


def test_nobody_takes_part_without_the_method() -> None:
    assert entrants_for("floor") == list(ENTRANTS)
    assert entrants_for("pgd") == []
    assert list(attacks_of("other")) == ["floor"]
    assert why_not("other", "floor", 10) is None
