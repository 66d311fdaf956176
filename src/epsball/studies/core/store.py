"""Finished cells on disk: one file each, written beside and renamed. Imports no torch."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import polars as pl

from epsball.errors import InvalidInput
from epsball.files import read_json, unwritable, write_atomically, write_bytes
from epsball.studies.core.cell import Cell, Plain

Row: TypeAlias = Mapping[str, Plain | bool]
SCHEMA_VERSION = 2  # of study.json and summary.json; 1 was epsball 0.1
ROWS, FAILURES, TABLE = "rows", "failures", "rows.parquet"


@dataclass(frozen=True)
class Failure:
    """Why a cell failed.

    Args:
        error: the exception's type.
        message: its message, one line.
        traceback: where it was raised.
    """

    error: str
    message: str
    traceback: str


@dataclass(frozen=True)
class Store:
    """The finished cells of a study's directory.

    Args:
        out: the directory.
    """

    out: Path

    def file(self, cell: str) -> Path:
        """Return the file of a finished cell's rows, by the cell's hash."""
        return self.out / ROWS / f"{cell}.parquet"

    def failure_file(self, cell: str) -> Path:
        """Return the file of a failed cell's error, by the cell's hash."""
        return self.out / FAILURES / f"{cell}.json"

    def has(self, cell: str) -> bool:
        """Say whether a cell, named by its hash, is done."""
        return self.file(cell).exists()

    def save(self, cell: Cell, rows: Sequence[Row]) -> None:
        """Write a finished cell's rows, all or none of them, each with the cell's own values.

        Args:
            cell: the cell.
            rows: its results, under names that the cell's own values do not use.

        Raises:
            InvalidInput: the disk is full, or the directory is not writable.
        """
        own = {
            "cell": cell.hash,
            "study": cell.study,
            "kind": cell.kind,
            "repeat": cell.repeat,
            "seed": cell.seed,
            "threads": cell.threads,
            "version": cell.version,
            "needs": json.dumps(cell.needs),
        }
        whole = [own | dict(cell.parameters) | dict(row) for row in rows]
        frame = pl.DataFrame(whole, infer_schema_length=None)
        write_atomically(self.file(cell.hash), lambda file: frame.write_parquet(file))
        failure = self.failure_file(cell.hash)
        try:
            failure.unlink(missing_ok=True)
        except OSError as error:
            raise unwritable(failure, error) from error

    def save_failure(self, cell: Cell, failure: Failure) -> None:
        """Record why a cell failed; it is tried again when the study is continued.

        Raises:
            InvalidInput: the disk is full, or the directory is not writable.
        """
        content = {"cell": cell.hash, "label": cell.label} | asdict(failure)
        text = json.dumps(content, indent=1) + "\n"
        write_bytes(self.failure_file(cell.hash), text.encode())

    def failures(self, cells: Sequence[Cell]) -> list[dict[str, str]]:
        """Return the cells that failed, each {"cell", "label", "error", "message"}."""
        names = ("cell", "label", "error", "message")
        failed = []
        for cell in cells:
            file = self.failure_file(cell.hash)
            if file.exists():
                content = read_json(file, "study")
                failed.append({name: str(content[name]) for name in names})
        return failed

    def seconds(self, cells: Sequence[Cell]) -> dict[str, float]:
        """Return the seconds that finished cells took, by hash."""
        measured = {}
        for cell in cells:
            with suppress(FileNotFoundError, pl.exceptions.ColumnNotFoundError):
                column = pl.read_parquet(self.file(cell.hash), columns=["seconds"])
                measured[cell.hash] = float(column["seconds"].sum())
        return measured

    def read(self, cells: Sequence[Cell]) -> pl.DataFrame:
        """Return the rows of finished cells in the order of the cells, one column per name."""
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
        InvalidInput: the directory holds no rows.
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
        InvalidInput: the directory holds no summary, another command's, or an older version's.
    """
    file = out / "summary.json"
    summary = read_json(file, "study")
    if "claims" not in summary:
        raise InvalidInput(f"{file} is not a study's summary: name a study's directory")
    if summary.get("schema") != SCHEMA_VERSION:
        raise older_version(out, summary["manifest"])
    return summary


def older_version(out: Path, manifest: Mapping[str, Any]) -> InvalidInput:
    """Build the error for a directory whose cells this version names differently."""
    version = manifest.get("versions", {}).get("epsball", "0.1")
    return InvalidInput(
        f"{out} was written by epsball {version}, whose cells have other parameters: choose "
        "another --out (the version that wrote it can still continue it)"
    )
