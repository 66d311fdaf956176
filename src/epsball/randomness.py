"""Random numbers that belong to an image, not to a batch.

A plain call of an attack takes a `torch.Generator`. The engine passes `ImageStreams` instead: every
image draws from a stream of its own, so retiring images, another batch size or a restart after a
kill cannot change what an image is given.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self, TypeAlias

import torch
from torch import Tensor

_GOLDEN = 0x9E3779B97F4A7C15
_MIX_1, _MIX_2 = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_DRAW_STRIDE = 1 << 40  # counters of one draw; an image has far fewer pixels


def _signed(value: int) -> int:
    """Return the 64-bit pattern of value as the signed integer that torch stores."""
    value &= 0xFFFFFFFFFFFFFFFF
    return value - (1 << 64) if value >= 1 << 63 else value


def _shift_right(bits: Tensor, by: int) -> Tensor:
    # torch shifts signed integers arithmetically: the copied sign bits are masked away
    return (bits >> by) & ((1 << (64 - by)) - 1)


def _mix(bits: Tensor) -> Tensor:
    """Scramble 64-bit integers: the output function of splitmix64 (Steele et al. 2014)."""
    bits = (bits ^ _shift_right(bits, 30)) * _signed(_MIX_1)
    bits = (bits ^ _shift_right(bits, 27)) * _signed(_MIX_2)
    return bits ^ _shift_right(bits, 31)


@dataclass
class ImageStreams:
    """One counter-based random stream for each image.

    Args:
        keys: (n,), int64; names the stream of each row.
        draws: how many draws were made; the next draw uses fresh counters.

    Example:
        >>> whole = ImageStreams.of([7, 8, 9], seed=0, purpose="pgd")
        >>> part = ImageStreams.of([9], seed=0, purpose="pgd")
        >>> bool(torch.equal(whole.uniform((4,))[2:], part.uniform((4,))))
        True
    """

    keys: Tensor
    draws: int = 0

    @classmethod
    def of(
        cls,
        indices: Sequence[int] | Tensor,
        *,
        seed: int,
        purpose: str,
        restart: int = 0,
        device: torch.device | str = "cpu",
    ) -> Self:
        """Build the streams of (seed, image index, purpose, restart).

        Args:
            indices: (n,), positions of the images in their data set.
            seed: the run's seed.
            purpose: what draws; the attack's name.
            restart: which restart draws.
            device: where the numbers are made.

        Returns:
            Streams, one for each index.
        """
        name = hashlib.sha256(f"{seed}/{purpose}/{restart}".encode()).digest()
        base = int.from_bytes(name[:8], "little")
        rows = torch.as_tensor(indices, dtype=torch.int64, device=device)
        return cls(_mix(rows * _signed(_GOLDEN) + _signed(base)))

    def restarted(self, restart: int) -> "ImageStreams":
        """Return fresh streams for another restart of the same images."""
        return ImageStreams(_mix(self.keys + _signed((restart + 1) * _MIX_2)))

    def rows(self, chosen: Tensor) -> "ImageStreams":
        """Return the streams of some rows, at the same draw."""
        return replace(self, keys=self.keys[chosen])

    def uniform(self, shape: Sequence[int]) -> Tensor:
        """Draw numbers in [0, 1), float32, of (n, *shape)."""
        size = math.prod(shape)
        counters = torch.arange(size, device=self.keys.device) + (1 + self.draws * _DRAW_STRIDE)
        self.draws += 1
        bits = _mix(self.keys[:, None] + counters * _signed(_GOLDEN))
        return (_shift_right(bits, 40).float() * 2.0**-24).view(-1, *shape)


Randomness: TypeAlias = torch.Generator | ImageStreams | None


def another_run(generator: Randomness, number: int, rows: Tensor) -> Randomness:
    """Return fresh randomness for some rows when an attack is run once more.

    Streams are keyed by the number of the run; a torch generator simply goes on.
    """
    if isinstance(generator, ImageStreams):
        return generator.restarted(number).rows(rows)
    return generator


def uniform(like: Tensor, generator: Randomness) -> Tensor:
    """Draw numbers in [0, 1) in the shape, dtype and place of a batch.

    Args:
        like: (n, ...), the batch.
        generator: image streams, a torch generator, or None for torch's global one.

    Returns:
        (n, ...), the numbers.
    """
    if isinstance(generator, ImageStreams):
        sample = generator.uniform(like.shape[1:])
    else:
        place = like.device if generator is None else generator.device
        sample = torch.rand(like.shape, generator=generator, device=place)
    return sample.to(like)


def normal(like: Tensor, generator: Randomness) -> Tensor:
    """Draw standard normal numbers in the shape, dtype and place of a batch (Box and Muller)."""
    radius = (-2 * torch.log1p(-uniform(like, generator))).sqrt()
    return radius * torch.cos(2 * math.pi * uniform(like, generator))


def random_signs(like: Tensor, generator: Randomness) -> Tensor:
    """Draw -1 or +1, equally likely, in the shape, dtype and place of a batch."""
    return 1 - 2 * (uniform(like, generator) < 0.5).to(like)


def random_below(limits: Tensor, generator: Randomness) -> Tensor:
    """Draw for each row an integer in [0, limit).

    Args:
        limits: (n,), int64, at least 1.
        generator: see `uniform`.

    Returns:
        (n,), int64.
    """
    sample = uniform(limits.to(torch.float64), generator)
    # rounding of a number just below 1 could reach the limit itself
    return torch.minimum((sample * limits).long(), limits - 1)
