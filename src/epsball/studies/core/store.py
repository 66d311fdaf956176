"""The rows of a study on disk: one file a finished cell, written beside and renamed. No torch."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import polars as pl

from epsball.errors import InvalidInput
from epsball.files import read_json, write_atomically
from epsball.studies.core.cell import Cell, Plain

Row: TypeAlias = Mapping[str, Plain | bool]
ROWS, TABLE = "rows", "rows.parquet"


@dataclass(frozen=True)
class Store:
    """The finished cells of a study's directory.

    Args:
        out: the directory.
    """

    out: Path

    def file(self, cell: str) -> Path:
        """Return where the rows of a cell, named by its hash, lie once it is done."""
        return self.out / ROWS / f"{cell}.parquet"

    def has(self, cell: str) -> bool:
        """Say whether a cell, named by its hash, is done."""
        return self.file(cell).exists()

    def keep(self, cell: Cell, rows: Sequence[Row]) -> None:
        """Write a finished cell's rows, whole or not at all, each with what the cell is.

        Args:
            cell: the cell.
            rows: what came out; values as numbers, under names that the cell's own do not use.

        Raises:
            InvalidInput: the disk is full, or the place may not be written to.
        """
        named = {
            "cell": cell.hash,
            "study": cell.study,
            "kind": cell.kind,
            "repeat": cell.repeat,
            "seed": cell.seed,
            "threads": cell.threads,
            "version": cell.version,
            "needs": json.dumps(cell.needs),
        }
        whole = [named | dict(cell.parameters) | dict(row) for row in rows]
        frame = pl.DataFrame(whole, infer_schema_length=None)
        write_atomically(self.file(cell.hash), lambda file: frame.write_parquet(file))

    def read(self, cells: Sequence[Cell]) -> pl.DataFrame:
        """Return the rows of finished cells, in the order of the cells, one column a name."""
        files = [self.file(cell.hash) for cell in cells if self.has(cell.hash)]
        frames = [pl.read_parquet(file) for file in files]
        return pl.concat(frames, how="diagonal_relaxed") if frames else pl.DataFrame()

    def gather(self, cells: Sequence[Cell]) -> pl.DataFrame:
        """Write the rows of all finished cells into one file, and return them."""
        frame = self.read(cells)
        write_atomically(self.out / TABLE, lambda file: frame.write_parquet(file))
        return frame


def read_rows(out: Path) -> pl.DataFrame:
    """Read the rows of a finished study.

    Args:
        out: the study's directory.

    Raises:
        InvalidInput: it holds none.
    """
    try:
        return pl.read_parquet(out / TABLE)
    except FileNotFoundError:
        raise InvalidInput(
            f"{out} holds no {TABLE}: name a directory that `epsball study --out` finished"
        ) from None


def read_study(out: Path) -> dict[str, Any]:
    """Read the summary of a finished study as plain data.

    Args:
        out: the study's directory.

    Raises:
        InvalidInput: it holds none, or something else's.
    """
    file = out / "summary.json"
    summary = read_json(file, "study")
    if "claims" not in summary:
        raise InvalidInput(f"{file} is not a study's summary: name a study's directory")
    return summary
