"""Runs attacks over micro-batches: sizes them, counts what they cost, survives a full memory."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from epsball.attacks import best_of
from epsball.errors import BrokenContract, InvalidInput
from epsball.evaluation.asking import ask, is_out_of_memory
from epsball.evaluation.settings import AttackSetting
from epsball.objectives import named_objective
from epsball.randomness import ImageStreams
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
    """

    device: str
    precision: Precision
    micro_batch: int
    threads: int


class Counted:
    """A classifier that counts the rows it passes forwards and backwards."""

    def __init__(self, model: Classifier, info: ModelInfo, precision: Precision) -> None:
        """Wrap the caller's model; it stays as it is."""
        self.model, self.info, self.precision = model, info, precision
        self.forwards = self.backwards = 0

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return the model's scores, in the dtype of the pictures."""
        self.forwards += len(inputs)
        if self.precision == "float32":
            scores = ask(self.model, inputs)
        else:
            with torch.autocast(inputs.device.type, torch.bfloat16):
                scores = ask(self.model, inputs)
        if scores.requires_grad:
            hook: Any = scores.register_hook  # torch leaves it untyped
            hook(self._count)
        return scores.to(inputs.dtype)

    def _count(self, gradient: Tensor) -> None:
        self.backwards += len(gradient)


@dataclass
class Attacked:
    """What an attack made of a shard at one eps.

    Args:
        images: (n, c, h, w), on the CPU.
        forwards: (n,), int64, forward passes an image cost.
        backwards: (n,), int64.
    """

    images: Tensor
    forwards: Tensor
    backwards: Tensor


@dataclass
class Engine:
    """Feeds a model in micro-batches.

    Args:
        model: the caller's classifier, on the device already; never changed.
        info: what is known of it.
        choices: device, precision and sizes.
        seed: the run's seed.
        halvings: how often a full memory halved the micro-batch.
    """

    model: Classifier
    info: ModelInfo
    choices: Choices
    seed: int = 0
    halvings: int = field(default=0, init=False)

    def scores(self, images: Tensor) -> Tensor:
        """Return float32 scores of the caller's model, (n, k), on the CPU.

        Args:
            images: (n, c, h, w), on any device.
        """

        def batch(rows: slice) -> Tensor:
            with torch.no_grad():
                return ask(self.model, images[rows].to(self.choices.device)).float().cpu()

        return torch.cat(list(self._each_batch(len(images), batch)))

    def attack(
        self,
        setting: AttackSetting,
        images: Tensor,
        labels: Tensor,
        positions: Tensor,
        advance: Callable[[int], None] = lambda _: None,
    ) -> list[Attacked]:
        """Attack a shard at every eps of a setting.

        Args:
            setting: the attack.
            images: (n, c, h, w), float32 in [0, 1], on the CPU.
            labels: (n,), the true classes.
            positions: (n,), positions in the data set; they key the random streams.
            advance: told the number of images after every micro-batch.

        Returns:
            For each eps of the setting, in order, what came out.
        """

        def batch(rows: slice) -> list[Attacked]:
            done = self._attack_batch(setting, images[rows], labels[rows], positions[rows])
            advance(rows.stop - rows.start)
            return done

        batches = list(self._each_batch(len(images), batch))
        return [_joined([made[i] for made in batches]) for i in range(len(setting.eps))]

    def _attack_batch(
        self, setting: AttackSetting, images: Tensor, labels: Tensor, positions: Tensor
    ) -> list[Attacked]:
        device = self.choices.device
        counted = Counted(self.model, self.info, self.choices.precision)
        # a copy: an attack that works in place must not touch the clean pictures
        inputs, labels = images.to(device, copy=True), labels.to(device)
        attack = best_of(setting.spec.attack, restarts=setting.restarts)
        knobs = dict(setting.knobs)
        if "objective" in knobs:
            knobs["objective"] = named_objective(knobs["objective"])

        def streams() -> ImageStreams:
            return ImageStreams.of(
                positions, seed=self.seed, purpose=setting.variant, device=device
            )

        if setting.spec.sweep and setting.restarts == 1:
            made = setting.spec.sweep(
                counted, inputs, labels, eps=setting.eps, norm=setting.norm,
                generator=streams(), **knobs,
            )  # fmt: skip
            return [_attacked(setting, one, inputs, counted) for one in made]
        results = []
        for eps in setting.eps:
            counted.forwards = counted.backwards = 0
            made_one = attack(
                counted, inputs, labels, eps=eps, norm=setting.norm,
                generator=streams(), **knobs,
            )  # fmt: skip
            results.append(_attacked(setting, made_one, inputs, counted))
        return results

    def _each_batch(self, count: int, work: Callable[[slice], Result]) -> Iterator[Result]:
        """Yield the work's results batch by batch, halving the batch when memory is full."""
        first = 0
        while first < count:
            rows = slice(first, min(first + self.choices.micro_batch, count))
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
                f"one picture at a time does not fit the memory of {self.choices.device}: "
                "use a smaller model or pictures, or another --device"
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


def _attacked(setting: AttackSetting, made: Tensor, inputs: Tensor, counted: Counted) -> Attacked:
    if made.shape != inputs.shape:
        raise BrokenContract(
            f"{setting.attack} must return pictures {tuple(inputs.shape)}, got {tuple(made.shape)}"
        )
    each = torch.ones(len(made), dtype=torch.int64)
    count = len(made)
    return Attacked(
        made.detach().cpu(),
        each * (counted.forwards // count),
        each * (counted.backwards // count),
    )


def _joined(parts: list[Attacked]) -> Attacked:
    return Attacked(
        torch.cat([part.images for part in parts]),
        torch.cat([part.forwards for part in parts]),
        torch.cat([part.backwards for part in parts]),
    )
