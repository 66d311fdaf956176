"""How many processor cores this process may use, and how its idle threads wait. No torch.

A container or a CI runner often sees all cores of its host and may use two of them. Threads beyond
those wait for each other, and by default OpenMP's threads wait by spinning (adr/0007).
"""

import math
import os
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path

_CGROUP_2 = "cpu.max"
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS")
_CGROUP_1 = ("cpu.cfs_quota_us", "cpu.cfs_period_us")


def usable_cores(root: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the cores that this process may use, at least 1.

    Args:
        root: where Linux shows control groups; elsewhere there is none, and no quota.

    Returns:
        The smallest of the cores that the affinity mask allows and the CPU quota of the control
        group, rounded up.
    """
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS and Windows
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    quota = cpu_quota(root)
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


def cpu_quota(root: Path) -> float | None:
    """Return the cores' worth of time that a control group allows; None where it sets no limit."""
    for folder in (root, root / "cpu", root / "cpu,cpuacct"):
        try:
            if (folder / _CGROUP_2).exists():
                quota, period = (folder / _CGROUP_2).read_text(encoding="ascii").split()[:2]
            else:
                quota, period = ((folder / f).read_text(encoding="ascii") for f in _CGROUP_1)
            share = float(quota) / float(period)  # "max" is no number
        except (OSError, ValueError, ZeroDivisionError):
            continue
        if share > 0:  # version 1 writes -1 for no limit
            return share
    return None


@contextmanager
def divided_cores(environment: MutableMapping[str, str], processes: int) -> Iterator[None]:
    """Let processes that are started inside the block share the cores, and wait passively.

    What the user has set stays. torch's threads in a study's cell are those of the cell; this is
    for every other library that starts as many threads as it sees cores.

    Args:
        environment: what the processes inherit; restored afterwards.
        processes: how many there will be.
    """
    each = str(max(1, usable_cores() // processes))
    shared = {"OMP_WAIT_POLICY": "passive"} | dict.fromkeys(_THREADS, each)
    added = [name for name in shared if name not in environment]
    environment.update({name: shared[name] for name in added})
    try:
        yield
    finally:
        for name in added:
            environment.pop(name, None)


def wait_passively(environment: MutableMapping[str, str]) -> None:
    """Let idle OpenMP threads sleep, unless the user has set a policy.

    It has to be set before torch is loaded.
    """
    environment.setdefault("OMP_WAIT_POLICY", "passive")
