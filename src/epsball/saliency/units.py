"""What maximises a unit of a network."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from epsball.errors import InvalidInput, unknown_name
from epsball.fooling.gradient import ascend_class
from epsball.randomness import Randomness
from epsball.tensors import Images


class Channels(nn.Module):
    """A model up to a layer: the mean activation of each of the layer's channels.

    Args:
        module: the model; it is not changed.
        layer: name of one of its modules, as `named_modules` has it.

    Raises:
        InvalidInput: the model has no such layer.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(1, 3, 3), nn.Flatten())
        >>> tuple(Channels(net, "0")(torch.zeros(2, 1, 8, 8)).shape)
        (2, 3)
    """

    def __init__(self, module: nn.Module, layer: str) -> None:
        super().__init__()
        layers = dict(module.named_modules())
        if layer not in layers or not layer:
            raise unknown_name("layer", layer, filter(None, layers))
        self.module = module
        self.layer = layer

    def forward(self, inputs: Tensor) -> Tensor:
        """Return (n, channels)."""
        outputs: list[Tensor] = []
        layer = self.module.get_submodule(self.layer)
        handle = layer.register_forward_hook(lambda _module, _inputs, out: outputs.append(out))
        try:
            self.module(inputs)
        finally:
            handle.remove()
        if not outputs or not isinstance(outputs[-1], Tensor):
            raise InvalidInput(f"layer {self.layer!r} gives no tensor: name another layer")
        activation = outputs[-1]
        return activation.flatten(2).mean(2) if activation.dim() > 2 else activation


class Rise(NamedTuple):
    """Channels of a layer that an attack activates more than the clean images do.

    Args:
        channels: the largest rise first.
        clean: mean activation of each over the clean images.
        attacked: the same over the attacked ones.
    """

    channels: list[int]
    clean: list[float]
    attacked: list[float]


def rising_units(
    module: nn.Module, layer: str, clean: Images, attacked: Images, *, count: int = 8
) -> Rise:
    """Find the channels whose mean activation an attack raises most.

    Args:
        module: maps (n, c, h, w) in [0, 1] to scores.
        layer: see `Channels`.
        clean: (n, c, h, w).
        attacked: (n, c, h, w).
        count: channels, at most as many as the layer has.
    """
    part = Channels(module, layer)
    with torch.no_grad():
        before, after = (part(images).double().mean(0) for images in (clean, attacked))
    best = (after - before).topk(min(count, len(before))).indices
    return Rise(best.tolist(), before[best].tolist(), after[best].tolist())


def unit_images(
    module: nn.Module,
    layer: str,
    channels: list[int],
    shape: tuple[int, int, int],
    *,
    steps: int = 60,
    step_size: float = 0.02,
    generator: Randomness = None,
) -> Tensor:
    """Search, for each of some channels, an image that drives it most.

    Args:
        module: maps (n, c, h, w) in [0, 1] to scores.
        layer: see `Channels`.
        channels: of the layer.
        shape: (c, h, w) of the images.
        steps: gradients.
        step_size: of Adam, in input units.
        generator: of the shifts that keep the images smooth.

    Returns:
        (len(channels), c, h, w), in [0, 1]; begun at grey, shifted and smoothed on the way.

    Raises:
        InvalidInput: no such layer or channel.

    Source: Erhan et al. 2009, Visualizing higher-layer features; regularised as `ascend_class` is.
    """
    part = Channels(module, layer)
    device = next((parameter.device for parameter in module.parameters()), None)
    start = torch.full((len(channels), *shape), 0.5, device=device)
    with torch.no_grad():
        count = part(start[:1]).shape[1]
    for channel in channels:
        if not 0 <= channel < count:
            raise InvalidInput(f"layer {layer!r} has channels 0 to {count - 1}, got {channel}")
    fooling = ascend_class(
        part,
        start,
        torch.tensor(channels, device=device),
        steps=steps,
        step_size=step_size,
        regularised=True,
        generator=generator,
    )
    return fooling.images
