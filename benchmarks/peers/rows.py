"""What was measured, one JSON object a line, written as it comes."""

import json
import os
from pathlib import Path
from typing import Any, TypeAlias

Row: TypeAlias = dict[str, Any]


class Rows:
    """A file of rows. One that a kill cut short in its last line is read up to there.

    Args:
        file: is made when the first row comes.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        lines = file.read_bytes().split(b"\n") if file.is_file() else []
        self._rows = [row for row in map(_read, lines) if row is not None]

    def of(self, **wanted: object) -> list[Row]:
        """Return the rows that hold all these values, in the order they came."""
        return [row for row in self._rows if all(row.get(k) == v for k, v in wanted.items())]

    def add(self, **row: Any) -> Row:  # noqa: ANN401 - whatever JSON can hold
        """Write a row and make sure that it is on the disk."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("ab") as stream:
            # a line that was cut short is ended first, so that it cannot spoil this one
            before = b"\n" if stream.tell() and not self._ends_a_line() else b""
            stream.write(before + json.dumps(row).encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
        self._rows.append(row)
        return row

    def _ends_a_line(self) -> bool:
        return self.file.read_bytes().endswith(b"\n")


def _read(line: bytes) -> Row | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None
