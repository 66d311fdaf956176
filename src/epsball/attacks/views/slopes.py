"""Gradient estimates of transfer attacks: at a point, tuned by its neighbourhood, or flat."""

from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

from epsball.attacks.core.ascent import Goal
from epsball.attacks.core.asking import all_rows, input_gradient, scores
from epsball.attacks.views.table import Views
from epsball.geometry import per_row, random_in_ball
from epsball.randomness import Randomness
from epsball.tensors import Classifier
from epsball.types import Norm


class Slope(Protocol):
    """Estimates the gradient that the next step follows; may remember earlier estimates."""

    def __call__(self, points: Tensor, looked_at: Tensor, /) -> Tensor:
        """Return (n, c, h, w).

        Args:
            points: (n, c, h, w), where the attack is.
            looked_at: (n, c, h, w), where the gradient is taken; the same without a look-ahead.
        """
        ...


@dataclass(frozen=True)
class MeanSlope:
    """The mean gradient over copies of the images that are changed by views.

    Args:
        model: the source of the gradients.
        goal: what the attack climbs.
        views: how the copies are changed.
        kernel: side of the Gaussian by which gradients are smoothed, odd; 0: none.
        generator: of the views.
    """

    model: Classifier
    goal: Goal
    views: Views
    kernel: int
    generator: Randomness

    def __call__(self, points: Tensor, looked_at: Tensor) -> Tensor:  # noqa: ARG002 - one signature for every slope
        """Return the mean gradient."""
        total = torch.zeros_like(looked_at)
        for number in range(self.views.copies):
            here = looked_at.detach().requires_grad_()
            with torch.enable_grad():
                changed = self.views(here, number, self.generator)
                value = self.goal.value(scores(self.model, changed, all_rows(here)))
            total += input_gradient(value, here)
        mean = total / self.views.copies
        return smoothed(mean, self.kernel) if self.kernel else mean


@dataclass
class TunedSlope:
    """The gradient at a point, corrected by how far it was from that of its neighbours before.

    Args:
        slope: the gradient at one point.
        neighbours: the number of random neighbours.
        radius: of the neighbourhood, input units.
        norm: of the neighbourhood.
        generator: of the neighbours.
    """

    slope: Slope
    neighbours: int
    radius: float
    norm: Norm
    generator: Randomness
    correction: Tensor | None = None

    def __call__(self, points: Tensor, looked_at: Tensor) -> Tensor:
        """Return the corrected gradient, and measure the correction of the next step."""
        plain = self.slope(points, looked_at)
        total = torch.zeros_like(plain)
        for _ in range(self.neighbours):
            near = points + random_in_ball(points, self.radius, self.norm, self.generator)
            total += self.slope(near, near)
        tuned = plain if self.correction is None else plain + self.correction
        self.correction = total / self.neighbours - plain
        return tuned


@dataclass
class FlatSlope:
    """The mean gradient of the worst points near random neighbours: it leads to flat maxima.

    Args:
        slope: the gradient at one point.
        neighbours: the number of random neighbours.
        radius: of the neighbourhood, input units.
        inner: step from a neighbour to its worst point, input units.
        inner_decay: of the memory of earlier gradients.
        norm: of the neighbourhood.
        generator: of the neighbours.
    """

    slope: Slope
    neighbours: int
    radius: float
    inner: float
    inner_decay: float
    norm: Norm
    generator: Randomness
    memory: list[Tensor] = field(default_factory=list)

    def __call__(self, points: Tensor, looked_at: Tensor) -> Tensor:
        """Return the mean gradient, and remember that of every neighbour."""
        if not self.memory:
            self.memory = [torch.zeros_like(points) for _ in range(self.neighbours)]
        total = torch.zeros_like(points)
        for number, before in enumerate(self.memory):
            near = looked_at + random_in_ball(points, self.radius, self.norm, self.generator)
            near = near + self.inner * before
            gradient = self.slope(near, near)
            self.memory[number] = unit(gradient, self.norm) - self.inner_decay * before
            total += gradient
        return total / self.neighbours


def unit(gradient: Tensor, norm: Norm) -> Tensor:
    """Scale each row to a mean absolute value of 1 (linf) or to length 1 (l2)."""
    flat = gradient.flatten(1)
    length = flat.abs().mean(1) if norm == "linf" else flat.norm(dim=1)
    return gradient / per_row(length.clamp_min(torch.finfo(gradient.dtype).tiny), gradient)


def smoothed(gradient: Tensor, kernel: int) -> Tensor:
    """Convolve every channel with a Gaussian that reaches three standard deviations.

    Source: Dong et al. 2019, arXiv:1904.02884, section 3.3: to smooth the gradient is to average
    over translated images.
    """
    places = torch.linspace(-3, 3, kernel, device=gradient.device, dtype=gradient.dtype)
    line = (-places.square() / 2).exp()
    weights = torch.outer(line, line) / line.sum() ** 2
    channels = gradient.shape[1]
    padded = pad(gradient, [kernel // 2] * 4)
    return conv2d(padded, weights.expand(channels, 1, kernel, kernel), groups=channels)
