"""How many input gradients of a model a second this machine computes."""

import time
from collections import Counter
from dataclasses import dataclass, field

import torch
from torch import Tensor

from epsball.evaluation.engine.asking import ask, is_out_of_memory
from epsball.tensors import Classifier

_SHARE = 0.02  # of the time that the attacks will take, for each model that is measured
_LEAST, MOST = 0.05, 4.0  # seconds


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
    seconds: float = MOST
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
