"""From genomes to images: pixels directly, or a network that draws (CPPN)."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

Shape = tuple[int, int, int]


class Encoding(Protocol):
    """How a genome, a vector, becomes an image."""

    @property
    def genes(self) -> int:
        """Return the length of a genome."""
        ...

    @property
    def spread(self) -> float:
        """Return the standard deviation of a mutation."""
        ...

    def first(self, count: int, generator: torch.Generator) -> Tensor:
        """Return random genomes, (count, genes)."""
        ...

    def mutated(self, parents: Tensor, generator: torch.Generator) -> Tensor:
        """Return children of genomes, (n, genes)."""
        ...

    def images(self, genomes: Tensor) -> Tensor:
        """Return (n, c, h, w), in [0, 1]."""
        ...


@dataclass(frozen=True)
class Direct:
    """One gene for each pixel and channel.

    Args:
        shape: (c, h, w).
        rate: chance that a pixel is mutated.
        spread: standard deviation of a mutation.

    Source: Nguyen et al. 2015, arXiv:1412.1897, section 2.3: uniform noise to begin with, a tenth
        of the pixels mutated. Departures: Gaussian in place of polynomial mutation; a fixed rate.
    """

    shape: Shape
    rate: float = 0.1
    spread: float = 0.25

    @property
    def genes(self) -> int:
        """Return c * h * w."""
        return math.prod(self.shape)

    def first(self, count: int, generator: torch.Generator) -> Tensor:
        """Return uniform noise."""
        return torch.rand(count, self.genes, generator=generator)

    def mutated(self, parents: Tensor, generator: torch.Generator) -> Tensor:
        """Move a tenth of the pixels."""
        return (parents + _moves(parents, self.rate, self.spread, generator)).clamp(0, 1)

    def images(self, genomes: Tensor) -> Tensor:
        """Return the genomes in the shape of images."""
        return genomes.view(-1, *self.shape)


_INPUTS = 4  # x, y, distance from the centre, 1
_HIDDEN = 16  # units of each hidden layer
_PERIODS = 3.0  # how many half waves a weight of 1 draws across the image


@dataclass(frozen=True)
class Cppn:
    """A small network from coordinates to colours: regular, symmetric, repeating patterns.

    A quarter of the units of each of the two hidden layers is a sine, a Gaussian, a sigmoid and a
    tangent; weights decide which of them count.

    Args:
        shape: (c, h, w).
        rate: chance that a weight is mutated.
        spread: standard deviation of a mutation.

    Source: Stanley 2007; Nguyen et al. 2015, arXiv:1412.1897, section 2.3. Departure: the topology
        is fixed, where theirs grows (NEAT), so that a whole generation is drawn at once.
    """

    shape: Shape
    rate: float = 0.15
    spread: float = 0.5

    @property
    def genes(self) -> int:
        """Return the number of weights."""
        return _INPUTS * _HIDDEN + (_HIDDEN + 1) * _HIDDEN + (_HIDDEN + 1) * self.shape[0]

    def first(self, count: int, generator: torch.Generator) -> Tensor:
        """Return standard normal weights."""
        return torch.randn(count, self.genes, generator=generator)

    def mutated(self, parents: Tensor, generator: torch.Generator) -> Tensor:
        """Move some weights."""
        return parents + _moves(parents, self.rate, self.spread, generator)

    def images(self, genomes: Tensor) -> Tensor:
        """Draw images with the networks."""
        count, (channels, height, width) = len(genomes), self.shape
        sizes = (_INPUTS * _HIDDEN, (_HIDDEN + 1) * _HIDDEN, (_HIDDEN + 1) * channels)
        first, second, last = torch.split(genomes, list(sizes), dim=1)
        layer = _mixed(self._coordinates.to(genomes) @ first.view(count, _INPUTS, _HIDDEN))
        layer = _mixed(_affine(layer, second.view(count, _HIDDEN + 1, _HIDDEN)))
        colours = _affine(layer, last.view(count, _HIDDEN + 1, channels)).sigmoid()
        return colours.transpose(1, 2).reshape(count, channels, height, width)

    @cached_property
    def _coordinates(self) -> Tensor:
        """Return (h * w, 4): x, y, distance from the centre, 1."""
        _, height, width = self.shape
        y, x = torch.meshgrid(
            torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij"
        )
        columns = (_PERIODS * x, _PERIODS * y, _PERIODS * (x**2 + y**2).sqrt(), torch.ones_like(x))
        return torch.stack(columns, dim=-1).view(-1, _INPUTS)


def _affine(layer: Tensor, weights: Tensor) -> Tensor:
    """Multiply (n, p, a) by (n, a + 1, b), whose last row is the bias, over the root of a."""
    return torch.baddbmm(weights[:, -1:], layer, weights[:, :-1]) / math.sqrt(layer.shape[2])


def _mixed(layer: Tensor) -> Tensor:
    sine, bell, step, tangent = layer.chunk(4, dim=2)
    parts = (sine.sin(), (-bell.square()).exp(), step.sigmoid(), tangent.tanh())
    return torch.cat(parts, dim=2)


def _moves(like: Tensor, rate: float, spread: float, generator: torch.Generator) -> Tensor:
    chosen = torch.rand(like.shape, generator=generator) < rate
    return torch.randn(like.shape, generator=generator) * spread * chosen


ENCODINGS: dict[str, type[Direct] | type[Cppn]] = {"direct": Direct, "cppn": Cppn}
