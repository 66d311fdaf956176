"""The page says what the rows say, against the right rival, and whether a target is met."""

from pathlib import Path

import pytest
from benchmarks.peers.machine import command_line, describe
from benchmarks.peers.page import page
from benchmarks.peers.registry import why_not
from benchmarks.peers.results import Table, tables_of
from benchmarks.peers.rows import Rows
from tests.peers.conftest import setup_of

MACHINE = describe("cpu", "python -m benchmarks.peers")


def written(rows: Rows, method: str, **entrants: tuple[float, float, float | None]) -> Table:
    """Write a comparison: seconds, robust accuracy and distance of everybody."""
    setup = setup_of(method)
    key = setup.id
    rows.add(what="setup", setup=key, **vars(setup))
    for name, (seconds, robust, distance) in entrants.items():
        for turn, times in enumerate((0.5, 1, 2)):
            rows.add(
                what="turn",
                setup=key,
                entrant=name.replace("_", "-"),
                turn=turn,
                batch=4,
                version="3.3.4",
                seconds=seconds * times,
                clean=0.9,
                robust=robust,
                found=1.0,
                distance=distance,
                outside_ball=1,
                outside_box=0,
                broken=0,
            )
    return next(table for table in tables_of(rows) if table.setup["method"] == method)


@pytest.fixture
def rows(toy: Path) -> Rows:
    return Rows(toy / "rows.jsonl")


def test_budget_attacks_are_held_against_the_fastest_and_the_strongest(rows: Rows) -> None:
    table = written(rows, "pgd", epsball=(1, 0.30, 0), foolbox=(5, 0.31, 0), art=(9, 0.29, 0))
    result = table.standing
    assert result is not None
    assert (result.rival, result.time, result.target) == ("foolbox", 0.2, 0.25)
    assert (result.better, result.against) == (False, 0.29)
    text = page([table], MACHINE, date="2030-01-02", precision="float32")
    assert "Time: 0.200 of the seconds of foolbox; target at most 0.25: met." in text
    assert "Robust accuracy: 30.0 % against 29.0 %; no higher: **missed**." in text
    assert "| foolbox | 3.3.4 | 31.0 | 5 (2.5 to 10) | 3 | 4 | - | - | - | 1 |" in text
    assert "measured on 2030-01-02" in text
    assert "3 steps of 2.5 eps / 3" in text


def test_distances_are_held_against_the_nearest(rows: Rows) -> None:
    table = written(rows, "fmn-l2", epsball=(2, 0, 1.005), foolbox=(1, 0, 1.5), adv_lib=(4, 0, 1.0))
    result = table.standing
    assert result is not None
    assert (result.rival, result.time, result.better) == ("adv-lib", 0.5, True)
    far = written(rows, "fmn-l2", epsball=(2, 0, None), foolbox=(1, 0, 1.5))
    assert far.standing is not None
    assert far.standing.better is False


def test_the_floor_is_held_against_bare_passes(rows: Rows) -> None:
    table = written(rows, "floor", epsball_full_budget=(1.04, 0, None), bare_passes=(1, 1, None))
    assert table.standing is not None
    assert table.standing.time == 1.04
    assert "met" in page([table], MACHINE, date=None, precision="float32")


def test_without_a_peer_nothing_is_claimed(rows: Rows) -> None:
    table = written(rows, "pgd", epsball=(1, 0.3, 0))
    assert table.standing is None
    assert "Nothing to hold side by side." in page([table], MACHINE, date=None, precision="")


def test_the_newest_setup_is_shown(rows: Rows) -> None:
    written(rows, "pgd", epsball=(1, 0.3, 0), foolbox=(2, 0.3, 0))
    newer = setup_of("pgd", images=7)
    rows.add(what="setup", setup=newer.id, **vars(newer))
    (table,) = tables_of(rows)
    assert table.setup["images"] == 7
    assert table.results == ()


def test_the_page_names_no_place_of_this_machine(rows: Rows) -> None:
    command = command_line(
        ["--weights", "/home/me/w", "--out=/tmp/o", "--rounds", "3"], ("--weights", "--out")
    )
    assert command.endswith("-m benchmarks.peers --weights DIR --out=DIR --rounds 3")
    table = written(rows, "pgd", epsball=(1, 0.3, 0), foolbox=(2, 0.3, 0))
    text = page([table], describe("cpu", [command, "again"]), date=None, precision="float32")
    assert f"- `{command}`\n- `again`\n" in text
    assert "/home" not in text
    assert "/tmp" not in text


def test_reasons_for_staying_out() -> None:
    assert why_not("autoattack", "strongest", 10) == (
        "autoattack is on no registry: give --autoattack PATH"
    )
