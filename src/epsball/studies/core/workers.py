"""Several processes of this machine do the cells of a study, to the same rows as one does."""

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass

from epsball.errors import InvalidInput
from epsball.evaluation.progress import Progress
from epsball.studies.core.cell import Cell, in_order
from epsball.studies.core.executor import Work
from epsball.studies.core.store import Row, Store


@dataclass(frozen=True)
class Workers:
    """Does several cells at once; a kill loses at most those in flight.

    Args:
        count: processes, at least 1.

    Raises:
        InvalidInput: count is below 1.
    """

    count: int

    def __post_init__(self) -> None:
        """Refuse a number that cannot be meant."""
        if self.count < 1:
            raise InvalidInput(f"study: workers must be 1 or more, got {self.count}")

    def run(self, cells: Sequence[Cell], work: Work, store: Store, told: Progress) -> None:
        """See `Executor`."""
        told.begin("cells", len(cells))
        waiting = [cell for cell in in_order(cells) if not store.has(cell.hash)]
        told.advance(len(cells) - len(waiting))
        # a fresh process each: torch's threads do not survive a fork
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(self.count, mp_context=context) as pool:
            under_way: dict[Future[Sequence[Row]], Cell] = {}
            while waiting or under_way:
                for cell in _ready(waiting, store)[: self.count - len(under_way)]:
                    waiting.remove(cell)
                    under_way[pool.submit(work, cell)] = cell
                for done in wait(under_way, return_when=FIRST_COMPLETED).done:
                    cell = under_way.pop(done)
                    store.keep(cell, done.result())
                    told.advance(1, cell.words)


def _ready(waiting: Sequence[Cell], store: Store) -> list[Cell]:
    """Return the cells whose needs are done."""
    return [cell for cell in waiting if all(store.has(need) for need in cell.needs)]
