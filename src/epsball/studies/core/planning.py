"""From a command to a plan: the cells of a study, before anything is run or written."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from epsball.errors import InvalidInput, unknown_name
from epsball.evaluation.progress import Silent
from epsball.studies.core.cell import Cell, in_order, labels
from epsball.studies.core.data_summary import DataSummary
from epsball.studies.core.directory import check_directory
from epsball.studies.core.options import Options, parse_classes, parse_grid
from epsball.studies.core.selection import select
from epsball.studies.core.spec import StudySpec
from epsball.studies.core.store import Store
from epsball.studies.core.tracker import Tracker
from epsball.studies.core.workspace import Workspace
from epsball.studies.table import STUDIES


@dataclass(frozen=True)
class Plan:
    """A study with its options, its images and its cells.

    Args:
        spec: the study.
        options: the study's own, with those that were given.
        data: facts about the images.
        workspace: directory, images and device.
        cells: all cells, each after those it needs.
        selected: the cells to run now, and those they need.
    """

    spec: StudySpec
    options: Options
    data: DataSummary
    workspace: Workspace
    cells: list[Cell]
    selected: list[Cell]

    def cost(self, cell: Cell) -> float:
        """Return the expected seconds of a cell on one core of the reference machine."""
        return self.spec.cost(cell, self.data)


def make_plan(
    name: str,
    out: Path | None,
    *,
    grid: str | None = None,
    classes: str | None = None,
    only: str | None = None,
    **given: Any,  # noqa: ANN401 - any option
) -> Plan:
    """Plan a study. Reads the images; writes nothing.

    Args:
        name: in `STUDIES`.
        out: the study's directory; it need not exist. None: none yet, for a preview.
        grid: "l1=0,1e-5;l2=0": values that replace the study's own, parameter by parameter.
        classes: "cat,dog" or their numbers, for a study of single classes.
        only: "kind=judge;l1=0": run these cells and those that they need; see `select`.
        **given: options, see `Options`; None: the study's own.

    Raises:
        InvalidInput: unknown study or class, a bad option, or a directory with other content.
    """
    spec = study_named(name)
    options = make_options(spec, grid, given)
    if classes is not None and not spec.by_class:
        able = [other.name for other in STUDIES.values() if other.by_class]
        raise InvalidInput(
            f"study {name}: --classes applies to studies of single classes only "
            f"({', '.join(able) or 'none is installed'}); leave it out"
        )
    workspace = Workspace(out or Path(), options.data, options.device)
    data = workspace.summarise_data(train=spec.trains)
    if classes is not None:
        options = replace(options, classes=parse_classes(classes, data.class_names))
    cells = in_order(spec.plan(options, data))
    selected = select(cells, only)
    if out is not None:
        check_directory(out, spec.name, options, data)
    return Plan(spec, options, data, workspace, cells, selected)


def study_named(name: str) -> StudySpec:
    """Return a study of the table.

    Raises:
        InvalidInput: no study has this name.
    """
    if name not in STUDIES:
        raise unknown_name("study", name, STUDIES)
    return STUDIES[name]


def make_options(spec: StudySpec, grid: str | None, given: Mapping[str, Any]) -> Options:
    """Return the study's own options, with those that were given in their place.

    Raises:
        InvalidInput: an unknown option, or a value out of range.
    """
    known = list(Options.__dataclass_fields__)
    for name in given.keys() - set(known):
        raise unknown_name("option of a study", name, known)
    changed = {name: value for name, value in given.items() if value is not None}
    if grid is not None:
        changed["grid"] = parse_grid(grid, spec.known)
    return replace(spec.options, **changed)


@dataclass(frozen=True)
class PlannedCell:
    """A cell of a plan, with its state.

    Args:
        cell: the cell.
        label: a description that no other cell of the plan has.
        seconds: measured where it is done, else expected.
        state: "done", "failed" or "open".
    """

    cell: Cell
    label: str
    seconds: float
    state: str


def preview(plan: Plan) -> list[PlannedCell]:
    """Return the selected cells with their cost and state, before anything runs.

    Args:
        plan: from `make_plan`.
    """
    store = Store(plan.workspace.out)
    measured = store.seconds(plan.selected)
    failed = {failure["cell"] for failure in store.failures(plan.selected)}
    tracker = Tracker(Silent(), plan.cost, measured)
    done = {cell.hash for cell in plan.selected if store.has(cell.hash)}
    tracker.begin(plan.selected, done, slots=1)
    known = labels(plan.selected)
    return [
        PlannedCell(
            cell,
            known[cell.hash],
            measured.get(cell.hash, tracker.expect(cell)),
            "done" if cell.hash in done else "failed" if cell.hash in failed else "open",
        )
        for cell in plan.selected
    ]
