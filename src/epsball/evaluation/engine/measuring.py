"""Measuring how a model runs fastest here: batch size, memory format, threads, precision."""

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from epsball.evaluation.engine.asking import ask, is_out_of_memory
from epsball.evaluation.engine.config import EngineConfig
from epsball.evaluation.engine.memory_format import formats_agree
from epsball.evaluation.engine.surrogate import checked_surrogate, copy_for
from epsball.tensors import Classifier
from epsball.types import Precision

RequestedPrecision: TypeAlias = Precision | Literal["auto", "fast"]
_LARGER = 1.03  # a larger micro-batch has to be this much faster to be taken
_FORMAT = 1.05  # so has another memory format
_SURROGATE = 1.3  # so has a surrogate: each of its successes is confirmed on the model itself
_FEWER = 0.97  # fewer threads are taken where they lose no more than this
_SHARE = 0.02  # of the time that the attacks will take, for each model that is measured
_LEAST, _MOST = 0.05, 4.0  # seconds
_FIRST, _LARGEST = 32, 4096
_FIRST_LARGE, _LARGE = 8, 3 * 64 * 64  # of images with more values than this
_COMPARED_LARGE = 16  # of these, on which a surrogate has to agree with the model


@dataclass
class Stopwatch:
    """Measures input gradients of a model within a time limit.

    Args:
        model: the classifier, on the device.
        sample: (m, c, h, w), a few images; repeated as needed.
        device: where it runs.
        channels_last: whether images are given to it in that memory format.
        gradients: that the run is going to need, which set the time limit; None: unknown.
        seconds: the limit, at most.
        passes: adds up what is spent.
    """

    model: Classifier
    sample: Tensor
    device: str
    channels_last: bool = False
    gradients: int | None = None
    seconds: float = _MOST
    passes: Counter[str] = field(default_factory=Counter)
    spent: float = field(default=0.0, init=False)
    known: dict[tuple[int, bool, int], float] = field(default_factory=dict, init=False)
    on_the_wall: dict[int, float] = field(default_factory=dict, init=False)

    def rate(self, size: int) -> float:
        """Return the input gradients a second in batches of a size; 0 where memory runs out.

        It is measured once for each size, memory format and number of threads. `on_the_wall` gets
        the rate in elapsed time, waiting included.
        """
        setup = (size, self.channels_last, torch.get_num_threads())
        if setup not in self.known:
            self.known[setup] = self._measured(size)
        return self.known[setup]

    @property
    def has_time(self) -> bool:
        """Say whether a batch twice as large as those before may be measured as well."""
        return self.spent < self.seconds / 2

    def _measured(self, size: int) -> float:
        inputs = self.sample[torch.arange(size) % len(self.sample)].to(self.device)
        try:
            begun = time.perf_counter()
            times = [self._seconds(inputs) for _ in range(2)]  # the first one warms up
            if self.gradients is not None:
                whole = self.gradients * times[-1] / size
                self.seconds = min(self.seconds, max(_LEAST, _SHARE * whole))
            started = self.spent
            while len(times) < 30 and self.spent - started < self.seconds / 16:
                times.append(self._seconds(inputs))
        except (RuntimeError, MemoryError) as error:
            if is_out_of_memory(error):
                return 0.0
            raise
        self.on_the_wall[size] = size * len(times) / (time.perf_counter() - begun)
        return size / min(times[1:])

    def _seconds(self, inputs: Tensor) -> float:
        """Time one gradient.

        With a single thread it is that thread's computing time: on a busy machine the clock on the
        wall measures the neighbours, and a choice made by it would be another one tomorrow.
        """
        point = inputs.clone().requires_grad_()
        started, begun = time.perf_counter(), time.process_time()
        with torch.enable_grad():
            scores = ask(self.model, point, channels_last=self.channels_last)
        if scores.requires_grad:
            torch.autograd.grad(scores.sum(), point, allow_unused=True)
        if inputs.is_cuda:
            torch.cuda.synchronize(inputs.device)
        wall, computing = time.perf_counter() - started, time.process_time() - begun
        self.passes.update(forwards=len(inputs), backwards=len(inputs))
        alone = inputs.device.type == "cpu" and torch.get_num_threads() == 1
        seconds = computing if alone and computing else wall  # a coarse clock may not have moved
        self.spent += seconds
        return seconds


def first_size(sample: Tensor, most: int) -> int:
    """Return the micro-batch that is tried first, a power of two: smaller for large images."""
    first = _FIRST_LARGE if sample[0].numel() > _LARGE else _FIRST
    return min(first, 1 << (most - 1).bit_length())


def choose_micro_batch(watch: Stopwatch, most: int = _LARGEST) -> tuple[int, float]:
    """Measure which micro-batch gives the most input gradients a second.

    Args:
        watch: measures the model.
        most: images that there are.

    Returns:
        The size, a power of two, and its input gradients a second. A larger size is taken only
        where it is at least 3 % faster.
    """
    most = max(1, min(most, _LARGEST))
    first = first_size(watch.sample, most)
    rates = {first: watch.rate(first)}
    size = 2 * first
    while size < 2 * most and watch.has_time:
        rates[size] = watch.rate(size)
        if rates[size] < _LARGER * rates[size // 2]:
            break
        size *= 2
    size = first // 2
    rising = max(rates.values()) <= _LARGER * rates[first]
    while size and (not any(rates.values()) or (rising and watch.spent < watch.seconds)):
        rates[size] = watch.rate(size)
        rising = rates[size] * _LARGER > rates[2 * size]
        size //= 2
    best = max(rates.values())
    if not best:  # not even the smallest fits: the engine halves from here
        return 1, 1.0
    chosen = min(size for size, rate in rates.items() if rate * _LARGER > best)
    return chosen, rates[chosen]


def resolved(requested: RequestedPrecision, device: str) -> Precision:
    """Return the precision of the search: of the copy that suits the device if none is named."""
    match requested:
        case "auto" | "fast":
            return copy_for(device)
        case _:
            return requested


def choose_config(
    model: Classifier,
    sample: Tensor,
    config: EngineConfig,
    *,
    requested: RequestedPrecision,
    micro_batch: int | None,
    most: int,
    gradients: int,
    seconds: float = _MOST,
    passes: Counter[str] | None = None,
) -> tuple[EngineConfig, float | None]:
    """Measure what was not given: micro-batch, precision, memory format and threads.

    Args:
        model: the caller's model, on its device.
        sample: (m, c, h, w), a few clean images.
        config: what is known already.
        requested: precision of the search; "fast": a copy that suits the device; "auto": that one
            where it is fast enough.
        micro_batch: as given; None: measured.
        most: images that there are.
        gradients: that the run is going to need.
        seconds: about how long each model may be measured.
        passes: adds up what is spent.

    Returns:
        The config, and input gradients a second on the wall; None where neither micro-batch nor
        precision was left open, so that nothing was measured.
    """
    precision, surrogate = resolved(requested, config.device), None
    if precision != "float32":
        few = sample[:_COMPARED_LARGE] if sample[0].numel() > _LARGE else sample
        surrogate = checked_surrogate(model, few.to(config.device), precision)
    config = config.changed(precision="float32" if surrogate is None else precision)
    if micro_batch is not None and (requested != "auto" or surrogate is None):
        return config.changed(micro_batch=micro_batch), None
    fixed = {
        "gradients": gradients,
        "seconds": seconds,
        "passes": Counter() if passes is None else passes,
    }

    def measured(one: Classifier) -> tuple[Stopwatch, int, float]:
        watch = Stopwatch(one, sample, config.device, **fixed)  # type: ignore[arg-type]  # of several types
        if micro_batch is not None:
            return watch, micro_batch, watch.rate(micro_batch)
        return watch, *choose_micro_batch(watch, most)

    own = None if surrogate is not None and requested != "auto" else measured(model)
    fast = None if surrogate is None else measured(surrogate)
    if fast is not None and (own is None or fast[2] > _SURROGATE * own[2]):
        watch, size, rate = fast
        config = config.changed(micro_batch=size)
        if own is not None:  # its scores decide verdicts
            config, _ = _choose_format(own[0], config, own[0].rate(size))
    else:
        assert own is not None  # noqa: S101 - one of the two was measured
        watch, size, rate = own
        config = config.changed(micro_batch=size, precision="float32")
        config, rate = _choose_format(watch, config, rate)
    config = _choose_threads(watch, config, rate)
    return config, watch.on_the_wall.get(config.micro_batch, rate)


def _choose_format(
    watch: Stopwatch, config: EngineConfig, rate: float
) -> tuple[EngineConfig, float]:
    """Give images channels last where that is faster and the scores agree."""
    images = watch.sample.to(watch.device)
    if not formats_agree(watch.model, images):
        return config, rate
    watch.channels_last = True
    faster = watch.rate(config.micro_batch)
    if faster > _FORMAT * rate:
        return config.changed(channels_last=True), faster
    watch.channels_last = False
    return config, rate


def _choose_threads(watch: Stopwatch, config: EngineConfig, rate: float) -> EngineConfig:
    """Take fewer threads where they are hardly slower: a small network leaves most of them idle."""
    if not config.device.startswith("cpu"):
        return config
    before = torch.get_num_threads()
    threads, most = config.threads, rate
    try:
        while threads > 1:
            torch.set_num_threads(threads // 2)
            if (fewer := watch.rate(config.micro_batch)) < _FEWER * most:
                break
            threads, most = threads // 2, max(fewer, most)
    finally:
        torch.set_num_threads(before)
    return config.changed(threads=threads)
