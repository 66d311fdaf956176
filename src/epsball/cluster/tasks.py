"""Tasks on a Ray cluster; those that a lost node or a killed process leaves are started again."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from epsball.cluster.connection import Resources, import_ray, parallel_tasks

Key = TypeVar("Key", bound=Hashable)
ATTEMPTS = 3  # of a task whose process or node disappears


class TaskLost(RuntimeError):
    """A task's process was killed each time that it ran."""


@dataclass
class Tasks(Generic[Key]):
    """Calls of one function on the nodes of a cluster.

    Args:
        function: can be imported on every node.
        shared: arguments that all calls share, stored once on every node that needs them. NumPy
            arrays arrive read-only and in memory that all tasks of a node share.
        resources: that each call reserves.
        report: is given a sentence when a call is started again.
    """

    function: Callable[..., Any]
    shared: tuple[Any, ...]
    resources: Resources
    report: Callable[[str], None]
    _running: dict[Any, tuple[Key, tuple[Any, ...]]] = field(default_factory=dict)
    _attempts: dict[Key, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Store the shared arguments on the cluster."""
        ray = import_ray()
        # tasks are started again here and not by Ray, which would repeat one that runs out of
        # memory without end
        self._remote = ray.remote(max_retries=0)(self.function).options(
            num_cpus=self.resources.cpus, num_gpus=self.resources.gpus
        )
        self._shared = tuple(ray.put(value) for value in self.shared)

    @property
    def parallel(self) -> int:
        """Return how many calls can run at once now."""
        return parallel_tasks(self.resources)

    def submit(self, key: Key, *arguments: Any) -> None:  # noqa: ANN401 - of the function
        """Start a call.

        Args:
            key: names it.
            *arguments: of the function, after the shared ones.
        """
        self._attempts[key] = self._attempts.get(key, 0) + 1
        reference = self._remote.remote(*self._shared, *arguments)
        self._running[reference] = (key, arguments)

    def collect(self) -> list[tuple[Key, Any]]:
        """Wait until at least one call has ended.

        Returns:
            (key, what it returned); what it raised, if it did, is returned as an exception, and
            `TaskLost` where its process was killed `ATTEMPTS` times.
        """
        ray = import_ray()
        while True:
            ended, _ = ray.wait(list(self._running), num_returns=1)
            results = [result for reference in ended for result in self._result(reference)]
            if results:
                return results

    def _result(self, reference: Any) -> list[tuple[Key, Any]]:  # noqa: ANN401 - a ray.ObjectRef
        """Return what a call came to; nothing where it was started again."""
        ray = import_ray()
        key, arguments = self._running.pop(reference)
        lost = (
            ray.exceptions.NodeDiedError,
            ray.exceptions.WorkerCrashedError,
            ray.exceptions.OutOfMemoryError,
            ray.exceptions.ObjectLostError,
        )
        try:
            return [(key, ray.get(reference))]
        except lost as error:
            if self._attempts[key] < ATTEMPTS:
                self.report(f"{type(error).__name__}: {key} is started again")
                self.submit(key, *arguments)
                return []
            return [(key, TaskLost(_reason(error)))]
        except Exception as error:
            return [(key, getattr(error, "cause", None) or error)]


def _reason(error: Exception) -> str:
    kind = type(error).__name__
    return (
        f"its process was killed {ATTEMPTS} times ({kind}), most likely for lack of memory; use "
        "nodes with more memory"
    )
