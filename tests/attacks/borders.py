"""Models whose borders are known, for attacks that look for the nearest."""

import torch
from torch import Tensor, nn

from epsball.attacks.nearest.hyperplane import dual_size, step_to_plane
from epsball.geometry import size
from epsball.testing.problems import SHAPE, Linear, Problem
from epsball.types import ModelInfo, Norm

ROUNDING = 2e-5  # nearer to a border than that the last bits of scores decide


def nearest_border(model: Linear, inputs: Tensor, labels: Tensor, norm: Norm) -> Tensor:
    """Return how far the nearest of all classes is."""
    logits, planes = model(inputs).detach(), model.weight.detach()
    gaps = logits.gather(1, labels[:, None]) - logits
    slopes = (planes[None] - planes[labels][:, None]).flatten(0, 1)
    away = gaps / dual_size(slopes, norm).view_as(gaps).clamp_min(1e-12)
    result: Tensor = away.scatter(1, labels[:, None], torch.inf).amin(1)
    return result


def curved(seed: int) -> tuple[Problem, Tensor, Tensor]:
    """Return a problem with true labels but for every fourth, and which those are."""
    p = Problem(seed, 5)
    wrong = torch.arange(len(p.inputs)) % 4 == 0
    return p, (p.model(p.inputs).argmax(1) + wrong) % 5, wrong


class Rejecting(Linear):
    """Two classes, and a third column that rejects."""

    info = ModelInfo(2, rejects=True)


class QueryCounter(nn.Module):
    """Counts the forward passes of every row of the batch."""

    def __init__(self, model: nn.Module, count: int) -> None:
        super().__init__()
        self.model = model
        self.forwards = torch.zeros(count, dtype=torch.int64)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.score_rows(inputs, torch.arange(len(self.forwards)))

    def score_rows(self, inputs: Tensor, rows: Tensor) -> Tensor:
        assert len(rows) == len(inputs)
        self.forwards += torch.bincount(rows, minlength=len(self.forwards))
        logits: Tensor = self.model(inputs)
        return logits


class Held(Linear):
    """Two classes with a border that almost all pixels of an image cannot go towards."""

    def __init__(self, free: int) -> None:
        super().__init__(0, 2)
        across = (self.weight[1] - self.weight[0]).detach()
        self.across = across.view(1, *SHAPE)
        stored = (across > 0).float()
        stored[:free] = 1 - stored[:free]
        self.inputs = stored.view(1, *SHAPE)
        # the border lies half of the way that the free pixels can go
        middle = torch.where(torch.arange(24) < free, 0.5, stored)
        self.offset = (middle - 0.5) @ across

    def forward(self, inputs: Tensor) -> Tensor:
        scores = super().forward(inputs)
        return torch.stack((scores[:, 0], scores[:, 1] - self.offset), 1)

    def distance(self, inputs: Tensor, labels: Tensor, norm: Norm) -> Tensor:
        """Return how far the border is within the box."""
        logits = self(inputs).detach()
        return size(step_to_plane(inputs, self.across, logits[:, 0] - logits[:, 1], norm), norm)


def held_by_the_box(free: int = 3) -> tuple[Held, Tensor, Tensor]:
    """Return the model, its image and the label."""
    model = Held(free)
    return model, model.inputs, model(model.inputs).argmax(1)
