"""What a study consists of. Imports no torch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import polars as pl

from epsball.studies.claims.story import Story
from epsball.studies.core.cell import Cell, Plain
from epsball.studies.core.data_summary import DataSummary
from epsball.studies.core.options import Options
from epsball.studies.core.store import Row

if TYPE_CHECKING:
    from epsball.studies.core.workspace import Workspace

CellWork: TypeAlias = Callable[[Cell, "Workspace"], Sequence[Row]]


def one_second(cell: Cell, data: DataSummary) -> float:  # noqa: ARG001 - the signature of a cost
    """Expect one second of every cell, for a study that has not measured its cells."""
    return 1.0


@dataclass(frozen=True)
class StudySpec:
    """One study: a folder with `plan`, `works`, `claims`, `page` and `notes.md`.

    Args:
        name: as the command line takes it.
        what: the question, in one line.
        source: whose work it repeats.
        options: the study's own; those given by the user replace them one by one.
        known: parameters that a grid may name, with the study's own value of each.
        plan: returns the cells; raises `InvalidInput` before anything is written.
        works: by kind of cell, the function that runs it.
        summarise: turns the rows of all cells into the page.
        cost: expected seconds of a cell on one core, as measured on a reference machine; the
            estimate adapts to the machine as soon as cells of a kind are done.
        trains: whether the study uses training images; without them only test images are read.
        by_class: whether the option `classes` applies.
    """

    name: str
    what: str
    source: str
    options: Options
    known: Mapping[str, Plain]
    plan: Callable[[Options, DataSummary], Sequence[Cell]]
    works: Mapping[str, CellWork]
    summarise: Callable[[pl.DataFrame, Options, DataSummary], Story]
    cost: Callable[[Cell, DataSummary], float] = one_second
    trains: bool = True
    by_class: bool = False
