"""What a model is switched to for a while, and put back from: its mode, its dropout."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.dropout import _DropoutNd


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Run a block with the model in eval mode; each of its modules gets its own mode back.

    Module by module, because a model may keep some layers in eval mode while it trains others.
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def dropout_layers(model: nn.Module) -> list[_DropoutNd]:
    """Return the layers that drop at random while a model trains."""
    return [module for module in model.modules() if isinstance(module, _DropoutNd)]


@contextmanager
def dropping(model: nn.Module, probability: float | None) -> Iterator[None]:
    """Run a block with another probability in every dropout layer; None changes nothing."""
    layers = [] if probability is None else dropout_layers(model)
    before = [layer.p for layer in layers]
    for layer in layers:
        layer.p = probability if probability is not None else layer.p
    try:
        yield
    finally:
        for layer, own in zip(layers, before, strict=True):
            layer.p = own
