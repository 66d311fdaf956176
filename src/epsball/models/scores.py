"""Scores on the scale that attacks and objectives want."""

from dataclasses import replace

import torch
from torch import nn

from epsball.tensors import Boxes, Classifier, Images, Logits
from epsball.types import ModelInfo


class LogProbabilities(nn.Module):
    """The logarithm of a model that gives probabilities.

    softmax(log p) = p, so class, confidence and cross-entropy are the model's own. The logarithm
    is cut off at the smallest normal number (log 1.2e-38 = -87.3 in float32): a probability below
    that carries no gradient, and nothing can bring it back, because the model itself has rounded
    it away. Where most probabilities are exactly 0 or 1, attack the logits instead.

    Args:
        model: gives probabilities.
        info: its properties.
    """

    def __init__(self, model: Classifier, info: ModelInfo) -> None:
        super().__init__()
        self.model = model
        self.info = replace(info, gives="log-probabilities")
        self.training = bool(getattr(model, "training", False))  # the model's mode is its owner's

    def forward(self, inputs: Images) -> Logits:
        """Return log-probabilities (n, k), each -87.4 or more in float32."""
        probabilities = self.model(inputs)
        return probabilities.clamp_min(torch.finfo(probabilities.dtype).tiny).log()

    def boxes(self) -> Boxes | None:
        """Return the boxes that the model shows, if it shows some."""
        method = getattr(self.model, "boxes", None)
        return method() if callable(method) else None

    def relaxed(self) -> Classifier | None:
        """Return the model's differentiable version of itself, if it has one, as logits."""
        method = getattr(self.model, "relaxed", None)
        inner: Classifier | None = method() if callable(method) else None
        if inner is None:
            return None
        info = getattr(inner, "info", None)
        own = info if isinstance(info, ModelInfo) else replace(self.info, gives="probabilities")
        return as_logits(inner, own)


def as_logits(model: Classifier, info: ModelInfo) -> Classifier:
    """Return a classifier whose scores can be attacked like logits.

    Log-probabilities are logits already (they differ from them by a constant per image).

    Args:
        model: (n, c, h, w) in [0, 1] to scores.
        info: what `probe` found.

    Returns:
        The model itself, or, for probabilities, a differentiable logarithm around it.

    Example:
        >>> info = ModelInfo(classes=2, gives="probabilities")
        >>> scores = as_logits(lambda x: torch.tensor([[0.5, 0.5]]), info)
        >>> scores(torch.zeros(1, 1, 2, 2)).softmax(1).tolist()
        [[0.5, 0.5]]
    """
    return LogProbabilities(model, info) if info.gives == "probabilities" else model
