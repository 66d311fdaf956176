"""Run a study or an audit on a two-node Ray cluster, kill one node in the middle, compare.

Both nodes are processes of this machine and listen on 127.0.0.1 only. Needs epsball[ray].

    python docs/examples/cluster/two_nodes.py study DIRECTORY
    python docs/examples/cluster/two_nodes.py audit DIRECTORY
"""

import os
import sys
import threading
import time
from pathlib import Path
from typing import Any
from unittest import mock

# the cluster is for this machine only: use the loopback address, on any system
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

import polars as pl
import ray
from ray.cluster_utils import Cluster

from epsball import audit
from epsball.evaluation.distributed import ShardCluster
from epsball.evaluation.planning import sizing
from epsball.studies import read_rows, run_study
from epsball.studies.executors.ray import Ray

STUDY: dict[str, Any] = {
    "data": "digits",
    "grid": "arm=clean;l1=0,1e-4;l2=0,1e-4",
    "seeds": 2,
    "epochs": 20,
    "limit": 200,
    "searched": 0,
}
AUDIT: dict[str, Any] = {
    "model": "zoo:base-cnn-robust",
    "data": "digits",
    "attacks": ["pgd"],
    "steps": 10,
    "eps": [0.1, 0.3],
    "limit": 96,
    "micro_batch": 16,
    "precision": "float32",
    "full_budget": True,
}
STAGES = ("cells", "attacking on the cluster")
NODE: dict[str, Any] = {
    "num_cpus": 1,
    "node_ip_address": "127.0.0.1",
    "object_store_memory": 200_000_000,
}


class Log:
    """A progress bar that prints what happens and counts what a stage finished."""

    def __init__(self) -> None:
        self.stage, self.done = "", 0
        self.messages: list[str] = []

    def begin(self, stage: str, total: int) -> None:
        self.stage, self.done = stage, 0
        print(f"{stage}: {total}")

    def advance(self, count: int, note: str = "") -> None:
        self.done += count
        print(f"  {self.done} {note}")

    def say(self, text: str) -> None:
        self.messages.append(text)
        print(text)


def study(directory: Path, address: str | None, log: Log) -> pl.DataFrame:
    """Run the study, on a cluster if there is an address, and return its rows."""
    executor = Ray(address, storage=str(directory / "storage")) if address else None
    result = run_study("red-blue", directory, executor=executor, progress=log, **STUDY)
    if result.failed:
        sys.exit(f"cells failed: {result.failed}")
    return read_rows(directory)


def attack(directory: Path, address: str | None, log: Log) -> pl.DataFrame:
    """Audit a model, on a cluster if there is an address, and return the records."""
    cluster = ShardCluster(address) if address else None
    # a shard usually takes half a minute; shards of 16 images give both nodes several of them
    with mock.patch.object(sizing, "_SECONDS_A_SHARD", 0.0):
        return audit(out=directory, cluster=cluster, progress=log, **AUDIT).records


def main(what: str, directory: Path) -> None:
    """Run it locally and on the cluster, and compare the rows."""
    run = {"study": study, "audit": attack}[what]
    local = run(directory / "local", None, Log())
    cluster = Cluster(initialize_head=True, head_node_args=NODE | {"include_dashboard": False})
    second = cluster.add_node(**NODE)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    log = Log()
    killer = threading.Thread(target=kill, args=(cluster, second, log), daemon=True)
    killer.start()
    remote = run(directory / "cluster", "auto", log)
    ray.shutdown()
    cluster.shutdown()
    restarted = [text for text in log.messages if "started again" in text]
    if not restarted:
        sys.exit("the node was killed while it did nothing: run the script again")
    if not comparable(local).equals(comparable(remote)):
        sys.exit("the rows differ")
    print(
        f"{len(local)} rows are identical to those of the local run; what ran on the lost node was "
        f"started again ({len(restarted)} times)"
    )


def kill(cluster: Cluster, node: object, log: Log) -> None:
    """Kill a node once a few cells or shards are done on the cluster."""
    while log.stage not in STAGES or log.done < 2:
        time.sleep(0.05)
    cluster.remove_node(node, allow_graceful=False)
    log.say("killed one of the two nodes")


def comparable(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows without durations, the only columns that may differ."""
    return rows.drop([name for name in rows.columns if name.endswith("seconds")])


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
