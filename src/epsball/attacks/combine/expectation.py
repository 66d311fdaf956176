"""Expectation over a model's own randomness."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from epsball.attacks.core.asking import scores
from epsball.attacks.core.wrapping import adopt_mode, info_of
from epsball.errors import InvalidInput
from epsball.tensors import Classifier
from epsball.types import ModelInfo

_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}  # by bytes an element


class Expectation(nn.Module):
    """The mean of several passes of a random model; see `expectation` for the arguments."""

    info: ModelInfo

    def __init__(self, model: Classifier, samples: int, seed: int) -> None:
        super().__init__()
        self.model = model
        self.samples = samples
        self.seed = seed
        adopt_mode(self, model)
        if (info := info_of(model)) is not None:
            self.info = info

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the mean of the scores, (n, k)."""
        with _seeded(self._seed_of(inputs), inputs.device):
            passes = [scores(self.model, inputs) for _ in range(self.samples)]
        return torch.stack(passes).mean(0)

    def _seed_of(self, inputs: Tensor) -> int:
        # a sum of integers: the same on every device, and it takes no memory
        bits = inputs.detach().contiguous().view(_BITS[inputs.element_size()])
        name = hashlib.sha256(f"{self.seed}/{int(bits.sum())}".encode()).digest()
        return int.from_bytes(name[:7], "little")

    def extra_repr(self) -> str:
        """Return the settings: they are part of what the model is."""
        return f"samples={self.samples}, seed={self.seed}"


def expectation(
    model: Classifier, *, samples: int, generator: torch.Generator | None = None
) -> Expectation:
    """Average a random model, so that an attack climbs what it does on average.

    One pass of a model that resizes, drops or adds noise at random says little about the next, and
    an image that fools it once need not fool it again.

    Args:
        model: (n, c, h, w) in [0, 1] to scores (n, k); draws from torch's global generators.
        samples: passes of every question, at least 1; so many times the cost, and the memory.
        generator: names the draws; None: the seed that torch has been given.

    Returns:
        A classifier that gives the mean of the scores. The draws of a question follow from its
        images: the same images are given the same answer, so that an attack can be repeated,
        and the next step of an attack is given fresh draws. The caller's global generators stay
        as they are (on the CPU and on CUDA). A model draws for a batch as a whole: in another
        batch an image is given other draws.

    Raises:
        InvalidInput: samples is below 1.

    Source: Athalye et al. 2018, arXiv:1707.07397, section 2.1; for randomised defences
    arXiv:1802.00420, section 4.2. Departure: the scores are averaged, not the log-probabilities,
    so that every objective can be climbed; the randomness is the model's own.

    Example:
        >>> noisy = lambda x: x.flatten(1) + torch.randn(len(x), 2)
        >>> steady = expectation(noisy, samples=10_000)
        >>> x = torch.tensor([[[[0.2, 0.7]]]])
        >>> steady(x).sub(x.flatten(1)).abs().max().item() < 0.05
        True
        >>> torch.equal(steady(x), steady(x))
        True
    """
    if samples < 1:
        raise InvalidInput(f"expectation: samples must be >= 1, got {samples}")
    if generator is None:
        seed = torch.initial_seed()
    else:
        seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    return Expectation(model, samples, seed)


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed the global generators that a model on a device draws from, and put them back after."""
    # torch.manual_seed would seed every GPU, also those that this call has nothing to do with
    touched = [torch.default_generator]
    if device.type == "cuda":
        touched.append(torch.cuda.default_generators[device.index or 0])
    states = [each.get_state() for each in touched]
    try:
        for each in touched:
            each.manual_seed(seed)
        yield
    finally:
        for each, state in zip(touched, states, strict=True):
            each.set_state(state)
