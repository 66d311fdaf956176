"""The options of a study, validated. Imports no torch."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from epsball.errors import InvalidInput, unknown_name
from epsball.studies.core.cell import Plain

Grid = Mapping[str, tuple[Plain, ...]]


@dataclass(frozen=True)
class Options:
    """The options of a study.

    Args:
        data: as `load_data` takes it.
        seeds: repetitions of every setting, at least 1.
        limit: number of test images; None: all.
        train_limit: number of training images; None: all.
        searched: number of test images for the expensive attacks; 0 leaves those attacks out.
        epochs: of every training; None: the study's own.
        grid: values by parameter; each replaces the study's own values of that parameter.
        classes: names of the classes that a study of single classes covers; None: its own choice.
        threads: torch's CPU threads. Part of every cell, so not chosen by the machine.
        device: "auto", "cpu", "cuda" ...

    Raises:
        InvalidInput: a number out of range.
    """

    data: str = "mnist"
    seeds: int = 3
    limit: int | None = None
    train_limit: int | None = None
    searched: int = 1000
    epochs: int | None = None
    grid: Grid = field(default_factory=dict)
    classes: tuple[str, ...] | None = None
    threads: int = 1
    device: str = "auto"

    def __post_init__(self) -> None:
        """Refuse numbers out of range."""
        least = {"seeds": 1, "limit": 1, "train_limit": 1, "searched": 0, "epochs": 1, "threads": 1}
        for name, low in least.items():
            value = getattr(self, name)
            if value is not None and value < low:
                raise InvalidInput(f"study: {name} must be {low} or more, got {value}")


def parse_grid(text: str, known: Mapping[str, Plain]) -> dict[str, tuple[Plain, ...]]:
    """Parse a grid: "l1=0,1e-5;l2=0,1e-4".

    Args:
        text: parameters separated by ";", values by ",".
        known: the study's parameters, each with a typical value, whose type decides the parsing.

    Returns:
        The values of each named parameter, without repetitions.

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
    """Yield every combination of a grid's values, the last parameter changing fastest.

    Example:
        >>> [list(setting.values()) for setting in each_setting({"l1": (0, 1), "l2": (5,)})]
        [[0, 5], [1, 5]]
    """
    for values in itertools.product(*grid.values()):
        yield dict(zip(grid, values, strict=True))


def parse_classes(text: str, class_names: Sequence[str]) -> tuple[str, ...]:
    """Parse a list of classes: "cat,dog", or their numbers: "3,5".

    Args:
        text: names or numbers separated by ",".
        class_names: all classes, in the order of their numbers.

    Returns:
        Names, each once, in the given order.

    Raises:
        InvalidInput: a class that does not exist, or none is named.

    Example:
        >>> parse_classes("dog, 0", ["cat", "dog"])
        ('dog', 'cat')
    """
    names = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        numbered = part not in class_names and part.isdecimal() and int(part) < len(class_names)
        name = class_names[int(part)] if numbered else part
        if name not in class_names:
            raise unknown_name("class", name, class_names)
        names.append(name)
    if not names:
        raise InvalidInput(f"study: classes must name at least one class, got {text!r}")
    return tuple(dict.fromkeys(names))


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
