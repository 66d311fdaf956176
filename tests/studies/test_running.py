"""Around a cell: threads, tiny numbers, time; and options laid over a study's own."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from epsball.errors import InvalidInput
from epsball.studies.core.cell import Cell
from epsball.studies.core.planning import make_options
from epsball.studies.core.running import perform
from epsball.studies.core.store import Row
from epsball.studies.core.workspace import Workspace
from epsball.studies.red_blue.study import RED_BLUE
from epsball.studies.table import STUDIES


def tiny() -> float:
    return float((torch.full((8,), 1e-30) * 1e-10).sum())


def test_a_cell_computes_with_its_threads_and_without_denormals(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if not torch.set_flush_denormal(False):
        pytest.skip("this processor cannot flush denormals")

    def run(cell: Cell, workspace: Workspace) -> list[Row]:
        seen: Row = {"threads_seen": torch.get_num_threads(), "tiny": tiny()}
        return [seen, seen]

    monkeypatch.setitem(STUDIES, "red-blue", replace(RED_BLUE, works={"x": run}))
    before = torch.get_num_threads()
    rows = perform(Cell("red-blue", "x", threads=before + 1), Workspace(tmp_path, "digits"))
    assert [row["threads_seen"] for row in rows] == [before + 1] * 2
    assert rows[0]["tiny"] == 0
    assert rows[0]["seconds"] == rows[1]["seconds"]
    assert tiny() > 0
    assert torch.get_num_threads() == before


def test_what_is_not_asked_for_is_the_studys_own() -> None:
    arguments = {"seeds": 5, "limit": None, "data": None}
    options = make_options(
        replace(RED_BLUE, options=replace(RED_BLUE.options, limit=7)), None, arguments
    )
    assert (options.seeds, options.limit, options.data) == (5, 7, "mnist")


def test_an_option_that_is_none_is_told() -> None:
    with pytest.raises(InvalidInput, match="did you mean 'seeds'"):
        make_options(RED_BLUE, None, {"seed": 1})
