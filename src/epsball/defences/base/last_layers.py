"""Chooses the last hidden layers of a model."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from epsball.defences.base.features import as_module, outputs_in_order
from epsball.errors import InvalidInput
from epsball.tensors import Classifier

_HEAVY = (
    nn.Linear,
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)
_THINNING = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)


@dataclass(frozen=True)
class _Piece:
    """A stretch of a model: the layer that begins it, and the one whose output is used."""

    first: str
    chosen: str


def last_layers(model: Classifier, example: Tensor, count: int) -> tuple[str, ...]:
    """Choose the last hidden activations of a model.

    The model is cut where a convolution or a linear layer begins; the last module without parts of
    each piece is taken (its activation, norm or mean pooling; a max-pool is skipped, as the source
    of Deep Neural Rejection does); the piece that gives the scores is left out. A block of a
    residual network is one piece, and its own output is taken: those of its parts lack what goes
    around them. A module with parts counts as such a block if the model has its class more than
    once and its output differs from that of its last part.

    Args:
        model: in eval mode.
        example: images (n, c, h, w) where the model is.
        count: how many pieces, the last of them.

    Returns:
        `count` names or fewer, in the model's order.

    Raises:
        InvalidInput: there is no such layer.
    """
    whole = as_module(model)
    modules = dict(whole.named_modules())
    classes = [type(module) for module in modules.values()]
    pieces: list[_Piece] = []
    before: Tensor | None = None
    for name, output in outputs_in_order(whole, example):
        module, latest, before = modules[name], before, output
        if any(True for _ in module.children()):
            inside = [piece for piece in pieces if piece.first.startswith(f"{name}.")]
            if inside and classes.count(type(module)) > 1 and not _alike(output, latest):
                pieces = [piece for piece in pieces if piece not in inside]
                pieces.append(_Piece(name, name))
        elif isinstance(module, _HEAVY):
            pieces.append(_Piece(name, name))
        elif pieces and not isinstance(module, _THINNING):
            pieces[-1] = replace(pieces[-1], chosen=name)
    if not pieces[:-1]:
        raise InvalidInput(
            f"{type(model).__name__} has no hidden layer that can be chosen by itself; name layers "
            "(epsball.defences.layers_of lists them)"
        )
    return tuple(piece.chosen for piece in pieces[:-1][-count:])


def _alike(output: Tensor, other: Tensor | None) -> bool:
    return other is not None and torch.equal(output.flatten(), other.flatten())
