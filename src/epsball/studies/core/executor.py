"""Who does the cells of a study. Here: this process, one after another.

An executor gets pure data (cells) and one function that turns a cell into rows and can be sent to
another process; it hands the rows to the store. So one that runs on a cluster differs in nothing
but where that function is called.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

from epsball.evaluation.progress import Progress
from epsball.studies.core.cell import Cell, in_order
from epsball.studies.core.store import Row, Store

Work: TypeAlias = Callable[[Cell], Sequence[Row]]


class Executor(Protocol):
    """Something that does cells."""

    def run(self, cells: Sequence[Cell], work: Work, store: Store, told: Progress) -> None:
        """Do every cell that is not done yet, after those it needs; keep its rows.

        Args:
            cells: the whole plan.
            work: turns a cell into its rows.
            store: where rows go; it says what is done.
            told: hears of every cell that is done.
        """
        ...


class InProcess:
    """Does one cell after another; a kill loses at most the one in flight."""

    def run(self, cells: Sequence[Cell], work: Work, store: Store, told: Progress) -> None:
        """See `Executor`."""
        told.begin("cells", len(cells))
        for cell in in_order(cells):
            if not store.has(cell.hash):
                told.advance(0, cell.words)
                store.keep(cell, work(cell))
            told.advance(1, cell.words)
