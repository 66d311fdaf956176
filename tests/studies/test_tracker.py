"""The time left follows what finished cells took."""

import pytest

from epsball.evaluation.progress import Silent
from epsball.studies.core.cell import Cell
from epsball.studies.core.spec import one_second
from epsball.studies.core.store import Failure
from epsball.studies.core.tracker import Tracker
from epsball.studies.table import STUDIES

NETS = [Cell("s", "train", {"l1": float(i)}) for i in range(4)]
JUDGES = [Cell("s", "judge", {"l1": float(i)}, needs=(NETS[i].hash,)) for i in range(4)]
EXPECTED = {"train": 10.0, "judge": 1.0}


class Lines(Silent):
    """A progress bar that keeps its notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.said: list[str] = []
        self.units = 0

    def advance(self, count: int, note: str = "") -> None:
        self.units += count
        self.notes.append(note)

    def say(self, text: str) -> None:
        self.said.append(text)


def started(slots: int = 1, measured: dict[str, float] | None = None) -> tuple[Tracker, Lines]:
    lines = Lines()
    tracker = Tracker(lines, lambda cell: EXPECTED[cell.kind], measured or {})
    tracker.begin([*NETS, *JUDGES], set(measured or {}), slots)
    return tracker, lines


def test_it_starts_with_the_expected_costs() -> None:
    assert started()[0].seconds_left() == 44
    assert started(slots=2)[0].seconds_left() == 22


def test_a_kind_is_scaled_by_what_it_took() -> None:
    tracker, lines = started()
    tracker.finish(NETS[0], 20.0, None)
    assert tracker.expect(NETS[1]) == 20
    assert tracker.expect(JUDGES[0]) == 2  # unknown kind: the machine is half as fast
    tracker.finish(JUDGES[0], 1.5, None)
    assert tracker.expect(JUDGES[1]) == 1.5
    assert tracker.seconds_left() == pytest.approx(3 * 20 + 3 * 1.5)
    assert lines.units == 2
    assert lines.notes[-1].endswith("64 s left")


def test_cells_of_an_earlier_run_count() -> None:
    tracker, lines = started(measured={NETS[0].hash: 5.0})
    assert tracker.seconds_left() == pytest.approx(3 * 5 + 4 * 0.5)
    assert lines.units == 1


def test_a_failure_is_reported_and_teaches_nothing() -> None:
    tracker, lines = started()
    tracker.finish(NETS[0], 0.1, Failure("ValueError", "no", ""))
    assert tracker.expect(NETS[1]) == 10
    assert lines.said == ["failed: train l1=0: ValueError: no"]


def test_slots_that_no_cell_can_use_do_not_count() -> None:
    assert started(slots=100)[0].seconds_left() == pytest.approx(44 / 8)


def test_every_study_foretells_what_its_cells_cost() -> None:
    assert [name for name, spec in STUDIES.items() if spec.cost is one_second] == []
