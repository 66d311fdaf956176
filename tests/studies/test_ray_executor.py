"""A cell on a node of a cluster: the same rows, artefacts in the storage, images never changed."""

import runpy
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from epsball import __version__
from epsball.cluster.storage import Storage
from epsball.errors import InvalidInput
from epsball.evaluation.progress import Silent
from epsball.studies.core.planning import Plan, make_plan
from epsball.studies.core.running import perform
from epsball.studies.core.store import Store
from epsball.studies.core.tracker import Tracker
from epsball.studies.executors import ray as node
from epsball.studies.executors.base import InProcess

SCRIPT = Path(__file__).parents[2] / "docs" / "examples" / "cluster" / "two_nodes.py"
SMALL: dict[str, Any] = {
    "grid": "l1=0;l2=0;arm=clean;hidden=8",
    "data": "digits",
    "seeds": 1,
    "limit": 20,
    "train_limit": 100,
    "searched": 0,
    "epochs": 1,
}


def planned(out: Path) -> Plan:
    return make_plan("red-blue", out, **SMALL)


def comparable(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.drop([name for name in rows.columns if name.endswith("seconds")])


def test_a_node_gives_the_rows_of_the_local_run(tmp_path: Path) -> None:
    plan, store = planned(tmp_path / "local"), Store(tmp_path / "local")
    work = partial(perform, workspace=plan.workspace)
    InProcess().run(plan.cells, work, store, Tracker(Silent(), plan.cost))
    remote = Store(tmp_path / "remote")
    storage = Storage(str(tmp_path / "storage"))
    job = node._Job("digits", "auto", storage, __version__)
    arrays = node._arrays(plan.workspace, train=True)
    for content in arrays.values():
        assert content is not None
        content["images"].flags.writeable = False  # as they come out of Ray's object store
    for cell in plan.cells:
        outcome = node.run_on_node(job, arrays, cell)
        assert outcome.failure is None
        remote.save(cell, outcome.rows)
    assert comparable(remote.read(plan.cells)).equals(comparable(store.read(plan.cells)))
    for cell in plan.cells:  # the storage has what a local study leaves in its directory
        for path in plan.workspace.artefacts(cell.hash):
            beside = tmp_path / "storage" / path.relative_to(plan.workspace.out)
            assert beside.exists() == path.exists()


def test_shared_images_are_copied_before_a_tensor_writes() -> None:
    images = np.zeros((4, 1, 2, 2), np.float32)
    images.flags.writeable = False
    content = {
        "name": "x",
        "labels": np.zeros(4, np.int64),
        "class_names": ("a",),
        "shape": (1, 2, 2),
        "images": images,
    }
    dataset = node.dataset_of(content)
    for rows in (np.arange(2), slice(0, 2)):
        torch.from_numpy(dataset.read(rows)).add_(1)  # type: ignore[arg-type]  # a slice is a view
    assert (images == 0).all()
    assert dataset.labels.flags.writeable


def test_another_version_on_a_node_is_named(tmp_path: Path) -> None:
    plan = planned(tmp_path / "out")
    job = node._Job("digits", "auto", Storage(str(tmp_path)), "0.0.1")
    with pytest.raises(InvalidInput, match="install the same version on all"):
        node.run_on_node(job, {}, plan.cells[0])


def test_the_example_of_two_nodes_audits_as_it_is(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    example = runpy.run_path(str(SCRIPT))
    example["AUDIT"].update(limit=16, steps=1, attacks=["fgsm"])
    assert len(example["attack"](tmp_path, None, None)) == 32


@pytest.mark.slow
@pytest.mark.parametrize("what", ["study", "audit"])
def test_a_cluster_that_loses_a_node_gives_the_local_rows(tmp_path: Path, what: str) -> None:
    pytest.importorskip("ray")
    ended = subprocess.run(
        [sys.executable, str(SCRIPT), what, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=590,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "identical to those of the local run" in ended.stdout
