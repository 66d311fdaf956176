"""How far a study is: expected seconds of cells, and the time left. Imports no torch."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from epsball.evaluation.progress import Progress
from epsball.studies.core.cell import Cell, labels
from epsball.studies.core.store import Failure

Cost: TypeAlias = Callable[[Cell], float]


@dataclass
class Tracker:
    """Reports finished cells and the time left over the whole plan.

    The expected seconds of open cells are scaled by what finished cells of their kind really took,
    so the estimate adapts to the machine.

    Args:
        progress: where it is reported.
        cost: expected seconds of a cell on one core of the reference machine.
        measured: seconds that cells took which were done before, by hash.
    """

    progress: Progress
    cost: Cost
    measured: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Start without any cell."""
        self._open: dict[str, Cell] = {}
        self._expected: dict[str, float] = {}  # of measured cells, by kind
        self._actual: dict[str, float] = {}
        self._slots = 1
        self._labels: dict[str, str] = {}

    def begin(self, cells: Sequence[Cell], done: Collection[str], slots: int) -> None:
        """Start to follow a plan.

        Args:
            cells: all of it.
            done: hashes of cells that are done.
            slots: cells that run at once.
        """
        self._slots = slots
        self._labels = labels(cells)
        self._open = {cell.hash: cell for cell in cells if cell.hash not in done}
        for cell in cells:
            if cell.hash in self.measured:
                self._learn(cell, self.measured[cell.hash])
        self.progress.begin("cells", len(cells))
        self.progress.advance(len(cells) - len(self._open))

    def finish(self, cell: Cell, seconds: float, failure: Failure | None) -> None:
        """Note that a cell has ended.

        Args:
            cell: the cell.
            seconds: how long it took.
            failure: why it failed; None where it succeeded.
        """
        self._open.pop(cell.hash, None)
        label = self._labels.get(cell.hash, cell.label)
        if failure is None:
            self._learn(cell, seconds)
        else:
            self.progress.say(f"failed: {label}: {failure.error}: {failure.message}")
        self.progress.advance(1, f"{label}, {duration(self.seconds_left())} left")

    def seconds_left(self) -> float:
        """Return the expected time until the last cell ends, all slots being used."""
        return sum(map(self.expect, self._open.values())) / min(
            self._slots, max(1, len(self._open))
        )

    def expect(self, cell: Cell) -> float:
        """Return the seconds that a cell is expected to take on this machine."""
        kind = cell.kind if cell.kind in self._expected else None
        expected = sum(self._expected.values()) if kind is None else self._expected[kind]
        actual = sum(self._actual.values()) if kind is None else self._actual[kind]
        return self.cost(cell) * (actual / expected if expected else 1.0)

    def _learn(self, cell: Cell, seconds: float) -> None:
        self._expected[cell.kind] = self._expected.get(cell.kind, 0.0) + self.cost(cell)
        self._actual[cell.kind] = self._actual.get(cell.kind, 0.0) + seconds


def duration(seconds: float) -> str:
    """Write a duration with a precision that suits an estimate.

    Example:
        >>> duration(42.3), duration(600), duration(8100), duration(400_000)
        ('42 s', '10 min', '2 h 15 min', '4 d 15 h')
    """
    minutes, hours = round(seconds / 60), round(seconds / 3600)
    if seconds < 100:
        return f"{seconds:.0f} s"
    if minutes < 100:
        return f"{minutes} min"
    if hours < 48:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{hours // 24} d {hours % 24} h"
