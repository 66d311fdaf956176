"""Executors: needs come first, no cell runs twice, failures are isolated."""

import os
import signal
from pathlib import Path

import pytest

from epsball.errors import InvalidInput
from epsball.evaluation.progress import Silent
from epsball.studies.core.cell import Cell
from epsball.studies.core.store import Row, Store
from epsball.studies.core.tracker import Tracker
from epsball.studies.executors.base import Executor, InProcess
from epsball.studies.executors.processes import Processes

NET = Cell("s", "train", {"l1": 0.5})
JUDGE = Cell("s", "judge", {"l1": 0.5, "eps": None}, needs=(NET.hash,))
OTHER = Cell("s", "train", {"l1": 1.0})
PLAN = [JUDGE, OTHER, NET]
EXECUTORS = pytest.mark.parametrize("executor", [InProcess(), Processes(2)], ids=["one", "two"])


def tracker() -> Tracker:
    return Tracker(Silent(), lambda _: 1.0)


def square(cell: Cell) -> list[Row]:
    """Work that another process can import."""
    return [{"result": float(cell.parameters["l1"]) ** 2, "place": i} for i in (0, 1)]  # type: ignore[arg-type]  # numbers here


def fail_for_half(cell: Cell) -> list[Row]:
    if cell.parameters["l1"] == 0.5:
        raise ValueError("half is too small")
    return square(cell)


def run_out_of_memory(cell: Cell) -> list[Row]:
    if cell.parameters["l1"] == 0.5:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 1 TB")
    return square(cell)


def kill_for_half(cell: Cell) -> list[Row]:
    """Die as the kernel's out-of-memory killer makes a process die."""
    if cell.parameters["l1"] == 0.5:
        os.kill(os.getpid(), signal.SIGKILL)
    return square(cell)


def say_huge_pages(_: Cell) -> list[Row]:
    return [{"huge_pages": os.environ.get("THP_MEM_ALLOC_ENABLE", "")}]


class Recorder:
    """Work that notes the cells it ran, and can stop like a killed process."""

    def __init__(self, stop_after: int = 99) -> None:
        self.done: list[Cell] = []
        self.stop_after = stop_after

    def __call__(self, cell: Cell) -> list[Row]:
        if len(self.done) == self.stop_after:
            raise KeyboardInterrupt
        self.done.append(cell)
        return square(cell)


@EXECUTORS
def test_rows_carry_cell_and_result_in_the_order_of_the_plan(
    executor: Executor, tmp_path: Path
) -> None:
    store = Store(tmp_path)
    executor.run(PLAN, square, store, tracker())
    rows = store.gather(PLAN)
    assert rows["result"].to_list() == [0.25, 0.25, 1.0, 1.0, 0.25, 0.25]
    assert rows["cell"].to_list()[::2] == [cell.hash for cell in PLAN]
    assert set(rows["kind"]) == {"train", "judge"}
    assert (tmp_path / "rows.parquet").exists()


@EXECUTORS
def test_a_failed_cell_is_recorded_and_the_others_run(executor: Executor, tmp_path: Path) -> None:
    store = Store(tmp_path)
    executor.run(PLAN, fail_for_half, store, tracker())
    assert store.has(OTHER.hash)
    assert not store.has(NET.hash)
    assert not store.has(JUDGE.hash)  # it needs the one that failed
    (failure,) = store.failures(PLAN)
    assert failure["label"] == NET.label
    assert (failure["error"], failure["message"]) == ("ValueError", "half is too small")
    assert "fail_for_half" in store.failure_file(NET.hash).read_text()  # the traceback


def test_a_failed_cell_is_tried_again_and_its_record_removed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    InProcess().run(PLAN, fail_for_half, store, tracker())
    again = Recorder()
    InProcess().run(PLAN, again, store, tracker())
    assert again.done == [NET, JUDGE]
    assert store.failures(PLAN) == []


def test_lack_of_memory_is_named_with_a_remedy(tmp_path: Path) -> None:
    store = Store(tmp_path)
    InProcess().run(PLAN, run_out_of_memory, store, tracker())
    (failure,) = store.failures(PLAN)
    assert failure["message"].startswith("out of memory (")
    assert "fewer --workers" in failure["message"]


def test_processes_keep_the_memory_of_freed_tensors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("THP_MEM_ALLOC_ENABLE", raising=False)
    store = Store(tmp_path)
    Processes(1).run([NET], say_huge_pages, store, tracker())
    assert store.read([NET])["huge_pages"].to_list() == ["1"]


def test_a_killed_process_fails_its_own_cell_only(tmp_path: Path) -> None:
    store, third = Store(tmp_path), Cell("s", "train", {"l1": 2.0})
    Processes(2).run([*PLAN, third], kill_for_half, store, tracker())
    assert [store.has(cell.hash) for cell in (NET, JUDGE, OTHER, third)] == [
        False,
        False,
        True,
        True,
    ]
    (failure,) = store.failures([*PLAN, third])
    assert failure["cell"] == NET.hash
    assert "most likely for lack of memory" in failure["message"]


def test_a_killed_study_continues_with_the_missing_cells(tmp_path: Path) -> None:
    store, killed = Store(tmp_path), Recorder(stop_after=2)
    with pytest.raises(KeyboardInterrupt):
        InProcess().run(PLAN, killed, store, tracker())
    assert killed.done == [NET, JUDGE]
    again = Recorder()
    InProcess().run(PLAN, again, store, tracker())
    assert again.done == [OTHER]
    store.file(OTHER.hash).unlink()
    third = Recorder()
    InProcess().run(PLAN, third, store, tracker())
    assert third.done == [OTHER]


def test_a_partly_written_file_does_not_count_as_done(tmp_path: Path) -> None:
    store = Store(tmp_path)
    beside = store.file(NET.hash)
    beside.parent.mkdir()
    beside.with_name(f".{beside.name}.part").write_bytes(b"PAR1")
    assert not store.has(NET.hash)


def test_a_store_that_cannot_be_written_stops_the_study(tmp_path: Path) -> None:
    (tmp_path / "rows").write_text("a file where the directory should be")
    recorder = Recorder()
    with pytest.raises(InvalidInput, match="cannot write"):
        InProcess().run(PLAN, recorder, Store(tmp_path), tracker())
    assert len(recorder.done) == 1


def test_zero_workers_are_refused() -> None:
    with pytest.raises(InvalidInput, match="workers"):
        Processes(0)
