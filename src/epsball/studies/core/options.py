"""What a study is asked to do, checked. Imports no torch."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from epsball.errors import InvalidInput, unknown_name
from epsball.studies.core.cell import Plain

Grid = Mapping[str, tuple[Plain, ...]]


@dataclass(frozen=True)
class Options:
    """How a study is to be run.

    Args:
        data: as `load_data` takes it.
        seeds: repetitions of every setting, at least 1.
        limit: test images that are used; None: all.
        train_limit: training images that are used; None: all.
        searched: test images that the dear attacks get; 0 leaves those attacks out.
        epochs: of every training; None: the study's own.
        grid: the settings, by parameter; replaces the study's own values, parameter by parameter.
        threads: of torch on the CPU. Part of every cell, so it is not left to the machine.
        device: "auto", "cpu", "cuda" ...

    Raises:
        InvalidInput: a number that cannot be meant.
    """

    data: str = "mnist"
    seeds: int = 3
    limit: int | None = None
    train_limit: int | None = None
    searched: int = 1000
    epochs: int | None = None
    grid: Grid = field(default_factory=dict)
    threads: int = 1
    device: str = "auto"

    def __post_init__(self) -> None:
        """Refuse numbers that cannot be meant."""
        least = {"seeds": 1, "limit": 1, "train_limit": 1, "searched": 0, "epochs": 1, "threads": 1}
        for name, low in least.items():
            value = getattr(self, name)
            if value is not None and value < low:
                raise InvalidInput(f"study: {name} must be {low} or more, got {value}")


def parse_grid(text: str, known: Mapping[str, Plain]) -> dict[str, tuple[Plain, ...]]:
    """Read a grid as it is typed: "l1=0,1e-5;l2=0,1e-4".

    Args:
        text: parameters apart by ";", values by ",".
        known: the study's parameters with a usual value of each, which says what it is.

    Returns:
        The values of each parameter that is named; repeated values once.

    Raises:
        InvalidInput: an unknown parameter, no value, or a value of another kind.

    Example:
        >>> parse_grid("l1=0,1e-5; hidden=100", {"l1": 0.0, "hidden": 625})
        {'l1': (0.0, 1e-05), 'hidden': (100,)}
    """
    grid: dict[str, tuple[Plain, ...]] = {}
    for part in filter(None, (piece.strip() for piece in text.split(";"))):
        name, equals, values = (piece.strip() for piece in part.partition("="))
        if name not in known:
            raise unknown_name("parameter of the grid", name, known)
        if not equals or not values:
            raise InvalidInput(f"grid: write {name}=VALUE,VALUE, got {part!r}")
        read = [_value(name, value.strip(), known[name]) for value in values.split(",")]
        grid[name] = tuple(dict.fromkeys(read))
    return grid


def each_setting(grid: Grid) -> Iterator[dict[str, Plain]]:
    """Give every combination of a grid's values, the last parameter moving fastest.

    Example:
        >>> [list(setting.values()) for setting in each_setting({"l1": (0, 1), "l2": (5,)})]
        [[0, 5], [1, 5]]
    """
    for values in itertools.product(*grid.values()):
        yield dict(zip(grid, values, strict=True))


def _value(name: str, text: str, like: Plain) -> Plain:
    if isinstance(like, str):
        return text
    kind = int if isinstance(like, int) else float
    try:
        value = kind(text)
    except ValueError:
        what = "a whole number" if kind is int else "a number"
        raise InvalidInput(f"grid: {name} must be {what}, got {text!r}") from None
    if not 0 <= value < float("inf"):
        raise InvalidInput(f"grid: {name} must be finite and 0 or more, got {text!r}")
    return value
