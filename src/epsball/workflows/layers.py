"""The layers of a model given by its spec."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from epsball.defences import Layer, layers_of
from epsball.defences.base.model import check_mode
from epsball.errors import EpsballError, InvalidInput
from epsball.evaluation.defended import open_bare
from epsball.evaluation.inputs import Data, open_data, sample_of
from epsball.evaluation.subject import device_for
from epsball.models import MODELS, load_model

Shape: TypeAlias = tuple[int, int, int]
_GUESSES: tuple[Shape, ...] = ((3, 32, 32), (1, 28, 28), (3, 224, 224))


@dataclass(frozen=True)
class ModelLayers:
    """The layers of a model that a defence can look at.

    Args:
        layers: in the order in which they finish.
        shape: (c, h, w) of the images that were shown to it.
        guessed: the shape was not given.
    """

    layers: Sequence[Layer]
    shape: Shape
    guessed: bool


def model_layers(
    model: str,
    data: Data | None = None,
    *,
    shape: Shape | None = None,
    device: str = "auto",
    **loading: Any,  # noqa: ANN401 - load_model's own
) -> ModelLayers:
    """List the layers of a model that a defence can look at; it may be untrained.

    Args:
        model: as `load_model` takes it.
        data: what it is for; gives the shape of an image.
        shape: (c, h, w) in its place. Without either: what the zoo knows, else the first of
            3x32x32, 1x28x28 and 3x224x224 that the model takes.
        device: where it runs.
        loading: more arguments of `load_model`.

    Raises:
        InvalidInput: both data and shape are given, the model cannot be loaded, is no module, or
            takes no such image.
    """
    if data is not None and shape is not None:
        raise InvalidInput("layers: give data or shape, one of the two")
    place, how = device_for(device), {"require_weights": False} | loading
    if data is not None:
        return _listed(model, sample_of(open_data(data), 2)[0], place, how, guessed=False)
    loaded = load_model(model, device=place, **how).model
    check_mode(loaded, model)  # what no other image would mend is said here
    if not isinstance(loaded, nn.Module):
        raise InvalidInput(f"{model} is no torch module, so its layers cannot be read")
    spec = MODELS.get(model.removeprefix("zoo:")) if model.startswith("zoo:") else None
    known_shape = shape or (spec.input_shape if spec else None)
    shapes = (known_shape,) if known_shape else _GUESSES
    reason = ""
    for one in shapes:
        try:
            sample = torch.full((2, *one), 0.5)
            return _listed(model, sample, place, how, guessed=known_shape is None)
        except (EpsballError, RuntimeError, ValueError) as error:  # the model's own, mostly
            reason = str(error).partition("\n")[0]
    raise InvalidInput(
        f"{model} takes no image of {' or '.join(map(written, shapes))} ({reason}): say what it is "
        "for, with --data NAME or --shape CxHxW"
    )


def _listed(
    model: str, sample: Tensor, device: str, loading: dict[str, Any], *, guessed: bool
) -> ModelLayers:
    layers = layers_of(open_bare(model, sample, device, loading), sample.to(device))
    channels, height, width = sample.shape[1:]
    return ModelLayers(layers, (channels, height, width), guessed)


def written(shape: Sequence[int]) -> str:
    """Return a shape as people write it: 3x32x32."""
    return "x".join(map(str, shape))


def parse_shape(text: str) -> Shape:
    """Read the shape of an image.

    Raises:
        InvalidInput: these are no three whole numbers above 0.

    Example:
        >>> parse_shape("3x32x32")
        (3, 32, 32)
    """
    match [int(part) if part.isdecimal() else 0 for part in text.lower().split("x")]:
        case [channels, height, width] if min(channels, height, width) > 0:
            return channels, height, width
    raise InvalidInput(f"shape must be channels, height and width as 3x32x32, got {text!r}")
