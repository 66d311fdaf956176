"""Progress of a run. The command line draws it; a library call stays silent."""

from typing import Protocol


class Progress(Protocol):
    """Something that wants to know."""

    def begin(self, stage: str, total: int) -> None:
        """Hear that a stage of so many units begins; 0 where nobody knows how many."""
        ...

    def advance(self, count: int, note: str = "") -> None:
        """Hear that so many units are done, and what is being worked on."""
        ...

    def say(self, text: str) -> None:
        """Hear a sentence worth printing."""
        ...


class Silent:
    """Tell nobody."""

    def begin(self, stage: str, total: int) -> None:
        """Ignore it."""

    def advance(self, count: int, note: str = "") -> None:
        """Ignore it."""

    def say(self, text: str) -> None:
        """Ignore it."""
