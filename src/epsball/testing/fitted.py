"""Problems whose model is a fitted Neural Rejection or Deep Neural Rejection."""

import copy
import functools

import torch
from torch import Tensor, nn

from epsball.defences import DeepNeuralRejection, NeuralRejection
from epsball.testing.problems import SHAPE, MakeProblem, Problem

FITTED_REJECTORS = ("nr", "dnr")
_FIT_IMAGES = 200
_FALSE_REJECTION = 0.3  # so that a problem has both accepted and rejected clean images
_LAYERS = ("edges", "first", "second")


def fitted_problem(rejector: str) -> MakeProblem:
    """Return a function that makes problems whose model is a fitted rejector.

    Args:
        rejector: "nr" or "dnr".

    Returns:
        (seed, classes) -> a problem; the rejector is fitted once for each number of classes,
        and every problem has its own copy.

    Example:
        >>> problem = fitted_problem("nr")(0, 3)
        >>> problem.rejects, problem.scores(problem.inputs).shape
        (True, torch.Size([12, 4]))
    """

    def make(seed: int, classes: int) -> Problem:
        return Problem(seed, classes, copy.deepcopy(_fit(rejector, classes)))

    return make


@functools.cache
def _fit(rejector: str, classes: int) -> nn.Module:
    """Fit a rejector on images labelled by the network itself."""
    generator = torch.Generator().manual_seed(classes)
    network = _network(classes, generator)
    images = torch.rand((_FIT_IMAGES, *SHAPE), generator=generator)
    with torch.no_grad():
        # balance the predicted classes
        network.output.bias.data -= network(images).mean(0)
        labels = network(images).argmax(1)
    if rejector == "nr":
        nr = NeuralRejection(
            network, layer=_LAYERS[-1], gamma="scale", c=10.0, false_rejection=_FALSE_REJECTION
        )
        return nr.fit(images, labels)
    dnr = DeepNeuralRejection(
        network,
        layers=_LAYERS,
        gamma="scale",
        c=10.0,
        combiner_gamma=1.0,
        combiner_c=10.0,
        false_rejection=_FALSE_REJECTION,
    )
    return dnr.fit(images, labels)


class _Network(nn.Module):
    """A small convolutional network with batch norm, dropout and three named layers."""

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
