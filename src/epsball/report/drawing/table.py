"""A table before it is markup: the page and every figure hand their numbers over in this form."""

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from epsball.report.drawing.numbers import MISSING, percent


class Cell(NamedTuple):
    """One cell; `share` in [0, 1] draws a bar behind the text, `note` stands small below it."""

    text: str
    share: float | None = None
    note: str = ""


Row: TypeAlias = list[Cell | str]


class Table(NamedTuple):
    """Rows of cells under column heads; the first column names the row.

    Args:
        caption: what the table holds, in a few words.
        heads: one head a column.
        rows: one cell a head.
        numeric: whether each column holds numbers, which are set flush right.
    """

    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[Cell | str]]
    numeric: Sequence[bool]

    @property
    def cells(self) -> list[list[Cell]]:
        """The rows, every cell in its full form."""
        return [
            [cell if isinstance(cell, Cell) else Cell(cell) for cell in row] for row in self.rows
        ]


def table(caption: str, heads: str, rows: Sequence[Sequence[Cell | str]]) -> Table:
    """Build a table from a line of heads.

    Args:
        caption: what the table holds.
        heads: separated by "|"; one that starts with "#" holds numbers.
        rows: one cell a head.

    Returns:
        The table.

    Example:
        >>> table("ages", "name|#age", [["Ada", "36"]]).numeric
        [False, True]
    """
    parts = heads.split("|")
    numeric = [part.startswith("#") for part in parts]
    return Table(caption, [part.removeprefix("#") for part in parts], rows, numeric)


def bar(share: float | None) -> Cell:
    """A percentage with a bar behind it."""
    return Cell(MISSING) if share is None else Cell(percent(share), share)
