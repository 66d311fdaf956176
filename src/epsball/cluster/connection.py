"""The connection to a Ray cluster."""

import os
import socket
from dataclasses import dataclass
from typing import Any

from epsball.errors import InvalidInput

_SECONDS = 5.0  # to wait for an address to answer
_DEFAULT_PORT = {"ray": 10001, "": 6379}


@dataclass(frozen=True)
class Resources:
    """What one task reserves on a node.

    Args:
        cpus: CPU cores.
        gpus: GPUs; a fraction lets tasks share one.
    """

    cpus: float = 1
    gpus: float = 0


def import_ray() -> Any:  # noqa: ANN401 - a module without type hints
    """Import Ray.

    Raises:
        InvalidInput: it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody
    try:
        import ray
    except ImportError as error:
        raise InvalidInput(
            f"--executor ray needs Ray ({error}): pip install 'epsball[ray]'"
        ) from None
    return ray


def connect(address: str | None) -> bool:
    """Connect this process to a cluster.

    Args:
        address: "HOST:PORT" of the head node, "ray://HOST:PORT" of a client server, or "auto": the
            cluster of this machine. None: that one, or a new one of this machine alone.

    Returns:
        Whether the connection is new; the caller then closes it by `disconnect`.

    Raises:
        InvalidInput: Ray is not installed, or the cluster cannot be reached.
    """
    ray = import_ray()
    if ray.is_initialized():
        return False
    if address not in (None, "auto"):
        _check_reachable(str(address))
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InvalidInput(
            f"--address {address or 'auto'}: no Ray cluster can be reached ({reason}); start one "
            "with `ray start --head`, or leave --address out to use this machine alone"
        ) from None
    return True


def disconnect() -> None:
    """Close the connection; tasks of this process that still run are stopped."""
    import_ray().shutdown()


def _check_reachable(address: str) -> None:
    """Try the port: Ray itself waits for minutes before it reports that there is no answer."""
    scheme, _, rest = address.rpartition("://")
    host, _, port = rest.rpartition(":") if ":" in rest else (rest, "", "")
    number = port or str(_DEFAULT_PORT.get(scheme, 6379))
    if not host or not number.isdecimal():
        raise InvalidInput(f"--address must be HOST:PORT, ray://HOST:PORT or auto, got {address!r}")
    try:
        socket.create_connection((host, int(number)), timeout=_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise InvalidInput(
            f"--address {address}: nothing answers there ({error}); start a cluster with "
            "`ray start --head` and give the address that it prints"
        ) from None


def check_resources(resources: Resources) -> None:
    """Check that some node can run a task: Ray would wait forever for one that can.

    Args:
        resources: that a task reserves.

    Raises:
        InvalidInput: no node of the cluster has them.
    """
    nodes = [node["Resources"] for node in import_ray().nodes() if node["Alive"]]
    wanted = {"CPU": resources.cpus, "GPU": resources.gpus}
    for name, amount in wanted.items():
        most = max((node.get(name, 0.0) for node in nodes), default=0.0)
        if amount > most:
            option = "--threads" if name == "CPU" else "--gpus-per-cell"
            raise InvalidInput(
                f"--executor ray: a cell needs {amount:g} {name}, and no node of the cluster has "
                f"more than {most:g}; choose a smaller {option}"
            )


def parallel_tasks(resources: Resources) -> int:
    """Return how many tasks the cluster can run at once, at least 1."""
    total = import_ray().cluster_resources()
    counts = [total.get("CPU", 0.0) / resources.cpus] if resources.cpus else []
    counts += [total.get("GPU", 0.0) / resources.gpus] if resources.gpus else []
    return max(1, int(min(counts, default=1)))
