"""A stateful detector: attackers ask about many images that are almost the same."""

import threading
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from epsball.errors import InvalidInput

_SIDE = 16  # images are compared in this size, averaged


@dataclass(frozen=True)
class DetectorSettings:
    """How queries are compared.

    Args:
        threshold: a query counts as suspicious if the mean distance to its nearest neighbours is
            below it; root mean square difference a pixel, in [0, 1].
        neighbours: how many of the client's earlier queries are averaged over.
        memory: queries that are remembered for each client.
        block: whether a detected client is refused; otherwise detections are only counted.

    Raises:
        InvalidInput: a value breaks its rule.
    """

    threshold: float = 0.02
    neighbours: int = 10
    memory: int = 1000
    block: bool = False

    def __post_init__(self) -> None:
        """Refuse values that break their rules."""
        if not 0 < self.threshold < 1:
            raise InvalidInput(f"detector: threshold must be in (0, 1), got {self.threshold}")
        if not 1 <= self.neighbours <= self.memory:
            raise InvalidInput(
                f"detector: neighbours must be in [1, memory = {self.memory}], "
                f"got {self.neighbours}"
            )


class Detector:
    """Remembers each client's queries and detects series of similar ones.

    Args:
        settings: how queries are compared.

    Source: Chen, Carlini and Wagner 2019, arXiv:1907.05587: a query whose k nearest earlier
    queries are nearer than a threshold is detected, and the memory is cleared then. Departure: the
    distance is taken between images averaged down to 16 x 16 pixels, not in a learned space.
    """

    def __init__(self, settings: DetectorSettings) -> None:
        self.settings = settings
        self._memories: dict[str, deque[NDArray[np.float32]]] = {}
        self._blocked: set[str] = set()
        self._counts = {"detections": 0, "watched": 0}
        self._lock = threading.Lock()

    def blocks(self, client: str, images: NDArray[np.float32]) -> bool:
        """Look at a client's images, and say whether the client is refused.

        Args:
            client: its address.
            images: (n, c, h, w), float32 in [0, 1].
        """
        with self._lock:
            if self.settings.block and client in self._blocked:
                return True
            count = sum(self._is_detected(client, one) for one in reduced(images))
            self._counts["watched"] += len(images)
            self._counts["detections"] += count
            if count:
                self._blocked.add(client)
            return bool(count) and self.settings.block

    def counts(self) -> dict[str, int]:
        """Return watched (images) and detections."""
        with self._lock:
            return dict(self._counts)

    def _is_detected(self, client: str, image: NDArray[np.float32]) -> bool:
        memory = self._memories.setdefault(client, deque(maxlen=self.settings.memory))
        detected = False
        if len(memory) >= self.settings.neighbours:
            apart = np.sqrt(np.mean((np.stack(memory) - image) ** 2, axis=1))
            nearest = np.partition(apart, self.settings.neighbours - 1)
            detected = float(nearest[: self.settings.neighbours].mean()) < self.settings.threshold
        if detected:
            memory.clear()
        else:
            memory.append(image)
        return detected


def reduced(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Average images down to at most 16 x 16 pixels, (n, values)."""
    n, channels, height, width = images.shape
    rows, columns = max(1, height // _SIDE), max(1, width // _SIDE)
    cut = images[:, :, : height // rows * rows, : width // columns * columns]
    blocks = cut.reshape(n, channels, height // rows, rows, width // columns, columns)
    small: NDArray[np.float32] = blocks.mean((3, 5)).reshape(n, -1).astype(np.float32)
    return small
