"""What a study is made of. Imports no torch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from epsball.studies.claims.story import Story
from epsball.studies.core.cell import Cell, Plain
from epsball.studies.core.materials import Materials
from epsball.studies.core.options import Options
from epsball.studies.core.store import Row

if TYPE_CHECKING:
    from epsball.studies.core.place import Place


@dataclass(frozen=True)
class StudySpec:
    """One study.

    Args:
        name: as it is asked for.
        what: the question, in one line.
        source: whose work it repeats.
        options: the study's own; what a person asks for replaces them one by one.
        known: parameters that a grid may name, with the study's own value of each.
        plan: what is to be done; raises `InvalidInput` before anything is written.
        run: does one cell.
        sum_up: what the rows of all cells say.
    """

    name: str
    what: str
    source: str
    options: Options
    known: Mapping[str, Plain]
    plan: Callable[[Options, Materials], Sequence[Cell]]
    run: Callable[[Cell, "Place"], Sequence[Row]]
    sum_up: Callable[[pl.DataFrame, Options, Materials], Story]
