"""What each phase of an audit costs: seconds, and images that pass the model."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

PHASES = ("reading", "planning", "checks", "attacks", "belief", "measuring", "report")


class Phases:
    """Adds up seconds and passes by phase; a phase inside another is not counted twice."""

    def __init__(self) -> None:
        """Start with no cost."""
        self.passes = Counter[str]()
        self._spent = {name: [0.0, 0, 0] for name in PHASES}
        self._names: list[str] = []
        self._last = time.perf_counter(), 0, 0

    @contextmanager
    def during(self, name: str) -> Iterator[None]:
        """Count what happens inside the block for a phase."""
        self._settle()
        self._names.append(name)
        try:
            yield
        finally:
            self._settle()
            self._names.pop()

    def as_dict(self) -> dict[str, dict[str, Any]]:
        """Return {phase: {seconds, forwards, backwards}}, every phase included."""
        self._settle()
        keys = ("seconds", "forwards", "backwards")
        return {name: dict(zip(keys, spent, strict=True)) for name, spent in self._spent.items()}

    def _settle(self) -> None:
        """Add what was spent since the last call to the innermost phase."""
        now = time.perf_counter(), self.passes["forwards"], self.passes["backwards"]
        if self._names:
            spent = self._spent[self._names[-1]]
            for i, (value, before) in enumerate(zip(now, self._last, strict=True)):
                spent[i] += value - before
        self._last = now
