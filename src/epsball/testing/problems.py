"""Small models and images for which the right result of an attack is known."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from epsball.objectives import is_adversarial
from epsball.types import ModelInfo, Norm

SHAPE = (2, 3, 4)
ROWS = 12
_SHARP = 50.0


@dataclass
class Problem:
    """A small model in eval mode, and images near all its decision boundaries.

    Args:
        seed: of the images, and of the model where none is given.
        classes: k.
        network: the model; None: a random one with batch norm and dropout.
    """

    seed: int
    classes: int = 3
    network: nn.Module | None = None
    model: nn.Module = field(init=False)
    inputs: Tensor = field(init=False)
    labels: Tensor = field(init=False)
    targets: Tensor = field(init=False)

    def __post_init__(self) -> None:
        """Draw weights, images and labels from the seed alone."""
        generator = torch.Generator().manual_seed(self.seed)
        self.model = self.network or _random_network(self.classes, generator)
        first = next(self.model.parameters())
        first.grad = torch.ones_like(first)  # an attack must not change stored gradients
        self.inputs = torch.rand((ROWS, *SHAPE), generator=generator)
        self.labels = torch.randint(self.classes, (ROWS,), generator=generator)
        step = torch.randint(1, self.classes, (ROWS,), generator=generator)
        self.targets = (self.labels + step) % self.classes

    @property
    def rejects(self) -> bool:
        """Say whether the model's last column means "reject"."""
        info = getattr(self.model, "info", None)
        return isinstance(info, ModelInfo) and info.rejects

    def scores(self, points: Tensor) -> Tensor:
        """Return the model's scores, without gradient."""
        with torch.no_grad():
            scores: Tensor = self.model(points)
        return scores

    def success(self, points: Tensor, targets: Tensor | None = None) -> Tensor:
        """Say for which images the attack succeeds, (12,), bool."""
        return is_adversarial(self.scores(points), self.labels, targets, classes=self.classes)

    def state(self) -> list[Any]:
        """Return everything an attack must not change."""
        parameters = list(self.model.parameters())
        grads = [p.grad for p in parameters if p.grad is not None]
        tensors = [t.clone() for t in (*self.model.state_dict().values(), *grads)]
        flags = [(p.requires_grad, p.grad is None) for p in parameters]
        return [tensors, flags, [m.training for m in self.model.modules()]]


# (seed, classes) -> a problem; `Problem` itself is one
MakeProblem: TypeAlias = Callable[[int, int], Problem]


def _random_network(classes: int, generator: torch.Generator) -> nn.Module:
    model = nn.Sequential(
        nn.BatchNorm2d(2),
        nn.Flatten(),
        nn.Linear(24, 16),
        nn.Tanh(),
        nn.Dropout(),
        nn.Linear(16, classes),
    ).eval()
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator)
    return model


class Linear(nn.Module):
    """A linear model: decision boundaries are planes, so that distances to them are known."""

    def __init__(self, seed: int, classes: int) -> None:
        """Draw the planes."""
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.weight = nn.Parameter(torch.randn((classes, 24), generator=generator))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return scores relative to the grey image."""
        scores: Tensor = (inputs - 0.5).flatten(1) @ self.weight.T
        return scores

    def distance(self, inputs: Tensor, labels: Tensor, norm: Norm) -> Tensor:
        """Return the distance to the boundary between two classes: margin over the dual norm."""
        scores = self(inputs).detach()
        margin = scores.gather(1, labels[:, None]) - scores.gather(1, 1 - labels[:, None])
        across = (self.weight[0] - self.weight[1]).detach()
        dual = {"linf": across.abs().sum(), "l2": across.norm(), "l1": across.abs().amax()}[norm]
        distance: Tensor = margin[:, 0] / dual
        return distance


class RejectionBand(Linear):
    """Two classes on both sides of a plane, and a band around it in which the model rejects.

    Scores are u z, -u z and half the width of the band: an accepted wrong class lies beyond its far
    edge. If tilted, the reject score also rises by v z: the shortest path through the band is not
    the one across the plane, and an attack on the margin of the two classes alone misses it.
    """

    info = ModelInfo(classes=2, rejects=True)

    def __init__(self, seed: int, *, tilted: bool) -> None:
        """Draw u and v, both of length one, at right angles."""
        super().__init__(seed, classes=2)
        self.weight = nn.Parameter(torch.linalg.qr(self.weight.detach().T).Q.T.contiguous())
        self.tilt, self.width = float(tilted), 0.15 if tilted else 0.03

    def forward(self, inputs: Tensor) -> Tensor:
        """Return three scores, the last "reject"."""
        across, along = super().forward(inputs)[:, :, None].unbind(1)  # (n, 1) each
        # scores as large as a trained network's, so that the softmax is not nearly uniform
        return _SHARP * torch.cat((across, -across, self.width + self.tilt * along), 1)

    def distance(self, inputs: Tensor, labels: Tensor, norm: Norm) -> Tensor:
        """Return the distance to the edge where the wrong class beats the reject score."""
        scores, side = self(inputs).detach(), 1 - 2 * labels[:, None]
        uphill = side * self.weight[0].detach() + self.tilt * self.weight[1].detach()  # (n, d)
        dual = {"linf": uphill.abs().sum(1), "l2": uphill.norm(dim=1), "l1": uphill.abs().amax(1)}
        deficit = scores[:, 2] - scores.gather(1, 1 - labels[:, None])[:, 0]
        distance: Tensor = deficit / dual[norm] / _SHARP
        return distance


class ThresholdRejector(nn.Module):
    """A model that rejects where none of its scores is above a threshold."""

    def __init__(self, model: nn.Module, classes: int, threshold: float) -> None:
        """Wrap a model; it shares its mode and parameters."""
        super().__init__()
        self.model, self.threshold = model, threshold
        self.info = ModelInfo(classes, rejects=True)
        self.train(model.training)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the model's scores and the threshold as the reject score."""
        scores: Tensor = self.model(inputs)
        return torch.cat((scores, torch.full_like(scores[:, :1], self.threshold)), 1)


class Wavy(nn.Module):
    """A classifier whose loss has many maxima, and that records every batch it is called with."""

    def __init__(self, seed: int) -> None:
        """Draw the weights."""
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.weight = nn.Parameter(8 * torch.randn((24, 3), generator=generator))
        self.queried: list[Tensor] = []

    def forward(self, inputs: Tensor) -> Tensor:
        """Return scores that oscillate with the input."""
        self.queried.append(inputs.detach().clone())
        return 3 * torch.sin(inputs.flatten(1) @ self.weight)


def linear_problem(seed: int, classes: int) -> tuple[Linear, Tensor, Tensor]:
    """Return a linear model and images so near to grey that [0, 1] is no constraint."""
    model = Linear(seed, classes)
    generator = torch.Generator().manual_seed(seed + 1)
    inputs = 0.5 + 0.05 * torch.randn((6, *SHAPE), generator=generator)
    return model, inputs, model(inputs).argmax(1)


def band_problem(seed: int, *, tilted: bool) -> tuple[RejectionBand, Tensor, Tensor]:
    """Return a model with a rejection band and images so near to grey that [0, 1] is no constraint.

    Some of the clean images are rejected; if tilted all are, so that the nearest edge is unique.
    """
    model = RejectionBand(seed, tilted=tilted)
    generator = torch.Generator().manual_seed(seed + 1)
    inputs = 0.5 + (0.02 if tilted else 0.05) * torch.randn((4, *SHAPE), generator=generator)
    return model, inputs, model(inputs)[:, :2].argmax(1)


class WithoutGradient:
    """A model with the same scores and no gradient."""

    def __init__(self, model: nn.Module) -> None:
        """Wrap a model, with its info."""
        self.model = model
        info = getattr(model, "info", None)
        if isinstance(info, ModelInfo):
            self.info = replace(info, differentiable=False)

    @torch.no_grad()
    def __call__(self, inputs: Tensor) -> Tensor:
        """Return the model's scores."""
        scores: Tensor = self.model(inputs)
        return scores


class QueryCounter:
    """A classifier that counts the queries for each image of a batch."""

    def __init__(self, model: nn.Module, count: int) -> None:
        """Wrap a model."""
        self.model, self.queries = model, torch.zeros(count, dtype=torch.int64)
        info = getattr(model, "info", None)
        if isinstance(info, ModelInfo):
            self.info = info

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return the model's scores of the whole batch."""
        return self.score_rows(inputs, torch.arange(len(inputs)))

    def score_rows(self, inputs: Tensor, rows: Tensor) -> Tensor:
        """Return the model's scores of some rows of the batch."""
        self.queries.index_add_(0, rows, torch.ones_like(rows))
        scores: Tensor = self.model(inputs)
        return scores
