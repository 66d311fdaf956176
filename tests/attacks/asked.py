"""Models for attacks that only ask: they count, give no gradient, or hide what they see."""

import torch
from torch import Tensor, nn

from epsball.randomness import ImageStreams
from epsball.tensors import Classifier
from epsball.testing.problems import SHAPE, Linear
from epsball.types import ModelInfo


class Asked:
    """Counts how often it is asked about each image of a batch, and keeps what it is shown."""

    def __init__(self, model: Classifier, count: int) -> None:
        self.model = model
        self.info = getattr(model, "info", None)
        self.asked = torch.zeros(count, dtype=torch.int64)
        self.shown: list[tuple[Tensor, Tensor]] = []

    def __call__(self, inputs: Tensor) -> Tensor:
        raise AssertionError("the attack does not say which rows these images are")

    def score_rows(self, inputs: Tensor, rows: Tensor) -> Tensor:
        assert rows.shape == (len(inputs),)
        assert 0 <= float(inputs.min()) <= float(inputs.max()) <= 1
        self.asked.index_add_(0, rows, torch.ones_like(rows))
        self.shown.append((rows, inputs.clone()))
        return self.model(inputs)


class Blind:
    """A model in numpy: there is nothing to differentiate."""

    def __init__(self, model: Linear) -> None:
        self.weight = model.weight.detach().numpy()

    def __call__(self, inputs: Tensor) -> Tensor:
        flat = inputs.detach().numpy().reshape(len(inputs), -1) - 0.5
        return torch.from_numpy(flat @ self.weight.T)


class Rounded(nn.Module):
    """Sees so many shades only: the gradient is zero everywhere, and so is every small change."""

    def __init__(self, model: nn.Module, shades: int) -> None:
        super().__init__()
        self.model, self.shades = model, shades

    def forward(self, inputs: Tensor) -> Tensor:
        scores: Tensor = self.model((inputs * self.shades).round() / self.shades)
        return scores


class Never(nn.Module):
    """Cannot be fooled: it always says the same."""

    def forward(self, inputs: Tensor) -> Tensor:
        scores = torch.zeros(len(inputs), 3)
        scores[:, 0] = 1 + inputs.flatten(1).mean(1)
        return scores


def many_classes(classes: int, count: int = 4) -> tuple[Linear, Tensor, Tensor]:
    """Return a linear model of many classes, images near its borders, and its answers."""
    generator = torch.Generator().manual_seed(classes)
    model = Linear(classes, classes)
    inputs = 0.5 + 0.02 * torch.randn((count, *SHAPE), generator=generator)
    return model, inputs, model(inputs).detach().argmax(1)


class Rejecting(Linear):
    """Two classes, and a third column that rejects."""

    info = ModelInfo(2, rejects=True)


def rejecting() -> tuple[Rejecting, Tensor, Tensor]:
    """Return a model that rejects, and images that it calls one of its classes."""
    model = Rejecting(0, 3)
    inputs = 0.5 + 0.05 * torch.randn((60, *SHAPE), generator=seeded())
    answer = model(inputs).detach().argmax(1)
    chosen = (answer < 2).nonzero()[:12, 0]
    return model, inputs[chosen], answer[chosen]


def seeded(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def streams(count: int) -> ImageStreams:
    return ImageStreams.of(range(count), seed=3, purpose="test")
