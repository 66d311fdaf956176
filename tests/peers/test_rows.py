"""Rows survive a kill, and a torn line spoils nothing."""

from pathlib import Path

from benchmarks.peers.rows import Rows


def test_rows_are_found_again(tmp_path: Path) -> None:
    rows = Rows(tmp_path / "new" / "rows.jsonl")
    rows.add(what="turn", turn=0, distance=float("inf"))
    rows.add(what="turn", turn=1)
    again = Rows(tmp_path / "new" / "rows.jsonl")
    assert again.of(what="turn", turn=0) == [{"what": "turn", "turn": 0, "distance": float("inf")}]
    assert len(again.of(what="turn")) == 2
    assert again.of(what="probe") == []


def test_a_line_cut_short_is_passed_over_and_does_not_swallow_the_next(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    Rows(file).add(turn=0)
    with file.open("ab") as stream:
        stream.write(b'{"turn": 1, "sec')
    Rows(file).add(turn=2)
    assert [row["turn"] for row in Rows(file).of()] == [0, 2]
