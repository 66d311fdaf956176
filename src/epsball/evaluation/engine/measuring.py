"""Measuring how a model runs fastest here: batch size, memory format, threads, precision."""

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from epsball.evaluation.engine.config import EngineConfig
from epsball.evaluation.engine.memory_format import formats_agree
from epsball.evaluation.engine.stopwatch import MOST, Stopwatch
from epsball.evaluation.engine.surrogate import checked_surrogate, copy_for
from epsball.tensors import Classifier
from epsball.types import Precision

RequestedPrecision: TypeAlias = Precision | Literal["auto", "fast"]
_LARGER = 1.03  # a larger micro-batch has to be this much faster to be taken
_FORMAT = 1.05  # so has another memory format
_SURROGATE = 1.3  # so has a surrogate: each of its successes is confirmed on the model itself
_FEWER = 0.97  # fewer threads are taken where they lose no more than this
_FIRST, _LARGEST = 32, 4096
_FIRST_LARGE, _LARGE = 8, 3 * 64 * 64  # of images with more values than this
_COMPARED_LARGE = 16  # of these, on which a surrogate has to agree with the model


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
    seconds: float | None = None,
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
        seconds: about how long all of this may take: what it leaves no time for stays as it is, in
            float32. None: a few seconds for each model.
        passes: adds up what is spent.

    Returns:
        The config, and input gradients a second on the wall; None where neither micro-batch nor
        precision was left open, so that nothing was measured.
    """
    limit = _Limit(seconds)

    def measured(one: Classifier) -> tuple[Stopwatch, int, float]:
        spent = Counter[str]() if passes is None else passes
        watch = Stopwatch(
            one, sample, config.device, gradients=gradients, seconds=limit.each, passes=spent
        )
        if micro_batch is not None:
            return watch, micro_batch, watch.rate(micro_batch)
        return watch, *choose_micro_batch(watch, most)

    precision, auto = resolved(requested, config.device), requested == "auto"
    own = measured(model) if auto and micro_batch is None else None
    if auto and limit.is_over:
        precision = "float32"
    surrogate = _surrogate(model, sample, config.device, precision)
    config = config.changed(precision="float32" if surrogate is None else precision)
    if micro_batch is not None and (not auto or surrogate is None):
        return config.changed(micro_batch=micro_batch), None
    if own is None and (auto or surrogate is None):
        own = measured(model)
    fast = None if surrogate is None else measured(surrogate)
    return _faster(config, own, fast, limit)


@dataclass
class _Limit:
    """The time that all measuring may take.

    Args:
        seconds: from now on; None: no limit but that of each model.
    """

    seconds: float | None
    began: float = field(default_factory=time.perf_counter)

    @property
    def each(self) -> float:
        """Return how long one model may be measured."""
        return MOST if self.seconds is None else self.seconds

    @property
    def is_over(self) -> bool:
        """Say whether nothing more may be measured."""
        return self.seconds is not None and time.perf_counter() - self.began > self.seconds


def _surrogate(
    model: Classifier, sample: Tensor, device: str, precision: Precision
) -> Classifier | None:
    """Return a copy in that precision that agrees with the model; None where there is none."""
    if precision == "float32":
        return None
    few = sample[:_COMPARED_LARGE] if sample[0].numel() > _LARGE else sample
    return checked_surrogate(model, few.to(device), precision)


def _faster(
    config: EngineConfig,
    own: tuple[Stopwatch, int, float] | None,
    fast: tuple[Stopwatch, int, float] | None,
    limit: _Limit,
) -> tuple[EngineConfig, float]:
    """Take the surrogate where it is clearly faster; choose memory format and threads."""
    if fast is not None and (own is None or fast[2] > _SURROGATE * own[2]):
        watch, size, rate = fast
        config = config.changed(micro_batch=size)
        if own is not None and not limit.is_over:  # its scores decide verdicts
            config, _ = _choose_format(own[0], config, own[0].rate(size))
    else:
        assert own is not None  # noqa: S101 - one of the two was measured
        watch, size, rate = own
        config = config.changed(micro_batch=size, precision="float32")
        if not limit.is_over:
            config, rate = _choose_format(watch, config, rate)
    if not limit.is_over:
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
