"""The plain values that all packages exchange. Nothing here imports torch."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Norm: TypeAlias = Literal["linf", "l2", "l1", "l0"]
NORMS: tuple[Norm, ...] = ("linf", "l2", "l1", "l0")
Severity: TypeAlias = Literal["info", "warning", "blocking"]
Gives: TypeAlias = Literal["logits", "log-probabilities", "log-odds", "probabilities", "labels"]
# of a search: on the model itself, or on a cheaper copy that computes in float32 or bfloat16
Precision: TypeAlias = Literal["float32", "float32-copy", "bfloat16"]
Pixels: TypeAlias = NDArray[Any]  # (m, c, h, w), uint8 or float32 in [0, 1]
Positions: TypeAlias = NDArray[np.int64]  # (m,), rows of a data set


@dataclass(frozen=True)
class ModelInfo:
    """What is known of a classifier beside its scores.

    Args:
        classes: k, the number of classes it can name.
        rejects: whether scores have one more column, the last, that means "reject".
        gives: what the scores are.
        differentiable: whether scores carry a gradient back to the image.
    """

    classes: int
    rejects: bool = False
    gives: Gives = "logits"
    differentiable: bool = True


@dataclass(frozen=True)
class Passes:
    """Images that pass a model, forwards and backwards.

    Example:
        >>> (Passes(3, 1) + Passes(1, 1).times(2)).cost
        11
    """

    forwards: float = 0
    backwards: float = 0

    def __add__(self, other: "Passes") -> "Passes":
        """Return both together."""
        return Passes(self.forwards + other.forwards, self.backwards + other.backwards)

    def times(self, factor: float) -> "Passes":
        """Return so many times as much."""
        return Passes(factor * self.forwards, factor * self.backwards)

    @property
    def cost(self) -> float:
        """Return the cost in forward passes, of which a backward pass costs two."""
        return self.forwards + 2 * self.backwards


@dataclass(frozen=True)
class Search:
    """How an attack may save work. Without one every image gets the full budget in float32.

    Args:
        retire: an image that is fooled leaves the batch at once.
        confirm: the caller's own model in float32, asked about every success; needed where the
            search runs on something cheaper. None: the search's own scores are the verdict.
        precision: of the model that is searched on.
        micro_batch: images a forward pass; None: all that are given.
    """

    retire: bool = True
    confirm: Callable[[Any], Any] | None = None
    precision: Precision = "float32"
    micro_batch: int | None = None


@dataclass(frozen=True)
class Finding:
    """A doubt about an evaluation, as a value. With a blocking one no rate is printed."""

    code: str
    severity: Severity
    message: str
    evidence: dict[str, Any] = field(default_factory=dict)
    remedy: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the finding as plain data, in the form summary.json holds."""
        return asdict(self)


@dataclass(frozen=True)
class Dataset:
    """Labelled images that are read when they are needed, never all at once.

    Args:
        name: as a person asks for it: "mnist", "folder:/images".
        labels: (n,), int64.
        class_names: k names, in label order.
        shape: (c, h, w) of every image.
        read: positions (m,) -> (m, c, h, w), uint8 or float32 in [0, 1].
        order: where the labels come from: "stated" by the data, or by names of class folders:
            their place in the alphabet ("names"), or the number that they are ("numbers").
        in_memory: whether images are read without decoding anything, so that none need be kept.
    """

    name: str
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    shape: tuple[int, int, int]
    read: Callable[[Positions], Pixels]
    order: Literal["stated", "names", "numbers"] = "stated"
    in_memory: bool = False

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)
