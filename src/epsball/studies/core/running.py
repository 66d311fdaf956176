"""Running a study: plan, cells, rows, summary. A finished cell is never run twice."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from epsball.evaluation.engine.engine import deterministic
from epsball.evaluation.progress import Progress, Silent
from epsball.studies.core.cell import Cell
from epsball.studies.core.directory import open_directory, write_summary
from epsball.studies.core.planning import Plan, make_plan
from epsball.studies.core.store import Row, Store
from epsball.studies.core.tracker import Tracker
from epsball.studies.core.workspace import Workspace
from epsball.studies.executors.base import Executor, InProcess
from epsball.studies.executors.processes import Processes
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
        """Return the verdicts, one per claim of the source."""
        return list(self.summary["claims"])

    @property
    def failed(self) -> list[dict[str, str]]:
        """Return the cells that failed, each {"cell", "label", "error", "message"}."""
        return list(self.summary["failed"])


def run_study(
    name: str,
    out: Path | str,
    *,
    grid: str | None = None,
    classes: str | None = None,
    only: str | None = None,
    workers: int = 1,
    executor: Executor | None = None,
    command: str = "",
    progress: Progress | None = None,
    **options: Any,  # noqa: ANN401 - any option
) -> StudyResult:
    """Run a study or continue it, and summarise it.

    Writes rows/ (one file per cell), rows.parquet, summary.json, models/ and other files that its
    cells keep. `epsball.report.write_study` makes the pages.

    Args:
        name: in `STUDIES`.
        out: the directory; created if it does not exist. One that holds the same study is
            continued: finished cells are not run again, and failed ones are tried again.
        grid: "l1=0,1e-5;l2=0": values that replace the study's own, parameter by parameter.
        classes: "cat,dog" or their numbers, for a study of single classes.
        only: "kind=judge;l1=0": run these cells and those that they need, leave the rest open.
        workers: processes that run cells at once. The rows are the same for any number of them.
        executor: runs the cells instead of local processes.
        command: printed under "how to reproduce".
        progress: is informed about finished cells and the time left.
        **options: see `Options`; None: the study's own.

    Returns:
        The study's directory and summary. A cell that raised an error is listed in `failed`.

    Raises:
        InvalidInput: unknown study or class, a bad option, or a directory with other content.
    """
    runner = executor or (InProcess() if workers == 1 else Processes(workers))
    plan = make_plan(name, Path(out), grid=grid, classes=classes, only=only, **options)
    runner.check()
    open_directory(plan.workspace.out, plan.spec.name, plan.options, plan.data, command)
    return run_plan(plan, runner, progress or Silent())


def run_plan(plan: Plan, executor: Executor, progress: Progress) -> StudyResult:
    """Run the selected cells of a plan in its directory, and summarise all finished ones.

    Args:
        plan: from `make_plan`; its directory was opened by `open_directory`.
        executor: runs the cells.
        progress: is informed about finished cells and the time left.
    """
    out = plan.workspace.out
    store = Store(out)
    tracker = Tracker(progress, plan.cost, store.seconds(plan.selected))
    executor.run(plan.selected, partial(perform, workspace=plan.workspace), store, tracker)
    story = plan.spec.summarise(store.gather(plan.cells), plan.options, plan.data)
    return StudyResult(out, write_summary(out, plan.spec, story, store, plan.cells))


def perform(cell: Cell, workspace: Workspace) -> Sequence[Row]:
    """Run one cell: pure data in, rows out; the same on any process and machine.

    Args:
        cell: the cell.
        workspace: directory, images, device.
    """
    started = time.perf_counter()
    with deterministic(cell.threads), without_denormals():
        rows = STUDIES[cell.study].works[cell.kind](cell, workspace)
    seconds = time.perf_counter() - started
    return [
        dict(row) | {"seconds": seconds / len(rows), "device": workspace.device} for row in rows
    ]
