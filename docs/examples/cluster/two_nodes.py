"""Run a study on a two-node Ray cluster, kill one node in the middle, compare with a local run.

Both nodes are processes of this machine and listen on 127.0.0.1 only. Needs epsball[ray].

    python docs/examples/cluster/two_nodes.py DIRECTORY
"""

import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

# the cluster is for this machine only: use the loopback address, on any system
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

import polars as pl
import ray
from ray.cluster_utils import Cluster

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
NODE: dict[str, Any] = {
    "num_cpus": 1,
    "node_ip_address": "127.0.0.1",
    "object_store_memory": 200_000_000,
}


class Log:
    """A progress bar that prints what happens and counts finished cells."""

    def __init__(self) -> None:
        self.done = 0
        self.messages: list[str] = []

    def begin(self, stage: str, total: int) -> None:
        print(f"{stage}: {total}")

    def advance(self, count: int, note: str = "") -> None:
        self.done += count
        print(f"  {self.done} {note}")

    def say(self, text: str) -> None:
        self.messages.append(text)
        print(text)


def main(directory: Path) -> None:
    """Run the study twice and compare the rows."""
    local = run_study("red-blue", directory / "local", **STUDY)
    cluster = Cluster(initialize_head=True, head_node_args=NODE | {"include_dashboard": False})
    second = cluster.add_node(**NODE)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    log = Log()
    killer = threading.Thread(target=kill, args=(cluster, second, log))
    killer.start()
    executor = Ray(storage=str(directory / "storage"))
    remote = run_study("red-blue", directory / "cluster", executor=executor, progress=log, **STUDY)
    killer.join()
    ray.shutdown()
    cluster.shutdown()
    restarted = [text for text in log.messages if "started again" in text]
    one, other = (comparable(directory / name) for name in ("local", "cluster"))
    if local.failed or remote.failed:
        sys.exit("cells failed")
    if not restarted:
        sys.exit("the node was killed while it did nothing: run the script again")
    if not one.equals(other):
        sys.exit("the rows differ")
    print(
        f"{len(one)} rows of {remote.summary['cells']['done']} cells are identical to those of the "
        f"local run; {len(restarted)} cells of the lost node were started again"
    )


def kill(cluster: Cluster, node: object, log: Log) -> None:
    """Kill a node once a few cells are done."""
    while log.done < 5:
        time.sleep(0.05)
    cluster.remove_node(node, allow_graceful=False)
    log.say("killed one of the two nodes")


def comparable(out: Path) -> pl.DataFrame:
    """Return a study's rows without durations, the only columns that may differ."""
    rows = read_rows(out)
    return rows.drop([name for name in rows.columns if name.endswith("seconds")])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
