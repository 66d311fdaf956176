"""A Ray cluster runs the cells of a study, to the same rows as this process."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from epsball import __version__
from epsball.cluster.connection import (
    Resources,
    check_resources,
    connect,
    disconnect,
    import_ray,
)
from epsball.cluster.storage import Storage
from epsball.cluster.tasks import Tasks
from epsball.data.spec import Split
from epsball.errors import BrokenContract, InvalidInput
from epsball.studies.core.cell import Cell
from epsball.studies.core.store import Store
from epsball.studies.core.tracker import Tracker
from epsball.studies.core.workspace import Workspace, provide
from epsball.studies.executors.base import Outcome, Work, attempt, failure_of, run_cells
from epsball.types import Dataset

_LARGEST = 4 * 2**30  # bytes of images that are sent to the nodes; larger sets are read by them


class Ray:
    """Runs cells on the nodes of a Ray cluster.

    The images are sent to every node once, networks and other artefacts go through a storage that
    all nodes share, and rows come back to this process, which alone writes them. Cells of a node
    that is lost are started again on the others.

    Args:
        address: "HOST:PORT", "ray://HOST:PORT" or "auto"; None: the cluster of this machine, or a
            new one of this machine alone.
        storage: a directory or fsspec URL that every node can write to; None: the study's
            directory, which the nodes then have to share.
        gpus: GPUs that each cell reserves; a fraction lets cells share one.
    """

    def __init__(
        self, address: str | None = None, storage: str | None = None, gpus: float = 0
    ) -> None:
        self.address, self.storage, self.gpus = address, storage, gpus
        self._connected = False

    def check(self) -> None:
        """See `Executor`; connects to the cluster.

        Raises:
            InvalidInput: Ray is not installed, the cluster cannot be reached, or the storage
                cannot be written to.
        """
        import_ray()
        if self.storage is not None:
            Storage(self.storage).check()
        self._connected = connect(self.address) or self._connected

    def run(self, cells: Sequence[Cell], work: Work, store: Store, tracker: Tracker) -> None:
        """See `Executor`.

        Raises:
            InvalidInput: see `check`, or no node of the cluster has what a cell reserves.
        """
        workspace = _workspace_of(work)
        resources = Resources(max((cell.threads for cell in cells), default=1), self.gpus)
        storage = Storage(self.storage or str(store.out.resolve()))
        try:
            self.check()
            check_resources(resources)
            pool = _RayPool(workspace, storage, resources, cells, tracker.progress.say)
            run_cells(cells, pool, store, tracker)
        finally:
            if self._connected:
                disconnect()
                self._connected = False
        storage.load(store.out, [workspace.images(cell.hash) for cell in cells])


def _workspace_of(work: Work) -> Workspace:
    if isinstance(work, partial) and isinstance(work.keywords.get("workspace"), Workspace):
        workspace: Workspace = work.keywords["workspace"]
        return workspace
    raise BrokenContract("executor ray: the work must be partial(perform, workspace=...)")


class _RayPool:
    """The pool of a cluster."""

    def __init__(
        self,
        workspace: Workspace,
        storage: Storage,
        resources: Resources,
        cells: Sequence[Cell],
        report: Callable[[str], None],
    ) -> None:
        job = _Job(workspace.data, workspace.device, storage, __version__)
        arrays = _arrays(workspace, train=any(cell.kind == "train" for cell in cells))
        self.tasks: Tasks[str] = Tasks(run_on_node, (job, arrays), resources, report)
        self.cells: dict[str, Cell] = {}

    @property
    def parallel(self) -> int:
        return self.tasks.parallel

    @property
    def slots(self) -> int:
        return 2 * self.parallel  # cells that wait make a cluster that can grow do so

    def submit(self, cell: Cell) -> None:
        self.cells[cell.hash] = cell
        self.tasks.submit(cell.hash, cell)

    def collect(self) -> list[tuple[Cell, Outcome]]:
        return [
            (
                self.cells.pop(key),
                result if isinstance(result, Outcome) else Outcome((), 0.0, failure_of(result)),
            )
            for key, result in self.tasks.collect()
        ]


@dataclass(frozen=True)
class _Job:
    """What every node needs of a study.

    Args:
        data: the name of its images.
        device: as in `Workspace`.
        storage: of its artefacts.
        version: of epsball in the process that collects the rows.
    """

    data: str
    device: str
    storage: Storage
    version: str


Arrays = Mapping[Split, Mapping[str, Any] | None]  # None: the nodes read the images themselves


def _arrays(workspace: Workspace, *, train: bool) -> Arrays:
    """Return the images as arrays, where they are not too large to be sent."""
    splits: dict[Split, Dataset] = {"test": workspace.test_set()}
    if train:
        splits["train"] = workspace.train_set()
    size = sum(len(d) * int(np.prod(d.shape)) for d in splits.values())
    if size > _LARGEST:
        return dict.fromkeys(splits)
    return {split: _as_arrays(dataset) for split, dataset in splits.items()}


def _as_arrays(dataset: Dataset) -> Mapping[str, Any]:
    return {
        "name": dataset.name,
        "labels": dataset.labels,
        "class_names": dataset.class_names,
        "shape": dataset.shape,
        "images": dataset.read(np.arange(len(dataset))),
    }


def run_on_node(job: _Job, arrays: Arrays, cell: Cell) -> Outcome:
    """Run a cell on a node: fetch what it needs, run it, save what it leaves.

    Args:
        job: of the study.
        arrays: its images; read-only, and shared by all tasks of the node.
        cell: the cell.
    """
    from epsball.studies.core.running import perform

    if __version__ != job.version:
        raise InvalidInput(
            f"a node has epsball {__version__}, this machine {job.version}: install the same "
            "version on all"
        )
    _provide(job.data, arrays)
    # a fresh directory: nothing that an attempt on a lost node has left can be taken for a result
    with tempfile.TemporaryDirectory(dir=_scratch(job.storage.url)) as scratch:
        workspace = Workspace(Path(scratch), job.data, job.device)
        needed = [path for need in cell.needs for path in workspace.artefacts(need)]
        job.storage.load(workspace.out, needed)
        outcome = attempt(partial(perform, workspace=workspace), cell)
        if outcome.failure is None:
            job.storage.save(workspace.out, workspace.artefacts(cell.hash))
    return outcome


def _scratch(url: str) -> Path:
    path = Path(tempfile.gettempdir()) / f"epsball-{sha256(url.encode()).hexdigest()[:12]}"
    path.mkdir(parents=True, exist_ok=True)
    return path


_PROVIDED: set[tuple[str, Split]] = set()


def _provide(data: str, arrays: Arrays) -> None:
    for split, content in arrays.items():
        if content is not None and (data, split) not in _PROVIDED:
            provide(data, split, dataset_of(content))
            _PROVIDED.add((data, split))


def dataset_of(content: Mapping[str, Any]) -> Dataset:
    """Build a data set from arrays that may be read-only and shared.

    Every read is a copy: a tensor made from the array itself would write into the memory of all
    other tasks of the node.

    Args:
        content: "name", "labels", "class_names", "shape" and "images" of the data set.
    """
    images = content["images"]
    return Dataset(
        content["name"],
        np.array(content["labels"]),
        tuple(content["class_names"]),
        tuple(content["shape"]),
        lambda rows: np.array(images[rows]),
    )
