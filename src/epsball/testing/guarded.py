"""Problems whose model is a fitted Neural Rejection or Deep Neural Rejection."""

import copy
import functools

import torch
from torch import Tensor, nn

from epsball.defences import DeepNeuralRejection, NeuralRejection
from epsball.testing.problems import SHAPE, MakeProblem, Problem

GUARDS = ("nr", "dnr")
_IMAGES = 200  # of the fit
_REJECTED = 0.3  # of the clean ones: of every kind there are some among a problem's images
_LAYERS = ("edges", "first", "second")


def guarded(defence: str) -> MakeProblem:
    """Return what makes problems of a network with three named layers and a defence around it.

    Args:
        defence: "nr" or "dnr".

    Returns:
        (seed, classes) -> a problem; the defence is fitted once for each number of classes, and
        every problem has a copy of its own.

    Example:
        >>> problem = guarded("nr")(0, 3)
        >>> problem.rejects, problem.scores(problem.inputs).shape
        (True, torch.Size([12, 4]))
    """

    def make(seed: int, classes: int) -> Problem:
        return Problem(seed, classes, copy.deepcopy(_fitted(defence, classes)))

    return make


@functools.cache
def _fitted(defence: str, classes: int) -> nn.Module:
    """Fit a defence on images that the network itself has named."""
    generator = torch.Generator().manual_seed(classes)
    network = _network(classes, generator)
    images = torch.rand((_IMAGES, *SHAPE), generator=generator)
    with torch.no_grad():
        # every class gets its share of the images
        network.output.bias.data -= network(images).mean(0)
        labels = network(images).argmax(1)
    if defence == "nr":
        one = NeuralRejection(
            network, layer=_LAYERS[-1], gamma="scale", c=10.0, false_rejection=_REJECTED
        )
        return one.fit(images, labels)
    several = DeepNeuralRejection(
        network,
        layers=_LAYERS,
        gamma="scale",
        c=10.0,
        combiner_gamma=1.0,
        combiner_c=10.0,
        false_rejection=_REJECTED,
    )
    return several.fit(images, labels)


class _Network(nn.Module):
    """A small convolutional network with batch norm, dropout and three layers to look at."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        channels, height, width = SHAPE
        self.edges = nn.Sequential(
            nn.BatchNorm2d(channels), nn.Conv2d(channels, 4, 3, padding=1), nn.Tanh()
        )
        self.first = nn.Sequential(nn.Linear(4 * height * width, 16), nn.Tanh())
        self.second = nn.Sequential(nn.Linear(16, 8), nn.Tanh(), nn.Dropout())
        self.output = nn.Linear(8, classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return scores (n, classes)."""
        scores: Tensor = self.output(self.second(self.first(self.edges(inputs).flatten(1))))
        return scores


def _network(classes: int, generator: torch.Generator) -> _Network:
    network = _Network(classes).eval()
    for parameter in network.parameters():
        spread = 1 / parameter[0].numel() ** 0.5 if parameter.dim() > 1 else 1.0
        parameter.data = 2 * spread * torch.randn(parameter.shape, generator=generator)
    return network
