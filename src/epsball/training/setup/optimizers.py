"""Optimizers as the sources state them, the learning rate of every update, and their memory."""

import math

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, Optimizer, RMSprop

from epsball.training.setup.settings import TrainSettings

_RHO = 0.9  # Keras' default, and the constant in Hinton's lecture; torch's own default is 0.99
_TINY = 1e-7  # Keras' epsilon, outside the root
_WARM_UP = 0.3  # share of one cycle in which the rate rises, as in torch's OneCycleLR
_COLD = 0.1  # of the highest rate: where one cycle starts


def build_optimizer(model: nn.Module, settings: TrainSettings) -> Optimizer:
    """Build the optimizer over the parameters that want a gradient.

    Args:
        model: whose parameters.
        settings: `optimizer`, `lr`, `momentum` and `weight_decay` are read.

    Returns:
        "sgd": w -= lr v with v = momentum v + g; "rmsprop": MS = 0.9 MS + 0.1 g^2,
        w -= lr g / (sqrt(MS) + 1e-7); "adam": Kingma and Ba's constants, as in torch. In all of
        them g is the gradient plus weight_decay times w.

    Source: Keras' optimizers before version 3. Departure: Keras puts lr inside the momentum's sum,
    which differs only while lr changes.
    """
    weights = [w for w in model.parameters() if w.requires_grad]
    lr, momentum, decay = settings.lr, settings.momentum, settings.weight_decay
    if settings.optimizer == "rmsprop":
        return RMSprop(weights, lr=lr, alpha=_RHO, eps=_TINY, momentum=momentum, weight_decay=decay)
    # fused: the same arithmetic in one pass over memory; a tenth of a step of `base-cnn`
    if settings.optimizer == "sgd":
        return SGD(weights, lr=lr, momentum=momentum, weight_decay=decay, fused=True)
    return Adam(weights, lr=lr, weight_decay=decay, fused=True)


def learning_rate(settings: TrainSettings, update: int, updates: int) -> float:
    """Return the learning rate of one update.

    Args:
        settings: `lr`, `schedule`, `milestones`, `factor` and `decay` are read.
        update: number of updates made before this one, from 0.
        updates: how many there are in all, if nothing stops the run early.

    Returns:
        lr times the schedule's share of it, over 1 + decay * update (Keras' decay).

    Example:
        >>> learning_rate(TrainSettings(lr=0.1, decay=1.0), update=1, updates=10)
        0.05
    """
    return settings.lr * _share(settings, update / updates) / (1 + settings.decay * update)


def set_learning_rate(optimizer: Optimizer, rate: float) -> None:
    """Use a learning rate from the next update on."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def _share(settings: TrainSettings, done: float) -> float:
    if settings.schedule == "cosine":
        return (1 + math.cos(math.pi * done)) / 2
    if settings.schedule == "step":
        passed = sum(done >= milestone for milestone in settings.milestones)
        return math.pow(settings.factor, passed)
    if settings.schedule == "one-cycle":
        if done < _WARM_UP:
            return _COLD + (1 - _COLD) * done / _WARM_UP
        return (1 - done) / (1 - _WARM_UP)
    return 1.0


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """Return what an optimizer remembers, under the names "number of the parameter.what"."""
    return {
        f"{number}.{name}": value
        for number, weight in enumerate(_weights(optimizer))
        for name, value in optimizer.state[weight].items()
        if isinstance(value, Tensor)
    }


def restore_optimizer(optimizer: Optimizer, tensors: dict[str, Tensor]) -> None:
    """Give a fresh optimizer the memory of another one over the same parameters."""
    weights = _weights(optimizer)
    for key, value in tensors.items():
        number, _, name = key.partition(".")
        weight = weights[int(number)]
        state = value.to(weight.device, copy=True)
        if value.shape == weight.shape:
            # in the weight's own memory format, or every later update would mix two formats
            state = torch.empty_like(weight).copy_(value)
        optimizer.state[weight][name] = state


def _weights(optimizer: Optimizer) -> list[Tensor]:
    return [weight for group in optimizer.param_groups for weight in group["params"]]
