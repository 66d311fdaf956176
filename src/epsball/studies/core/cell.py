"""One unit of a study's work, as pure data. Imports no torch."""

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias

from epsball.errors import BrokenContract

Plain: TypeAlias = str | int | float | None
_SHARED = ("data", "content")  # parameters that all cells of a run have in common
_DIGITS = 32  # of the hexadecimal hash: 128 bits
_SEED_BITS = 31  # what every generator takes


@dataclass(frozen=True)
class Cell:
    """One unit of work, done once on any machine.

    It holds everything that changes the result, and no path and nothing about the machine.

    Args:
        study: the study's name.
        kind: the key of the study's work: "train", "judge" ...
        parameters: arguments of the work by name: numbers, strings and None.
        repeat: number of the repetition, from 0.
        threads: torch's CPU threads: sums in another order round differently.
        version: of the study's arithmetic; raised when a change of code changes its numbers.
        needs: hashes of the cells that have to be done first.

    Example:
        >>> one = Cell("red-blue", "train", {"l1": 0.0, "l2": 1e-4})
        >>> same = Cell("red-blue", "train", {"l2": 0.0001, "l1": 0})
        >>> one.hash == same.hash, one.hash == Cell("red-blue", "train", {"l1": 0.0}).hash
        (True, False)
    """

    study: str
    kind: str
    parameters: Mapping[str, Plain] = field(default_factory=dict)
    repeat: int = 0
    threads: int = 1
    version: int = 1
    needs: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - works know the types of theirs
        """Return a parameter."""
        return self.parameters[name]

    @property
    def hash(self) -> str:
        """Return the hash of the content: 32 hexadecimal digits."""
        return _digest(asdict(self) | {"parameters": dict(self.parameters)})

    @property
    def seed(self) -> int:
        """Return a seed that no other cell has, below 2^31."""
        return int(self.hash, 16) >> (4 * _DIGITS - _SEED_BITS)

    def shared_seed(self, *names: str) -> int:
        """Return a seed shared by all cells with the same study, repeat and these parameters.

        For paired designs: networks that differ in one setting then start from the same weights
        and see their images in the same order, so that the setting is the only difference.

        Args:
            names: the parameters that decide; the cell has all of them.
        """
        part = {"study": self.study, "repeat": self.repeat, "version": self.version}
        digest = _digest(part | {name: self.parameters[name] for name in names})
        return int(digest, 16) >> (4 * _DIGITS - _SEED_BITS)

    @property
    def label(self) -> str:
        """Return a short description, for progress bars and tables."""
        return " ".join([self.kind, *map(_setting, self._shown()), f"#{self.repeat}"])

    def _shown(self) -> Iterator[tuple[str, Plain]]:
        own = ((k, v) for k, v in self.parameters.items() if k not in _SHARED and v is not None)
        return itertools.islice(own, 4)


def labels(cells: Sequence[Cell]) -> dict[str, str]:
    """Return a description of each cell that differs from those of the others of its kind.

    Args:
        cells: of one study.

    Returns:
        By hash: the kind, the parameters that differ within the kind, and the repeat where there
        are several. A cell alone of its kind is described by its kind.
    """
    described: dict[str, str] = {}
    for kind in dict.fromkeys(cell.kind for cell in cells):
        part = [cell for cell in cells if cell.kind == kind]
        names = dict.fromkeys(name for cell in part for name in cell.parameters)
        differ = [n for n in names if len({repr(c.parameters.get(n)) for c in part}) > 1]
        repeats = len({cell.repeat for cell in part}) > 1
        for cell in part:
            chosen = [(n, cell.parameters[n]) for n in differ if cell.parameters.get(n) is not None]
            words = [kind, *map(_setting, chosen), *([f"#{cell.repeat}"] if repeats else [])]
            described[cell.hash] = " ".join(words)
    return described


def _setting(item: tuple[str, Plain]) -> str:
    name, value = item
    return f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}"


def in_order(cells: Sequence[Cell]) -> list[Cell]:
    """Return each cell once, after those it needs, otherwise in the given order.

    Args:
        cells: of one study.

    Raises:
        BrokenContract: a cell needs one that is not among them.
    """
    planned = {cell.hash: cell for cell in cells}
    ordered: dict[str, Cell] = {}
    for cell in planned.values():
        _place(cell, planned, ordered)
    return list(ordered.values())


def _place(cell: Cell, planned: Mapping[str, Cell], ordered: dict[str, Cell]) -> None:
    """Add a cell after its needs. No cycle is possible: a hash covers the hashes of its needs."""
    for need in cell.needs:
        if need not in planned:
            raise BrokenContract(f"study {cell.study}: {cell.label} needs {need}, not planned")
        _place(planned[need], planned, ordered)
    ordered.setdefault(cell.hash, cell)


def _digest(content: Mapping[str, Any]) -> str:
    text = json.dumps(_canonical(content), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


def _canonical(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Write a float without a fraction as an integer: 0 and 0.0 are one setting."""
    if isinstance(value, Mapping):
        return {key: _canonical(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(part) for part in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
