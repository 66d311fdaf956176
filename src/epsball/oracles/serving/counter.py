"""The server's own count of queries, and its answers by the key of the request."""

import json
import sqlite3
import threading
from pathlib import Path

from epsball.errors import InvalidInput

_TABLES = """
CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, body TEXT NOT NULL, labels TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS counts (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
INSERT OR IGNORE INTO counts VALUES ('queries', 0), ('repeated', 0);
"""


class Counter:
    """Counts the images that were answered; a repeated key is answered from memory, at no charge.

    Args:
        file: SQLite file that outlives the server; None: in memory.
    """

    def __init__(self, file: Path | None) -> None:
        self._lock = threading.Lock()
        try:
            self._base = sqlite3.connect(
                file or ":memory:", isolation_level=None, check_same_thread=False
            )
            self._base.executescript(
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;" + _TABLES
            )
        except sqlite3.Error as error:
            raise InvalidInput(
                f"serve: the ledger {file} cannot be used ({error}): name another file"
            ) from error

    def known(self, key: str, body: str) -> list[int] | None:
        """Return the labels that were given under a key, None where there are none.

        Args:
            key: of the request.
            body: hash of its body; the same key with another body is refused.

        Raises:
            InvalidInput: the key was used for another body.
        """
        with self._lock:
            stored = self._base.execute("SELECT body, labels FROM answers WHERE key = ?", (key,))
            row = stored.fetchone()
            if row is None:
                return None
            if row[0] != body:
                raise InvalidInput("this Idempotency-Key was used for another request")
            self._base.execute("UPDATE counts SET value = value + 1 WHERE name = 'repeated'")
        labels: list[int] = json.loads(row[1])
        return labels

    def add(self, key: str, body: str, labels: list[int]) -> None:
        """Count images, and keep their labels under the key where there is one."""
        with self._lock, self._base:
            self._base.execute("BEGIN IMMEDIATE")
            if key:
                row = (key, body, json.dumps(labels))
                self._base.execute("INSERT OR IGNORE INTO answers VALUES (?, ?, ?)", row)
            self._base.execute(
                "UPDATE counts SET value = value + ? WHERE name = 'queries'", (len(labels),)
            )

    def counts(self) -> dict[str, int]:
        """Return queries (images answered) and repeated (requests that were sent again)."""
        with self._lock:
            return dict(self._base.execute("SELECT name, value FROM counts").fetchall())
