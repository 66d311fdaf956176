"""Executors: needed cells first, nothing twice, little lost to a kill."""

from pathlib import Path

import pytest

from epsball.errors import InvalidInput
from epsball.evaluation.progress import Silent
from epsball.studies.core.cell import Cell
from epsball.studies.core.executor import Executor, InProcess
from epsball.studies.core.store import Row, Store
from epsball.studies.core.workers import Workers

NET = Cell("s", "train", {"l1": 0.5})
JUDGE = Cell("s", "judge", {"l1": 0.5, "eps": None}, needs=(NET.hash,))
OTHER = Cell("s", "train", {"l1": 1.0})
PLAN = [JUDGE, OTHER, NET]


def square(cell: Cell) -> list[Row]:
    """Work that another process can find, too."""
    return [{"result": float(cell.parameters["l1"]) ** 2, "place": i} for i in (0, 1)]  # type: ignore[arg-type]  # numbers here


class Noting:
    """Work that remembers what it did, and may stop like a killed process."""

    def __init__(self, stop_after: int = 99) -> None:
        self.done: list[Cell] = []
        self.stop_after = stop_after

    def __call__(self, cell: Cell) -> list[Row]:
        if len(self.done) == self.stop_after:
            raise KeyboardInterrupt
        self.done.append(cell)
        return square(cell)


@pytest.mark.parametrize("executor", [InProcess(), Workers(2)], ids=["one", "two"])
def test_rows_carry_cell_and_result_in_the_order_of_the_plan(
    executor: Executor, tmp_path: Path
) -> None:
    store = Store(tmp_path)
    executor.run(PLAN, square, store, Silent())
    rows = store.gather(PLAN)
    assert rows["result"].to_list() == [0.25, 0.25, 1.0, 1.0, 0.25, 0.25]
    assert rows["cell"].to_list()[::2] == [cell.hash for cell in PLAN]
    assert set(rows["kind"]) == {"train", "judge"}
    assert (tmp_path / "rows.parquet").exists()


def test_a_killed_study_goes_on_with_what_is_missing(tmp_path: Path) -> None:
    store, killed = Store(tmp_path), Noting(stop_after=2)
    with pytest.raises(KeyboardInterrupt):
        InProcess().run(PLAN, killed, store, Silent())
    assert killed.done == [NET, JUDGE]
    again = Noting()
    InProcess().run(PLAN, again, store, Silent())
    assert again.done == [OTHER]
    store.file(OTHER.hash).unlink()
    third = Noting()
    InProcess().run(PLAN, third, store, Silent())
    assert third.done == [OTHER]


def test_nothing_half_written_counts_as_done(tmp_path: Path) -> None:
    store = Store(tmp_path)
    beside = store.file(NET.hash)
    beside.parent.mkdir()
    beside.with_name(f".{beside.name}.part").write_bytes(b"PAR1")
    assert not store.has(NET.hash)


def test_no_workers_are_refused() -> None:
    with pytest.raises(InvalidInput, match="workers"):
        Workers(0)
