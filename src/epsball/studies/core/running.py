"""How a study is run: plan, cells, rows, summary. What is done is never done twice."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from epsball.errors import unknown_name
from epsball.evaluation.engine.engine import deterministic
from epsball.evaluation.progress import Progress, Silent
from epsball.studies.core.cell import Cell
from epsball.studies.core.directory import settle, write_summary
from epsball.studies.core.executor import Executor, InProcess
from epsball.studies.core.options import Options, parse_grid
from epsball.studies.core.place import Place
from epsball.studies.core.spec import StudySpec
from epsball.studies.core.store import Row, Store
from epsball.studies.core.workers import Workers
from epsball.studies.table import STUDIES
from epsball.training.setup.arithmetic import without_denormals


@dataclass(frozen=True)
class StudyResult:
    """A finished study.

    Args:
        out: its directory.
        summary: the content of summary.json.
    """

    out: Path
    summary: dict[str, Any]

    @property
    def claims(self) -> list[dict[str, Any]]:
        """Return the verdicts, one a claim of the source."""
        return list(self.summary["claims"])


def run_study(
    name: str,
    out: Path | str,
    *,
    grid: str | None = None,
    workers: int = 1,
    executor: Executor | None = None,
    command: str = "",
    progress: Progress | None = None,
    **asked: Any,  # noqa: ANN401 - any option
) -> StudyResult:
    """Run a study, or go on with it, and sum it up.

    Leaves in the directory rows/ (one file a cell), rows.parquet, summary.json, models/ and what
    else its cells keep. `epsball.report.write_study` makes the pages.

    Args:
        name: in `STUDIES`.
        out: the directory; made if need be. One that holds the same study is continued: cells that
            are done are not done again, whatever seeds and grid are asked for now.
        grid: "l1=0,1e-5;l2=0": values in place of the study's own, parameter by parameter.
        workers: processes that do cells at once. The rows are the same for any number of them.
        executor: who does the cells, in place of workers.
        command: to print under "how to reproduce".
        progress: is told how far it is.
        **asked: options, see `Options`; None: the study's own.

    Returns:
        What came out.

    Raises:
        InvalidInput: unknown study, a bad option, or a directory that holds something else.
    """
    spec = study_named(name)
    options = make_options(spec, grid, asked)
    place = Place(Path(out), options.data, options.device)
    materials = place.materials()
    cells = list(spec.plan(options, materials))
    settle(place.out, spec.name, options, materials, command)
    store, work = Store(place.out), partial(perform, place=place)
    doing = executor or (InProcess() if workers == 1 else Workers(workers))
    doing.run(cells, work, store, progress or Silent())
    story = spec.sum_up(store.gather(cells), options, materials)
    done = sum(store.has(cell.hash) for cell in cells)
    summary = write_summary(place.out, spec, story, planned=len(cells), done=done)
    return StudyResult(place.out, summary)


def study_named(name: str) -> StudySpec:
    """Return a study of the table.

    Raises:
        InvalidInput: there is none of this name.
    """
    if name not in STUDIES:
        raise unknown_name("study", name, STUDIES)
    return STUDIES[name]


def make_options(spec: StudySpec, grid: str | None, asked: dict[str, Any]) -> Options:
    """Lay what is asked for over the study's own options.

    Raises:
        InvalidInput: an unknown option, or a value that cannot be meant.
    """
    known = list(Options.__dataclass_fields__)
    for name in asked.keys() - set(known):
        raise unknown_name("option of a study", name, known)
    given = {name: value for name, value in asked.items() if value is not None}
    if grid is not None:
        given["grid"] = parse_grid(grid, spec.known)
    return replace(spec.options, **given)


def perform(cell: Cell, place: Place) -> Sequence[Row]:
    """Do one cell: pure data in, rows out. Another process may do the same with the same result.

    Args:
        cell: what is to be done.
        place: directory, images, device.
    """
    started = time.perf_counter()
    with deterministic(cell.threads), without_denormals():
        rows = STUDIES[cell.study].run(cell, place)
    seconds = time.perf_counter() - started
    return [dict(row) | {"seconds": seconds / len(rows), "device": place.device} for row in rows]
