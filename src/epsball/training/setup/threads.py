"""How many CPU threads a training uses: no more than make it faster, here and now."""

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

import torch
from torch import Tensor, nn

from epsball.machine.hardware import default_threads
from epsball.training.setup.placement import choose_placement, placed
from epsball.training.setup.settings import TrainSettings

_GAIN = 1.25  # what twice as many threads have to bring
_STEP = 0.3  # seconds of a step that is timed, about
_FIRST = 8  # images of the step that tells how long one takes
_STEPS = 3  # that are timed; the quickest counts


@contextmanager
def suited_threads(
    model: nn.Module, images: Tensor, settings: TrainSettings, sources: Sequence[nn.Module] = ()
) -> Iterator[int]:
    """Let torch use as many threads inside the block as make training steps faster.

    Steps are timed with one thread, two, four ..., as long as doubling them brings a quarter more,
    and at most with torch's own number. A small network gains little from a second thread, and
    on a machine that others use as well each further thread may cost: in bfloat16 the threads of
    a gradient of convolution weights wait for each other in a loop inside oneDNN that never
    sleeps, whatever OMP_WAIT_POLICY says (findings/bfloat16_weight_gradient_spins.sh, adr/0009).

    Args:
        model: what will be trained. A copy of it takes the steps.
        images: (n, c, h, w) in [0, 1]; the steps use at most a batch of them.
        settings: of the training.
        sources: other models that the training shows its images to.

    Yields:
        The number of threads.
    """
    before = torch.get_num_threads()
    threads = default_threads()
    if threads > 1:
        # a model that cannot take a step is refused by the training, which knows why
        with suppress(Exception):
            threads = _measured(model, images, settings, sources, threads)
    torch.set_num_threads(threads)
    try:
        yield threads
    finally:
        torch.set_num_threads(before)


def _measured(
    model: nn.Module,
    images: Tensor,
    settings: TrainSettings,
    sources: Sequence[nn.Module],
    most: int,
) -> int:
    placement = choose_placement(model, images[:2], settings, sources)
    if torch.device(placement.device).type != "cpu":
        return most
    trial = copy.deepcopy(model)

    def step(count: int) -> float:
        started = time.perf_counter()
        with placement.autocast():
            inputs = images[:count].contiguous(memory_format=placement.layout)
            loss = trial(inputs).float().logsumexp(1).mean()
        torch.autograd.backward(loss)
        return time.perf_counter() - started

    def rate(threads: int) -> float:
        torch.set_num_threads(threads)
        step(count)
        return count / min(step(count) for _ in range(_STEPS))

    # dropout draws at random; what the training draws stays as it was
    with placed(trial, placement), torch.random.fork_rng(devices=[]):
        trial.train()
        torch.set_num_threads(1)
        few = min(_FIRST, len(images))
        each = min(step(few) for _ in range(2)) / few
        count = max(1, min(len(images), settings.batch_size, round(_STEP / each)))
        return fewest(rate, most)


def fewest(rate: Callable[[int], float], most: int) -> int:
    """Double the number of threads as long as that brings a quarter more.

    Args:
        rate: threads -> images a second.
        most: threads at most.

    Example:
        >>> fewest(lambda threads: {1: 10.0, 2: 19.0, 4: 20.0}[threads], 4)
        2
    """
    threads, best = 1, rate(1)
    while threads < most:
        more = min(2 * threads, most)
        # from four threads to six, for one, the same gain a thread is asked for
        wanted = 1 + (_GAIN - 1) * (more - threads) / threads
        if (faster := rate(more)) < wanted * best:
            break
        threads, best = more, faster
    return threads
