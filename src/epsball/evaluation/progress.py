"""Progress of a run. The command line draws it; a library call stays silent."""

from typing import Protocol


class Progress(Protocol):
    """Receives the progress of a run."""

    def begin(self, stage: str, total: int) -> None:
        """Begin a stage of so many units; 0: unknown."""
        ...

    def advance(self, count: int, note: str = "") -> None:
        """Add finished units, with a note on what is being worked on."""
        ...

    def say(self, text: str) -> None:
        """Print a sentence."""
        ...


class Silent:
    """Ignores all progress."""

    def begin(self, stage: str, total: int) -> None:
        """Ignore it."""

    def advance(self, count: int, note: str = "") -> None:
        """Ignore it."""

    def say(self, text: str) -> None:
        """Ignore it."""
