"""Small models and images on which it is known what an attack should do."""

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
    """A small model in eval mode, and images near all its borders.

    Args:
        seed: of the images, and of the model where none is given.
        classes: k.
        given: the model; None: one with batch norm and dropout is drawn.
    """

    seed: int
    classes: int = 3
    given: nn.Module | None = None
    model: nn.Module = field(init=False)
    inputs: Tensor = field(init=False)
    labels: Tensor = field(init=False)
    targets: Tensor = field(init=False)

    def __post_init__(self) -> None:
        """Draw weights and images from the seed alone; labels without a look at the model."""
        generator = torch.Generator().manual_seed(self.seed)
        self.model = self.given or _drawn(self.classes, generator)
        first = next(self.model.parameters())
        first.grad = torch.ones_like(first)  # what is stored already has to stay, too
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
        """Ask the model, without gradient."""
        with torch.no_grad():
            scores: Tensor = self.model(points)
        return scores

    def won(self, points: Tensor, targets: Tensor | None = None) -> Tensor:
        """Say for which images the attacker has won, (12,), bool."""
        return is_adversarial(self.scores(points), self.labels, targets, classes=self.classes)

    def state(self) -> list[Any]:
        """Return what an attack must leave as it was."""
        parameters = list(self.model.parameters())
        grads = [p.grad for p in parameters if p.grad is not None]
        tensors = [t.clone() for t in (*self.model.state_dict().values(), *grads)]
        flags = [(p.requires_grad, p.grad is None) for p in parameters]
        return [tensors, flags, [m.training for m in self.model.modules()]]


# (seed, classes) -> a problem; `Problem` itself is one
MakeProblem: TypeAlias = Callable[[int, int], Problem]


def _drawn(classes: int, generator: torch.Generator) -> nn.Module:
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
    """Two or three classes whose borders are planes, so that the nearest border is known."""

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
        """Return how far the border between two classes is: margin over the dual norm."""
        scores = self(inputs).detach()
        margin = scores.gather(1, labels[:, None]) - scores.gather(1, 1 - labels[:, None])
        across = (self.weight[0] - self.weight[1]).detach()
        dual = {"linf": across.abs().sum(), "l2": across.norm(), "l1": across.abs().amax()}[norm]
        distance: Tensor = margin[:, 0] / dual
        return distance


class Banded(Linear):
    """Two classes on both sides of a plane, and a band around it in which the model rejects.

    Scores are u z, -u z and half the width of the band: an accepted wrong class lies beyond its far
    edge. Tilted, the reject score rises by v z besides: the way through the band is not the way
    across the plane, and what climbs the margin of the two classes alone does not find it.
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
        # as sharp as a trained network's: a softmax of almost equal scores would look at them all
        return _SHARP * torch.cat((across, -across, self.width + self.tilt * along), 1)

    def distance(self, inputs: Tensor, labels: Tensor, norm: Norm) -> Tensor:
        """Return how far the edge is where the wrong class beats the rejection."""
        scores, side = self(inputs).detach(), 1 - 2 * labels[:, None]
        uphill = side * self.weight[0].detach() + self.tilt * self.weight[1].detach()  # (n, d)
        dual = {"linf": uphill.abs().sum(1), "l2": uphill.norm(dim=1), "l1": uphill.abs().amax(1)}
        lacks = scores[:, 2] - scores.gather(1, 1 - labels[:, None])[:, 0]
        distance: Tensor = lacks / dual[norm] / _SHARP
        return distance


class Doubting(nn.Module):
    """A model that rejects where none of its scores is above a bar."""

    def __init__(self, model: nn.Module, classes: int, bar: float) -> None:
        """Wrap a model; it shares its mode and parameters."""
        super().__init__()
        self.model, self.bar = model, bar
        self.info = ModelInfo(classes, rejects=True)
        self.train(model.training)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the model's scores, and the bar."""
        scores: Tensor = self.model(inputs)
        return torch.cat((scores, torch.full_like(scores[:, :1], self.bar)), 1)


class Wavy(nn.Module):
    """A classifier whose loss has many hills, that remembers the points it is shown."""

    def __init__(self, seed: int) -> None:
        """Draw the hills."""
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.weight = nn.Parameter(8 * torch.randn((24, 3), generator=generator))
        self.shown: list[Tensor] = []

    def forward(self, inputs: Tensor) -> Tensor:
        """Return scores that rise and fall."""
        self.shown.append(inputs.detach().clone())
        return 3 * torch.sin(inputs.flatten(1) @ self.weight)


def linear_problem(seed: int, classes: int) -> tuple[Linear, Tensor, Tensor]:
    """Return images so near to grey that the box is never met."""
    model = Linear(seed, classes)
    generator = torch.Generator().manual_seed(seed + 1)
    inputs = 0.5 + 0.05 * torch.randn((6, *SHAPE), generator=generator)
    return model, inputs, model(inputs).argmax(1)


def banded_problem(seed: int, *, tilted: bool) -> tuple[Banded, Tensor, Tensor]:
    """Return images so near to grey that the box is never met.

    Some are rejected at first; tilted all are, or the nearest edge would be that of two at once.
    """
    model = Banded(seed, tilted=tilted)
    generator = torch.Generator().manual_seed(seed + 1)
    inputs = 0.5 + (0.02 if tilted else 0.05) * torch.randn((4, *SHAPE), generator=generator)
    return model, inputs, model(inputs)[:, :2].argmax(1)


class Blind:
    """A model that gives the same scores without a gradient."""

    def __init__(self, model: nn.Module) -> None:
        """Wrap a model; what is known of it is known of this."""
        self.model = model
        info = getattr(model, "info", None)
        if isinstance(info, ModelInfo):
            self.info = replace(info, differentiable=False)

    @torch.no_grad()
    def __call__(self, inputs: Tensor) -> Tensor:
        """Return the model's scores."""
        scores: Tensor = self.model(inputs)
        return scores


class Counting:
    """A classifier that counts how often it is asked about each image of a batch."""

    def __init__(self, model: nn.Module, count: int) -> None:
        """Wrap a model."""
        self.model, self.asked = model, torch.zeros(count, dtype=torch.int64)
        self.told: Tensor | None = None
        info = getattr(model, "info", None)
        if isinstance(info, ModelInfo):
            self.info = info

    def about(self, rows: Tensor) -> None:
        """Hear which images the next question is about."""
        self.told = rows

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return the model's scores."""
        rows = torch.arange(len(inputs)) if self.told is None else self.told
        self.told = None
        self.asked.index_add_(0, rows, torch.ones_like(rows))
        scores: Tensor = self.model(inputs)
        return scores
