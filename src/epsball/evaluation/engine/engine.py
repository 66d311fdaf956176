"""A model in micro-batches: scores, recorders, and smaller batches when memory runs out."""

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import TracebackType

import torch
from torch import Tensor

from epsball.errors import InvalidInput
from epsball.evaluation.engine.asking import ask, is_out_of_memory
from epsball.evaluation.engine.config import EngineConfig
from epsball.evaluation.engine.deadline import check_deadline
from epsball.evaluation.engine.examples import Examples
from epsball.evaluation.engine.recorder import OnScores, Recorder
from epsball.evaluation.engine.surrogate import surrogate_of
from epsball.tensors import Classifier
from epsball.types import ModelInfo


@dataclass
class Engine:
    """Calls a model in micro-batches.

    Args:
        model: the caller's classifier, on the device already; never changed.
        info: what is known of it.
        config: device, precision and sizes.
        seed: the run's seed.
        surrogate: a cheaper copy to search on, where the precision asks for one.
        starts: clean images with their scores read, among which attacks that begin at an
            adversarial image choose one; None: they find their own.
        deadline: when its work has to end, by `time.monotonic`.
        keeps: whether an attack that the deadline ends early leaves what it has reached so far;
            else it leaves `OutOfTime`.
        passes: "forwards" and "backwards" of all images that went through the model.
        halvings: how often a full memory halved the micro-batch.
    """

    model: Classifier
    info: ModelInfo
    config: EngineConfig
    seed: int = 0
    surrogate: Classifier | None = None
    starts: Examples | None = None
    deadline: float = math.inf
    keeps: bool = False
    passes: Counter[str] = field(default_factory=Counter)
    halvings: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        """Build the surrogate that a search in low precision needs."""
        if self.config.precision == "float32":
            self.surrogate = None
        elif self.surrogate is None:
            self.surrogate = surrogate_of(self.model, self.config.precision)

    def changed(self, **update: object) -> "Engine":
        """Return an engine in which some fields of the config differ; its passes count here too."""
        return replace(self, config=self.config.changed(**update))

    def of(self, model: Classifier) -> "Engine":
        """Return an engine of another model with the same classes; its passes count here too."""
        return replace(self, model=model, surrogate=None)

    def scores(self, images: Tensor, *, surrogate: bool = False) -> Tensor:
        """Return float32 scores of the caller's model, (n, k), on the CPU.

        Args:
            images: (n, c, h, w), on any device.
            surrogate: whether the surrogate is called instead, where there is one.
        """
        config, parts = self.config, list[Tensor]()
        model = self.surrogate if surrogate and self.surrogate is not None else self.model
        for micro_batch in self.batches(len(images)):
            check_deadline(self.deadline)
            with micro_batch as rows, torch.no_grad():
                inputs = images[rows].to(config.device)
                scores = ask(model, inputs, channels_last=config.channels_last)
                parts.append(scores.detach().float().cpu())  # a model may enable gradients
        self.passes["forwards"] += len(images)
        return torch.cat(parts)

    def recorder(
        self, count: int, on_scores: OnScores | None = None, *, surrogate: bool = False
    ) -> Recorder:
        """Return a recorder of the model, or of its surrogate, for a batch of count images."""
        device = self.config.device
        if surrogate and self.surrogate is not None:
            return Recorder(
                self.surrogate, self.info, count, device, on_scores, deadline=self.deadline
            )
        return Recorder(
            self.model,
            self.info,
            count,
            device,
            on_scores,
            channels_last=self.config.channels_last,
            deadline=self.deadline,
        )

    @contextmanager
    def unhurried(self) -> Iterator[None]:
        """Lift the deadline inside the block: results have still to be judged and written."""
        before, self.deadline = self.deadline, math.inf
        try:
            yield
        finally:
            self.deadline = before

    def batches(self, count: int, size: int | None = None) -> Iterator["MicroBatch"]:
        """Yield micro-batches that cover a count; one whose memory was full comes again, halved.

        Args:
            count: of all images.
            size: images at once, for work that reads the micro-batch itself; None: a micro-batch.
        """
        first = 0
        while first < count:
            stop = min(first + (size or self.config.micro_batch), count)
            batch = MicroBatch(self, slice(first, stop))
            yield batch
            first = stop if batch.done else first

    def halve(self) -> None:
        """Halve the micro-batch.

        Raises:
            InvalidInput: it is a single image already.
        """
        if self.config.micro_batch == 1:
            raise InvalidInput(
                f"one image at a time does not fit the memory of {self.config.device}: "
                "use a smaller model or images, or another --device"
            ) from None
        self.config = self.config.changed(micro_batch=self.config.micro_batch // 2)
        self.halvings += 1
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


@dataclass
class MicroBatch:
    """A slice of a batch; a full memory inside its `with` block halves the engine's micro-batch."""

    engine: Engine
    rows: slice
    done: bool = False

    def __enter__(self) -> slice:
        """Return the rows."""
        return self.rows

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> bool:
        """Halve the micro-batch where the memory was full; let every other error pass."""
        self.done = error is None
        if not isinstance(error, RuntimeError | MemoryError) or not is_out_of_memory(error):
            return False
        self.engine.halve()
        return True


@contextmanager
def deterministic(threads: int) -> Iterator[None]:
    """Make torch deterministic inside the block; restore its settings afterwards."""
    before = torch.get_num_threads()
    cudnn, products = torch.backends.cudnn, torch.backends.cuda.matmul
    flags = cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32, products.allow_tf32
    torch.set_num_threads(threads)
    cudnn.deterministic, cudnn.benchmark = True, False
    cudnn.allow_tf32 = products.allow_tf32 = False  # a float32 verdict is float32
    try:
        yield
    finally:
        torch.set_num_threads(before)
        cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32, products.allow_tf32 = flags
