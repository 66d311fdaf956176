"""A model of one's own: `epsball audit docs/examples/my_model.py:build --data digits`."""

from torch import nn

from epsball.models import Preprocess


def build() -> nn.Module:
    """Return a small network with batch norm and its own normalisation, in eval mode."""
    return nn.Sequential(
        Preprocess(mean=(0.3,), std=(0.35,)),  # what the images meet first
        nn.Conv2d(1, 8, 3, stride=2),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8 * 13 * 13, 10),
    ).eval()
