"""The parts that recipes add up: the loss of a batch, and the price of large weights."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from epsball.tensors import Images, Labels, Logits
from epsball.training.setup.settings import TrainSettings


def scores_of(model: nn.Module, images: Images) -> Tensor:
    """Return a model's logits (n, k), float32 whatever precision it computes in."""
    logits: Tensor = model(images)
    return logits.float()


def cross_entropy_of(
    logits: Logits, labels: Labels, settings: TrainSettings, counts: Tensor | None = None
) -> Tensor:
    """Return the mean cross-entropy of logits, with what the settings do about rare classes.

    Args:
        logits: (n, k).
        labels: (n,), int64.
        settings: `label_smoothing`, `class_weights` and `logit_adjustment` are read.
        counts: (k,), training images of each class; only needed by the latter two.

    Returns:
        A scalar. With class weights it is the sum of weighted losses over n, not over the sum of
        the batch's weights, whose expectation would depend on the batch size.

    Source: logit adjustment: Menon et al. 2021, arXiv:2007.07314, equation 10.
    """
    weights = None
    if counts is not None:
        present = counts.clamp_min(1)  # a class without images has no say, and no logarithm of 0
        if settings.logit_adjustment:
            logits = logits + settings.logit_adjustment * (present / counts.sum()).log()
        if settings.class_weights == "balanced":
            weights = counts.sum() / ((counts > 0).sum() * present)
    smoothing = settings.label_smoothing
    if weights is None:
        return functional.cross_entropy(logits, labels, label_smoothing=smoothing)
    each = functional.cross_entropy(
        logits, labels, weight=weights, reduction="none", label_smoothing=smoothing
    )
    return each.mean()


def data_loss(
    model: nn.Module,
    images: Images,
    labels: Labels,
    settings: TrainSettings,
    counts: Tensor | None = None,
) -> Tensor:
    """Return the mean cross-entropy of a batch; see `cross_entropy_of` for the last two.

    Args:
        model: gives logits (n, k).
        images: (n, c, h, w), in [0, 1].
        labels: (n,), int64.
        settings: what is asked for.
        counts: (k,), training images of each class, where the settings want them.

    Returns:
        A scalar, float32 whatever precision the model computes in.
    """
    return cross_entropy_of(scores_of(model, images), labels, settings, counts)


def weight_penalty(model: nn.Module, settings: TrainSettings) -> Tensor:
    """Return l1 * sum |w| + l2 * sum w^2 over the weights that are trained.

    Args:
        model: its parameters of two or more dimensions count as weights: biases and the scales of
            normalisation layers, which are vectors, do not.
        settings: `l1` and `l2` are read.

    Returns:
        A scalar; the raw sum, not a mean, and without the factor 1/2 that some texts have.

    Source: Limaye, Tirupari and Rangan, "Red team, blue team"; the same sums as Keras' `l1_l2`.
    """
    weights = [w for w in model.parameters() if w.requires_grad and w.dim() >= 2]
    penalty = torch.zeros((), device=weights[0].device if weights else None)
    if settings.l1:
        penalty = penalty + settings.l1 * sum(w.abs().sum() for w in weights)
    if settings.l2:
        penalty = penalty + settings.l2 * sum(w.square().sum() for w in weights)
    return penalty
