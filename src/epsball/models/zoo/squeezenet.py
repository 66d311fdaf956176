"""SqueezeNet 1.0 for ImageNet, with its preprocessing inside."""

import torch
from torch import Tensor, nn

from epsball.models.preprocess import Preprocess
from epsball.tensors import Images, Logits

MEAN = (123 / 255, 117 / 255, 104 / 255)  # the weights were made for 255 x - (123, 117, 104), RGB
STD = (1 / 255, 1 / 255, 1 / 255)


class Fire(nn.Module):
    """A 1x1 squeeze, then 1x1 and 3x3 filters side by side: 2 * expand channels."""

    def __init__(self, inputs: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeeze, 1)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return (n, 2 * expand, h, w) for (n, inputs, h, w)."""
        squeezed = self.squeeze(inputs).relu()
        sides = [self.expand1x1(squeezed).relu(), self.expand3x3(squeezed).relu()]
        return torch.cat(sides, dim=1)


class SqueezeNet(nn.Module):
    """Eight fire modules; see `build_squeezenet` for the arguments."""

    def __init__(self, *, classes: int, dropout: float) -> None:
        super().__init__()
        self.preprocess = Preprocess(mean=MEAN, std=STD)
        # Positions in the two containers are the names that the published weights use.
        self.features = nn.Sequential(
            nn.Conv2d(3, 96, 7, stride=2),
            nn.ReLU(),
            _pool(),
            Fire(96, 16, 64),
            Fire(128, 16, 64),
            Fire(128, 32, 128),
            _pool(),
            Fire(256, 32, 128),
            Fire(256, 48, 192),
            Fire(384, 48, 192),
            Fire(384, 64, 256),
            _pool(),
            Fire(512, 64, 256),
        )
        self.classifier = nn.Sequential(
            nn.Dropout(dropout), nn.Conv2d(512, classes, 1, padding=1), nn.ReLU()
        )

    def forward(self, inputs: Images) -> Logits:
        """Return logits (n, classes), none below 0, for images (n, 3, h, w) in [0, 1]."""
        maps: Tensor = self.classifier(self.features(self.preprocess(inputs)))
        return maps.mean((2, 3))


def build_squeezenet(*, classes: int = 1000, dropout: float = 0.5) -> SqueezeNet:
    """Build SqueezeNet 1.0 with fresh weights.

    Args:
        classes: k, the number of logits.
        dropout: probability of dropping a value before the last convolution while training.

    Returns:
        The module in train mode, for RGB images (n, 3, h, w), h and w of 21 or more, 224 or 227
        as published; 1,248,424 parameters by default.

    Source: Iandola et al. 2016, arXiv:1602.07360; the original definition, which pads the last
        convolution by 1 (torchvision's does not). Published weights: Han et al. 2016, Deep
        Compression. Scores pass a ReLU before they are averaged, as in the source, so a class can
        have no gradient at an image.

    Example:
        >>> sum(p.numel() for p in build_squeezenet().parameters())
        1248424
    """
    return SqueezeNet(classes=classes, dropout=dropout)


def _pool() -> nn.MaxPool2d:
    return nn.MaxPool2d(3, stride=2, ceil_mode=True)
