"""Measuring which micro-batch a machine likes best."""

import time

import torch
from torch import Tensor

from epsball.evaluation.engine.asking import ask, is_out_of_memory
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
        sample: (m, c, h, w), a few images; repeated as needed.
        device: where it runs.
        seconds: about how long this may take; sizes that do not fit in are not tried.

    Returns:
        The size, and its input gradients a second. A larger size is taken only where it is at
        least 3 % faster.
    """
    rates: dict[int, float] = {}
    walls: dict[int, float] = {}
    started = time.perf_counter()
    for size in _CANDIDATES:
        inputs = sample[torch.arange(size) % len(sample)].to(device)
        try:
            took, wall = _fastest(model, inputs)
        except (RuntimeError, MemoryError) as error:
            if is_out_of_memory(error):
                break
            raise
        rates[size], walls[size] = size / took, size / wall
        falling = [s for s in rates if s < size and rates[s] > 1.15 * rates[size]]
        if len(falling) > 1 or time.perf_counter() - started + 8 * wall > seconds:
            break
    if not rates:  # not even the smallest fits: the engine halves from here
        return 1, 1.0
    best = max(rates.values())
    chosen = next(s for s, rate in rates.items() if rate > best / _WORTH)
    return chosen, walls[chosen]


def _fastest(model: Classifier, inputs: Tensor) -> tuple[float, float]:
    """Return the cost and the seconds of the cheapest of a few gradients; more where short."""
    times = [_cost_of_gradient(model, inputs) for _ in range(3)]
    while len(times) < _REPEATS and sum(wall for _, wall in times) < _ENOUGH:
        times.append(_cost_of_gradient(model, inputs))
    return min(cost for cost, _ in times), min(wall for _, wall in times)


def _cost_of_gradient(model: Classifier, inputs: Tensor) -> tuple[float, float]:
    """Return what a gradient costs, and the seconds it took.

    On a CPU the cost is its own computing time: on a busy machine the clock on the wall measures
    the neighbours, and a choice made by it would be another one tomorrow.
    """
    point = inputs.clone().requires_grad_()
    started, begun = time.perf_counter(), time.process_time()
    with torch.enable_grad():
        scores = ask(model, point)
    if scores.requires_grad:
        torch.autograd.grad(scores.sum(), point, allow_unused=True)
    if inputs.is_cuda:
        torch.cuda.synchronize(inputs.device)
    wall = time.perf_counter() - started
    if inputs.device.type != "cpu":
        return wall, wall
    # a coarse clock may not have moved at all
    return (time.process_time() - begun) / torch.get_num_threads() or wall, wall
