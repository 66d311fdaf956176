"""Which cells of a plan to run now: `--only`. Imports no torch."""

from collections.abc import Mapping, Sequence

from epsball.errors import InvalidInput, unknown_name
from epsball.studies.core.cell import Cell, Plain, in_order


def select(cells: Sequence[Cell], only: str | None) -> list[Cell]:
    """Return the cells that a selection names, and those that they need.

    Args:
        cells: the whole plan.
        only: conditions separated by ";", each NAME=VALUE,VALUE: "kind=judge;l1=0,1e-5". NAME is
            "kind", "repeat" or a parameter of the cells; a cell has to satisfy all conditions.
            None: every cell.

    Raises:
        InvalidInput: an unknown name, a condition without a value, or no cell satisfies it.

    Example:
        >>> net = Cell("s", "train", {"l1": 0.5})
        >>> judge = Cell("s", "judge", {"l1": 0.5}, needs=(net.hash,))
        >>> other = Cell("s", "train", {"l1": 1.0})
        >>> [cell.kind for cell in select([net, judge, other], "kind=judge;l1=0.5")]
        ['train', 'judge']
    """
    if only is None:
        return list(cells)
    conditions = _parse(only, cells)
    chosen = [cell for cell in cells if _matches(cell, conditions)]
    if not chosen:
        raise InvalidInput(f"study: no cell of the plan satisfies --only {only!r}; see --plan")
    planned = {cell.hash: cell for cell in cells}
    return in_order(_with_needs(chosen, planned))


def _parse(only: str, cells: Sequence[Cell]) -> dict[str, tuple[str, ...]]:
    known = {"kind", "repeat"}.union(*(cell.parameters for cell in cells))
    conditions: dict[str, tuple[str, ...]] = {}
    for part in filter(None, (piece.strip() for piece in only.split(";"))):
        name, _, values = (piece.strip() for piece in part.partition("="))
        if name not in known:
            raise unknown_name("parameter of --only", name, known)
        if not values:
            raise InvalidInput(f"--only: write {name}=VALUE,VALUE, got {part!r}")
        conditions[name] = tuple(value.strip() for value in values.split(","))
    return conditions


def _matches(cell: Cell, conditions: Mapping[str, Sequence[str]]) -> bool:
    values = {**cell.parameters, "kind": cell.kind, "repeat": cell.repeat}
    return all(
        any(_equal(values.get(name), text) for text in texts) for name, texts in conditions.items()
    )


def _equal(value: Plain, text: str) -> bool:
    """Compare a value with what was typed: 1e-5 and 0.00001 are the same number."""
    if value is None or isinstance(value, str):
        return text == ("none" if value is None else value)
    try:
        return float(text) == value
    except ValueError:
        return False


def _with_needs(chosen: Sequence[Cell], planned: Mapping[str, Cell]) -> list[Cell]:
    needed: dict[str, Cell] = {}
    open_cells = list(chosen)
    while open_cells:
        cell = open_cells.pop()
        if cell.hash not in needed:
            needed[cell.hash] = cell
            open_cells += [planned[need] for need in cell.needs]
    return [cell for cell in planned.values() if cell.hash in needed]
