"""A cell is what it says, wherever it is done."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from epsball.errors import BrokenContract
from epsball.studies.core.cell import Cell, in_order, labels
from epsball.studies.core.planning import make_plan
from epsball.studies.table import STUDIES

NET = Cell("red-blue", "train", {"l1": 0.0, "l2": 1e-4, "arm": "clean"}, repeat=1)


def test_the_hash_is_fixed_for_good() -> None:
    # rows on disk are found by it: a change here is a change of every finished study
    assert NET.hash == "a31a3926fd400a4210a62f311aeefb32"


def test_the_order_and_type_of_parameters_do_not_count() -> None:
    assert NET.hash == replace(NET, parameters={"arm": "clean", "l2": 0.0001, "l1": 0}).hash


@pytest.mark.parametrize(
    "change",
    [
        {"study": "other"},
        {"kind": "judge"},
        {"parameters": {"l1": 1e-5, "l2": 1e-4, "arm": "clean"}},
        {"parameters": {"l1": 0.0, "l2": 1e-4}},
        {"repeat": 2},
        {"threads": 2},
        {"version": 2},
        {"needs": ("a",)},
    ],
)
def test_everything_that_changes_a_result_changes_hash_and_seed(change: dict[str, object]) -> None:
    other = replace(NET, **change)  # type: ignore[arg-type]  # fields of several types
    assert other.hash != NET.hash
    assert other.seed != NET.seed


def test_seeds_are_what_generators_take() -> None:
    seeds = [replace(NET, repeat=i).seed for i in range(100)]
    assert len(set(seeds)) == 100
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert max(seeds) > 2**30  # all bits are used


def test_a_shared_seed_depends_on_what_is_shared_alone() -> None:
    other = replace(NET, parameters={"l1": 1e-3, "l2": 1e-4, "arm": "clean"}, kind="judge")
    assert other.shared_seed("l2", "arm") == NET.shared_seed("l2", "arm")
    assert other.shared_seed("l1") != NET.shared_seed("l1")
    assert replace(other, repeat=0).shared_seed("l2") != NET.shared_seed("l2")


def test_a_cell_comes_after_those_it_needs_and_once() -> None:
    judge = Cell("red-blue", "judge", needs=(NET.hash,))
    last = Cell("red-blue", "table", needs=(judge.hash, NET.hash))
    first = Cell("red-blue", "train", repeat=9)
    assert in_order([last, judge, first, NET, judge]) == [NET, judge, last, first]


def test_cells_in_order_stay_in_order() -> None:
    # what was planned to come early gives its rows early
    other = replace(NET, repeat=2)
    plan = [NET, Cell("s", "judge", needs=(NET.hash,)), other, Cell("s", "judge", repeat=2)]
    assert in_order(plan) == plan


def test_a_need_that_is_not_planned_is_told() -> None:
    with pytest.raises(BrokenContract, match="needs"):
        in_order([Cell("red-blue", "judge", needs=(NET.hash,))])


def test_labels_tell_the_cells_of_a_plan_apart() -> None:
    long = {f"setting{at}": at for at in range(6)}
    cells = [
        Cell("s", "attack", long | {"method": "fast", "eps": 0.5}),
        Cell("s", "attack", long | {"method": "slow", "eps": 0.5}),
        Cell("s", "attack", long | {"method": "slow"}),
        Cell("s", "clean", long),
    ]
    assert list(labels(cells).values()) == [
        "attack method=fast eps=0.5",
        "attack method=slow eps=0.5",
        "attack method=slow",
        "clean",
    ]
    twice = [replace(cells[0], repeat=at) for at in (0, 1)]
    assert list(labels(twice).values()) == ["attack #0", "attack #1"]


@pytest.mark.skipif("EPSBALL_DATA" not in os.environ, reason="EPSBALL_DATA is not set")
@pytest.mark.parametrize("name", STUDIES)
def test_no_two_cells_of_a_study_look_alike(name: str, tmp_path: Path) -> None:
    plan = make_plan(name, tmp_path)
    assert len(set(labels(plan.selected).values())) == len(plan.selected)
