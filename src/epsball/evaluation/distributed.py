"""The shards of an audit on the nodes of a Ray cluster, to the same records as in one process."""

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np

from epsball.cluster.connection import Resources, check_resources, connect, disconnect
from epsball.cluster.tasks import Tasks
from epsball.errors import InvalidInput
from epsball.evaluation.engine.engine import Engine, deterministic
from epsball.evaluation.progress import Progress
from epsball.evaluation.records.schema import RECORDS
from epsball.evaluation.records.shards import Shard, run_shard
from epsball.evaluation.settings import AttackSetting
from epsball.files import write_bytes
from epsball.types import Dataset, Positions

# passes by name, and (path in the run, content) of every file
ShardFiles: TypeAlias = tuple[Mapping[str, int], Sequence[tuple[str, bytes]]]


@dataclass(frozen=True)
class ShardCluster:
    """Attacks the shards of an audit on the nodes of a Ray cluster.

    The engine and the images are sent to every node once. The records come back to this process,
    which alone writes to the run's directory; it plans, checks and summarises as without a cluster.
    Shards of a node that is lost are started again on the others.

    Args:
        address: "HOST:PORT", "ray://HOST:PORT" or "auto"; None: the cluster of this machine, or a
            new one of this machine alone.
        gpus: GPUs that each shard reserves; a fraction lets shards share one.
    """

    address: str | None = None
    gpus: float = 0

    def check(self) -> bool:
        """Connect to the cluster, before anything is written; return whether that is new.

        Raises:
            InvalidInput: Ray is not installed, or the cluster cannot be reached.
        """
        return connect(self.address)

    def run(
        self,
        run: Path,
        engine: Engine,
        data: Dataset,
        shards: Sequence[Shard],
        settings: Sequence[AttackSetting],
        *,
        threads: int,
        progress: Progress,
    ) -> None:
        """Attack every shard that is not on disk yet.

        Args:
            run: the run's directory.
            engine: of the run.
            data: where the images come from.
            shards: all of the run.
            settings: the run's attacks.
            threads: of torch on the CPU.
            progress: shows finished shards.

        Raises:
            InvalidInput: no node has what a shard reserves, or a shard failed.
        """
        missing = {shard.number: _missing(run, shard, settings) for shard in shards}
        new = self.check()
        try:
            resources = Resources(threads, self.gpus)
            check_resources(resources)
            # the passes are counted anew, and the nodes build their own copy to search on
            sent = replace(engine, surrogate=None, passes=Counter())
            shared = (sent, _copying(data), threads)
            tasks: Tasks[int] = Tasks(attack_on_node, shared, resources, progress.say)
            open_shards = [shard for shard in shards if missing[shard.number]]
            progress.begin("attacking on the cluster", len(open_shards))
            for shard in open_shards:
                tasks.submit(shard.number, shard, missing[shard.number])
            waiting = len(open_shards)
            while waiting:
                for number, result in tasks.collect():
                    engine.passes.update(_write(run, number, result))
                    progress.advance(1)
                    waiting -= 1
        finally:
            if new:
                disconnect()


def _missing(run: Path, shard: Shard, settings: Sequence[AttackSetting]) -> list[AttackSetting]:
    return [s for s in settings if not (run / RECORDS / f"{shard.stem(s)}.parquet").exists()]


def _copying(data: Dataset) -> Dataset:
    """Return a data set whose reads are copies.

    Arrays come out of Ray's object store read-only and shared: a tensor made from one would write
    into the memory of all other tasks of the node.
    """
    read = data.read

    def copy(positions: Positions) -> np.ndarray:
        return np.array(read(positions))

    return replace(data, read=copy)


def attack_on_node(
    engine: Engine,
    data: Dataset,
    threads: int,
    shard: Shard,
    settings: Sequence[AttackSetting],
) -> ShardFiles:
    """Attack a shard and return its passes and the files it leaves, records last.

    Args:
        engine: of the run.
        data: where the images come from.
        threads: of torch on the CPU.
        shard: which images.
        settings: the attacks that are missing.
    """
    with tempfile.TemporaryDirectory() as scratch:
        run = Path(scratch)
        with deterministic(threads):
            run_shard(engine, data, shard, settings, run=run, advance=lambda *_: None)
        files = [file for file in run.rglob("*") if file.is_file()]
        files.sort(key=lambda file: (file.suffix == ".parquet", file.name))
        contents = [(file.relative_to(run).as_posix(), file.read_bytes()) for file in files]
        return dict(engine.passes), contents


def _write(run: Path, number: int, result: ShardFiles | Exception) -> Mapping[str, int]:
    """Write the files of a shard, and return its passes."""
    if isinstance(result, Exception):
        raise InvalidInput(
            f"--executor ray: shard {number} failed ({type(result).__name__}: {result}); the same "
            "command continues the audit"
        )
    passes, files = result
    for name, content in files:
        write_bytes(run / name, content)
    return passes
