"""`--only`: which cells it names, and what they need."""

import pytest

from epsball.errors import InvalidInput
from epsball.studies.core.cell import Cell
from epsball.studies.core.selection import select

NETS = [Cell("s", "train", {"l1": l1, "arm": arm}) for l1 in (0.0, 1e-5) for arm in ("a", "b")]
JUDGES = [Cell("s", "judge", {**n.parameters, "images": None}, needs=(n.hash,)) for n in NETS]
CELLS = [*JUDGES, *NETS]


@pytest.mark.parametrize(
    ("only", "nets", "judges"),
    [
        (None, 4, 4),
        ("kind=train", 4, 0),
        ("kind=judge", 4, 4),
        ("kind=judge;l1=0", 2, 2),
        ("kind=judge; l1=0.00001 ;arm=a,b", 2, 2),
        ("arm=a;l1=1e-5", 1, 1),
        ("images=none", 4, 4),
        ("repeat=0;kind=train;l1=0;arm=b", 1, 0),
    ],
)
def test_what_is_selected(only: str | None, nets: int, judges: int) -> None:
    chosen = select(CELLS, only)
    assert sum(cell.kind == "train" for cell in chosen) == nets
    assert sum(cell.kind == "judge" for cell in chosen) == judges
    hashes = {cell.hash for cell in chosen}
    assert all(hashes.issuperset(cell.needs) for cell in chosen)


@pytest.mark.parametrize(
    ("only", "message"),
    [
        ("l3=0", "unknown parameter of --only 'l3': did you mean 'l1'"),
        ("kind", "write kind=VALUE,VALUE, got 'kind'"),
        ("kind=search", "no cell of the plan satisfies --only 'kind=search'"),
        ("l1=many", "no cell"),
    ],
)
def test_a_selection_of_nothing_is_refused(only: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        select(CELLS, only)
