"""How likely a model finds the labels, whatever the scale of its scores."""

import math

import torch
from scipy.special import stdtr
from torch import Tensor
from torch.nn.functional import cross_entropy

_LIKELIER = 0.8  # of the cross-entropy, or less: networks in their own scaling stay above
_LEAST = 0.02  # less cross-entropy an image, in nats: below it, all is right either way
_FACTORS = (-1, 2, 31)  # powers of ten: the first, the last, how many


def fitted_loss(scores: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy of each image (n,), at the factor of all scores that fits best.

    Args:
        scores: (n, k), finite.
        labels: (n,).
    """
    scores = scores.double()
    spread = (scores - scores.mean(1, keepdim=True)).std().clamp_min(1e-9)
    factors = torch.logspace(*_FACTORS, dtype=torch.float64, device=scores.device) / spread
    losses = torch.stack([cross_entropy(f * scores, labels, reduction="none") for f in factors])
    return losses[losses.mean(1).argmin()]


def is_likelier(other: Tensor, loss: Tensor, share: float = _LIKELIER) -> bool:
    """Say whether losses (n,) are in the mean at most that share of the same images' before."""
    after, before = float(other.mean()), float(loss.mean())
    return after <= share * before and after <= before - _LEAST


def surprise(other: Tensor, loss: Tensor) -> float:
    """Return the p of one paired t-test: how surprising a smaller mean of losses (n,) is."""
    gains = loss - other
    if len(gains) < 2 or float(gains.std()) == 0:
        return 1.0
    value = float(gains.mean() / (gains.std() / math.sqrt(len(gains))))
    return float(stdtr(len(gains) - 1, -value))  # scipy.stats has it, too, and takes long to load
