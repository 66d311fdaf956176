"""The answers of an oracle on disk: what was paid is never paid again."""

import hashlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

from epsball.errors import InvalidInput

_TABLES = """
CREATE TABLE IF NOT EXISTS oracle (name TEXT NOT NULL, journal TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS answers (image TEXT PRIMARY KEY, label TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS open_requests (key TEXT PRIMARY KEY, images TEXT NOT NULL, body BLOB);
CREATE TABLE IF NOT EXISTS counts (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
INSERT OR IGNORE INTO counts VALUES ('paid', 0), ('resent', 0), ('requests', 0);
"""


class Journal:
    """Answers, open requests and counts of one oracle in one SQLite file.

    A request is written down before it is sent, and its answers in the same transaction that
    closes it. After a crash the open requests are sent again under their old key.

    Args:
        file: the database; None: in memory only.
        oracle: what is asked, as text; a file of another oracle is refused.

    Raises:
        InvalidInput: the file belongs to another oracle, is locked or is no database.
    """

    def __init__(self, file: Path | None, oracle: str) -> None:
        self.file = file
        try:
            if file is not None:
                file.parent.mkdir(parents=True, exist_ok=True)
            self._base = sqlite3.connect(file or ":memory:", isolation_level=None, timeout=1)
            # NORMAL: a killed process loses nothing; only a power failure may cost the last answers
            self._base.executescript(
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;" + _TABLES
            )
            known = self._base.execute("SELECT name, journal FROM oracle").fetchone()
        except sqlite3.Error as error:
            raise InvalidInput(
                f"oracle: the cache {file} cannot be used ({error}): another process may hold it, "
                "or it is another kind of file; name another with --cache"
            ) from error
        # part of every key: two clients may ask about the same images
        self._id = uuid4().hex if known is None else known[1]
        if known is None:
            self._base.execute("INSERT INTO oracle VALUES (?, ?)", (oracle, self._id))
        elif known[0] != oracle:
            raise InvalidInput(
                f"oracle: the cache {file} holds answers of {known[0]}, this is {oracle}: name "
                "another file with --cache"
            )

    def count(self, name: str) -> int:
        """Return a count: "paid", "resent" or "requests"."""
        row = self._base.execute("SELECT value FROM counts WHERE name = ?", (name,)).fetchone()
        return int(row[0])

    def answers(self, images: Sequence[str]) -> dict[str, str]:
        """Return the labels that are known, as JSON text, by the hash of the image."""
        known: dict[str, str] = {}
        for at in range(0, len(images), 500):
            part = images[at : at + 500]
            marks = ",".join("?" * len(part))
            query = f"SELECT image, label FROM answers WHERE image IN ({marks})"  # noqa: S608 - only question marks are inserted
            known.update(self._base.execute(query, part).fetchall())
        return known

    def open(self, images: Sequence[str], body: bytes) -> str:
        """Write down a request that is about to be sent, and return its key."""
        number = self.count("requests")
        key = hashlib.sha256(f"{self._id}/{number}/{','.join(images)}".encode()).hexdigest()[:32]
        with self._base:
            self._base.execute("BEGIN IMMEDIATE")
            self._base.execute(
                "INSERT INTO open_requests VALUES (?, ?, ?)", (key, ",".join(images), body)
            )
            self._add("requests", 1)
        return key

    def close(self, key: str, images: Sequence[str], labels: Sequence[str] | None) -> None:
        """Count an open request as paid and keep its answers; None: they cannot be used."""
        with self._base:
            self._base.execute("BEGIN IMMEDIATE")
            if labels is not None:
                pairs = zip(images, labels, strict=True)
                self._base.executemany("INSERT OR IGNORE INTO answers VALUES (?, ?)", pairs)
            self._base.execute("DELETE FROM open_requests WHERE key = ?", (key,))
            self._add("paid", len(images))

    def withdraw(self, key: str) -> None:
        """Forget an open request that the oracle has refused without an answer."""
        self._base.execute("DELETE FROM open_requests WHERE key = ?", (key,))

    def left_open(self) -> list[tuple[str, list[str], bytes]]:
        """Return (key, image hashes, body) of requests whose answer was lost."""
        requests = self._base.execute("SELECT key, images, body FROM open_requests ORDER BY rowid")
        return [(key, images.split(","), body) for key, images, body in requests.fetchall()]

    def count_resent(self, images: int) -> None:
        """Count images that are sent again."""
        self._add("resent", images)

    def _add(self, name: str, more: int) -> None:
        self._base.execute("UPDATE counts SET value = value + ? WHERE name = ?", (more, name))
