"""Several processes of this machine run the cells of a study, to the same rows as one process."""

import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

from epsball.errors import InvalidInput
from epsball.machine.cores import divided_cores
from epsball.machine.memory import reuse_freed_memory
from epsball.studies.core.cell import Cell
from epsball.studies.core.store import Failure, Store
from epsball.studies.core.tracker import Tracker
from epsball.studies.executors.base import Outcome, Work, attempt, run_cells


@dataclass(frozen=True)
class Processes:
    """Runs several cells at once; a kill loses at most those that are running.

    Args:
        count: processes, at least 1.

    Raises:
        InvalidInput: count is below 1.
    """

    count: int

    def __post_init__(self) -> None:
        """Refuse a number below 1."""
        if self.count < 1:
            raise InvalidInput(f"study: workers must be 1 or more, got {self.count}")

    def check(self) -> None:
        """See `Executor`; it needs nothing."""

    def run(self, cells: Sequence[Cell], work: Work, store: Store, tracker: Tracker) -> None:
        """See `Executor`."""
        with divided_cores(os.environ, self.count):
            pool = _ProcessPool(self.count, work)
            try:
                run_cells(cells, pool, store, tracker)
            finally:
                pool.close()


class _ProcessPool:
    """Fresh processes: torch's threads do not survive a fork."""

    def __init__(self, slots: int, work: Work) -> None:
        self.slots = self.parallel = slots
        self.work = work
        self.running: dict[Future[Outcome], Cell] = {}
        self.pool = self._start()

    def _start(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(self.slots, context, initializer=reuse_freed_memory)

    def submit(self, cell: Cell) -> None:
        self.running[self._future(cell)] = cell

    def _future(self, cell: Cell) -> Future[Outcome]:
        try:
            return self.pool.submit(attempt, self.work, cell)
        except BrokenProcessPool:  # a process died between two cells
            self.pool = self._start()
            return self.pool.submit(attempt, self.work, cell)

    def collect(self) -> list[tuple[Cell, Outcome]]:
        ended = wait(self.running, return_when=FIRST_COMPLETED).done
        cells = [(self.running.pop(future), future) for future in ended]
        if any(isinstance(future.exception(), BrokenProcessPool) for _, future in cells):
            suspects = [(cell, future) for future, cell in self.running.items()]
            self.running = {}
            return self._one_by_one([*cells, *suspects])
        return [(cell, future.result()) for cell, future in cells]

    def _one_by_one(
        self, cells: Sequence[tuple[Cell, Future[Outcome]]]
    ) -> list[tuple[Cell, Outcome]]:
        """Find which cell killed its process: the pool does not report it, and all are lost."""
        outcomes = []
        for cell, future in cells:
            lost = isinstance(future.exception(), BrokenProcessPool)
            outcomes.append((cell, self._alone(cell) if lost else future.result()))
        return outcomes

    def _alone(self, cell: Cell) -> Outcome:
        self.pool.shutdown()
        self.pool = self._start()
        try:
            return self._future(cell).result()
        except BrokenProcessPool as error:
            self.pool = self._start()
            message = (
                "its process was killed, most likely for lack of memory; use fewer --workers or a "
                "machine with more memory"
            )
            return Outcome((), 0.0, Failure(type(error).__name__, message, ""))

    def close(self) -> None:
        self.pool.shutdown(cancel_futures=True)
