"""Seeds of a training run. What an epoch draws depends on (seed, epoch) and nothing before it."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def seeded(seed: int, epoch: int, purpose: str, device: str = "cpu") -> torch.Generator:
    """Return a generator for one purpose in one epoch."""
    return torch.Generator(device).manual_seed(_derived(seed, epoch, purpose))


@contextmanager
def own_random_state(seed: int, epoch: int, device: str = "cpu") -> Iterator[None]:
    """Run a block in which torch's global generators are seeded; the caller's state comes back.

    Dropout draws from the global generators and takes no other.
    """
    place = torch.device(device)
    on_cuda = place.type == "cuda"
    with torch.random.fork_rng([place] if on_cuda else []):
        derived = _derived(seed, epoch, "layers")
        torch.default_generator.manual_seed(derived)
        if on_cuda:
            with torch.cuda.device(place):
                torch.cuda.manual_seed(derived)
        yield


@contextmanager
def fresh_weights(seed: int) -> Iterator[None]:
    """Run a block in which layers that are built get weights that depend on the seed alone.

    A network is initialised from torch's global generator; with this, two calls of one command
    start from the same weights, and the caller's generator is left as it was.

    Args:
        seed: the run's seed.

    Example:
        >>> with fresh_weights(0):
        ...     first = torch.nn.Linear(2, 2)
        >>> with fresh_weights(0):
        ...     second = torch.nn.Linear(2, 2)
        >>> torch.equal(first.weight, second.weight)
        True
    """
    with own_random_state(seed, 0):
        yield


def _derived(seed: int, epoch: int, purpose: str) -> int:
    """Return the seed of one purpose in one epoch, in [0, 2^63)."""
    digest = hashlib.sha256(f"train/{seed}/{epoch}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1
