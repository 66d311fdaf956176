"""Measuring which micro-batch a machine likes best."""

import time

import torch
from torch import Tensor

from epsball.evaluation.asking import ask, is_out_of_memory
from epsball.tensors import Classifier

_WORTH = 1.03  # a larger micro-batch has to be this much faster to be taken
_REPEATS, _ENOUGH = 30, 0.05  # of a measurement: so many times, or so many seconds
_CANDIDATES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)


def choose_micro_batch(
    model: Classifier, sample: Tensor, device: str, seconds: float = 4
) -> tuple[int, float]:
    """Measure which micro-batch gives the most input gradients a second.

    Args:
        model: the classifier, on the device.
        sample: (m, c, h, w), a few pictures; repeated as needed.
        device: where it runs.
        seconds: about how long this may take; sizes that do not fit in are not tried.

    Returns:
        The size, and its input gradients a second. A larger size is taken only where it is at
        least 3 % faster.
    """
    rates: dict[int, float] = {}
    started = time.perf_counter()
    for size in _CANDIDATES:
        inputs = sample[torch.arange(size) % len(sample)].to(device)
        try:
            took = _fastest(model, inputs)
        except (RuntimeError, MemoryError) as error:
            if is_out_of_memory(error):
                break
            raise
        rates[size] = size / took
        falling = [s for s in rates if s < size and rates[s] > 1.15 * rates[size]]
        if len(falling) > 1 or time.perf_counter() - started + 8 * took > seconds:
            break
    if not rates:  # not even the smallest fits: the engine halves from here
        return 1, 1.0
    best = max(rates.values())
    return next((s, rate) for s, rate in rates.items() if rate > best / _WORTH)


def _fastest(model: Classifier, inputs: Tensor) -> float:
    """Return the seconds of the fastest of a few gradients; more of them where they are short."""
    times = [_seconds_of_gradient(model, inputs) for _ in range(3)]
    while len(times) < _REPEATS and sum(times) < _ENOUGH:
        times.append(_seconds_of_gradient(model, inputs))
    return min(times)


def _seconds_of_gradient(model: Classifier, inputs: Tensor) -> float:
    point = inputs.clone().requires_grad_()
    started = time.perf_counter()
    with torch.enable_grad():
        scores = ask(model, point)
    if scores.requires_grad:
        torch.autograd.grad(scores.sum(), point, allow_unused=True)
    if inputs.is_cuda:
        torch.cuda.synchronize(inputs.device)
    return time.perf_counter() - started
