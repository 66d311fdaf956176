"""The scheduling loop that every executor shares, and the executor of this process.

An executor gets pure data (cells) and one function that turns a cell into rows and can be sent to
another process. All of them share one loop (`run_cells`) and differ in where the function is
called.
"""

import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from epsball.studies.core.cell import Cell, in_order
from epsball.studies.core.store import Failure, Row, Store
from epsball.studies.core.tracker import Tracker

Work: TypeAlias = Callable[[Cell], Sequence[Row]]
_OUT_OF_MEMORY = ("can't allocate memory", "out of memory")


@dataclass(frozen=True)
class Outcome:
    """The result of one attempt at a cell.

    Args:
        rows: the cell's rows; empty where it failed.
        seconds: duration of the attempt.
        failure: why it failed; None where it succeeded.
    """

    rows: Sequence[Row]
    seconds: float
    failure: Failure | None = None


class Executor(Protocol):
    """Runs the cells of a plan."""

    def check(self) -> None:
        """Check what the executor needs, before anything is written.

        Raises:
            InvalidInput: it is missing.
        """
        ...

    def run(self, cells: Sequence[Cell], work: Work, store: Store, tracker: Tracker) -> None:
        """Run every cell that is not done yet, each after those it needs, and store its rows.

        A cell that fails is recorded with its error; cells that need it are skipped, and all
        others still run.

        Args:
            cells: those to run; the needs of each are among them.
            work: turns a cell into its rows.
            store: where rows and failures are written, and which cells are done.
            tracker: is informed about every finished cell.

        Raises:
            InvalidInput: the store cannot be written to.
        """
        ...


class Pool(Protocol):
    """Something that runs a number of cells at once."""

    @property
    def slots(self) -> int:
        """Return how many cells may be submitted at once; it may change."""
        ...

    @property
    def parallel(self) -> int:
        """Return how many of them run at once."""
        ...

    def submit(self, cell: Cell) -> None:
        """Start a cell."""
        ...

    def collect(self) -> list[tuple[Cell, Outcome]]:
        """Wait until at least one cell has ended and return those that have."""
        ...


def run_cells(cells: Sequence[Cell], pool: Pool, store: Store, tracker: Tracker) -> None:
    """Run cells through a pool, see `Executor.run`."""
    ordered = in_order(cells)
    done = {cell.hash for cell in ordered if store.has(cell.hash)}
    waiting = [cell for cell in ordered if cell.hash not in done]
    tracker.begin(ordered, done, pool.parallel)
    running = 0
    while waiting or running:
        ready = [cell for cell in waiting if done.issuperset(cell.needs)]
        for cell in ready[: max(0, pool.slots - running)]:
            waiting.remove(cell)
            pool.submit(cell)
            running += 1
        if not running:  # what still waits needs a cell that failed
            return
        for cell, outcome in pool.collect():
            running -= 1
            if outcome.failure is None:
                store.save(cell, outcome.rows)
                done.add(cell.hash)
            else:
                store.save_failure(cell, outcome.failure)
            tracker.finish(cell, outcome.seconds, outcome.failure)


def attempt(work: Work, cell: Cell) -> Outcome:
    """Run a cell; an exception becomes a failure.

    Args:
        work: turns a cell into its rows.
        cell: the cell.
    """
    started = time.perf_counter()
    try:
        rows, failure = work(cell), None
    except Exception as error:
        rows, failure = (), failure_of(error)
    return Outcome(rows, time.perf_counter() - started, failure)


def failure_of(error: BaseException) -> Failure:
    """Describe an exception as plain data, with a remedy where memory ran out."""
    message = str(error).strip().splitlines()[0] if str(error).strip() else "no message"
    memory = isinstance(error, MemoryError) or any(part in str(error) for part in _OUT_OF_MEMORY)
    if memory:
        message = f"out of memory ({message}); use fewer --workers or a machine with more memory"
    return Failure(type(error).__name__, message, "".join(traceback.format_exception(error)))


class InProcess:
    """Runs one cell after another; a kill loses at most the one that is running."""

    def check(self) -> None:
        """See `Executor`; it needs nothing."""

    def run(self, cells: Sequence[Cell], work: Work, store: Store, tracker: Tracker) -> None:
        """See `Executor`."""
        run_cells(cells, _OneAtATime(work), store, tracker)


class _OneAtATime:
    """The pool of this process."""

    slots = parallel = 1

    def __init__(self, work: Work) -> None:
        self.work, self.cells = work, list[Cell]()

    def submit(self, cell: Cell) -> None:
        self.cells.append(cell)

    def collect(self) -> list[tuple[Cell, Outcome]]:
        cell = self.cells.pop()
        return [(cell, attempt(self.work, cell))]
