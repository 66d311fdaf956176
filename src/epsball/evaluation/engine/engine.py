"""Runs attacks over micro-batches: sizes them, counts what they cost, survives a full memory."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TypeVar

import torch
from torch import Tensor

from epsball.errors import InvalidInput
from epsball.evaluation.engine.asking import ask, is_out_of_memory
from epsball.evaluation.engine.starts import Starts
from epsball.evaluation.engine.surrogate import twin_of
from epsball.evaluation.engine.verdicts import Attacked, Batch, attack_all, seek_verdicts
from epsball.evaluation.settings import AttackSetting
from epsball.tensors import Classifier
from epsball.types import ModelInfo, Precision

Result = TypeVar("Result")


@dataclass(frozen=True)
class Choices:
    """What is chosen once for a run, written to its manifest and used again on resume.

    Args:
        device: "cpu", "cuda", "cuda:1", "mps".
        precision: of the search; verdicts are always float32.
        micro_batch: images a forward pass.
        threads: torch's threads on the CPU.
        full_budget: every image gets every step, fooled or wrong already. Otherwise only verdicts
            are sought, and an image is done with as soon as it is fooled.
    """

    device: str
    precision: Precision
    micro_batch: int
    threads: int
    full_budget: bool = True


@dataclass
class Engine:
    """Feeds a model in micro-batches.

    Args:
        model: the caller's classifier, on the device already; never changed.
        info: what is known of it.
        choices: device, precision and sizes.
        seed: the run's seed.
        twin: a cheaper copy to search on, where the choices name one.
        starts: images that fool, for attacks that begin at one; None: they find their own.
        halvings: how often a full memory halved the micro-batch.
    """

    model: Classifier
    info: ModelInfo
    choices: Choices
    seed: int = 0
    twin: Classifier | None = None
    starts: Starts | None = None
    halvings: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        """See that a search in low precision has something to search on."""
        if self.choices.precision != "float32" and self.twin is None:
            self.twin = twin_of(self.model, self.choices.precision)

    def scores(self, images: Tensor) -> Tensor:
        """Return float32 scores of the caller's model, (n, k), on the CPU.

        Args:
            images: (n, c, h, w), on any device.
        """

        def batch(rows: slice) -> Tensor:
            with torch.no_grad():
                return ask(self.model, images[rows].to(self.choices.device)).float().cpu()

        return torch.cat(list(self.each_batch(len(images), batch)))

    def attack(
        self,
        setting: AttackSetting,
        images: Tensor,
        labels: Tensor,
        positions: Tensor,
        advance: Callable[[int], None] = lambda _: None,
        *,
        right: Tensor | None = None,
    ) -> list[Attacked]:
        """Attack a shard at every eps of a setting.

        Args:
            setting: the attack.
            images: (n, c, h, w), float32 in [0, 1], on the CPU.
            labels: (n,), the true classes.
            positions: (n,), positions in the data set; they key the random streams.
            advance: told the number of images that are done.
            right: (n,), bool, which clean images do not fool the model: right, or rejected. Where
                only verdicts are sought the others are not attacked. None: all.

        Returns:
            For each eps of the setting, in order, what came out.
        """
        batch = Batch(images, labels, positions)
        if self.choices.full_budget:
            return attack_all(self, setting, batch, advance)
        going = torch.arange(len(images)) if right is None else right.nonzero()[:, 0]
        advance(len(images) - len(going))
        return seek_verdicts(self, setting, batch, going, advance)

    def each_batch(
        self, count: int, work: Callable[[slice], Result], size: int | None = None
    ) -> Iterator[Result]:
        """Yield the work's results batch by batch, halving the batch when memory is full.

        Work that takes all images at once (`size`) reads the micro-batch itself.
        """
        first = 0
        while first < count:
            rows = slice(first, min(first + (size or self.choices.micro_batch), count))
            try:
                result = work(rows)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                self._halve()
                continue
            yield result
            first = rows.stop

    def _halve(self) -> None:
        if self.choices.micro_batch == 1:
            raise InvalidInput(
                f"one image at a time does not fit the memory of {self.choices.device}: "
                "use a smaller model or images, or another --device"
            ) from None
        self.choices = replace(self.choices, micro_batch=self.choices.micro_batch // 2)
        self.halvings += 1
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


@contextmanager
def deterministic(threads: int) -> Iterator[None]:
    """Fix what would change results from run to run; put it back afterwards."""
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
