"""Which pixels a prediction depends on: input gradient, integrated gradients, Grad-CAM."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from epsball.errors import InvalidInput, unknown_name
from epsball.models.loading.request import optional
from epsball.tensors import Classifier, Images, Labels

Map: TypeAlias = Callable[[nn.Module, Tensor, Tensor], Tensor]
_STEPS = 16  # of the integral
_PERCENTILE = 0.99  # of a map, that is shown as white


def saliency_maps(
    model: Classifier, images: Images, classes: Labels, methods: tuple[str, ...] | None = None
) -> dict[str, Tensor]:
    """Show which pixels the score of a class depends on.

    Args:
        model: maps (n, c, h, w) in [0, 1] to logits (n, k).
        images: (n, c, h, w).
        classes: (n,), int64, whose scores are explained.
        methods: of `METHODS`; None: all, Grad-CAM only of a model that convolves.

    Returns:
        By method (n, h, w), in [0, 1]: the absolute attribution, summed over channels, relative to
        the 99th percentile of the image.

    Raises:
        InvalidInput: an unknown method, captum is not installed, or Grad-CAM of a model without
            convolutions.

    Source: input gradient: Simonyan et al. 2014, arXiv:1312.6034; integrated gradients from black:
        Sundararajan et al. 2017, arXiv:1703.01365; Grad-CAM at the last convolution: Selvaraju et
        al. 2017, arXiv:1610.02391. All by captum.

    Example:
        >>> model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
        >>> maps = saliency_maps(model, torch.rand(1, 1, 2, 2), torch.tensor([0]), ("gradient",))
        >>> tuple(maps["gradient"].shape)
        (1, 2, 2)
    """
    module = model if isinstance(model, nn.Module) else _Module(model)
    chosen = methods or tuple(n for n in METHODS if n != "grad-cam" or last_convolution(module))
    for name in chosen:
        if name not in METHODS:
            raise unknown_name("saliency", name, METHODS)
    inputs = images.detach().clone().requires_grad_()
    with torch.enable_grad():
        return {name: _normalised(METHODS[name](module, inputs, classes)) for name in chosen}


class FeatureMaps(NamedTuple):
    """What a convolution makes of images.

    Args:
        layer: its name in the network.
        channels: those that are shown.
        maps: (n, len(channels), h', w') in [0, 1], each relative to its largest value.
    """

    layer: str
    channels: list[int]
    maps: Tensor


def feature_maps(module: nn.Module, images: Images, *, count: int = 16) -> FeatureMaps:
    """Return what the first convolution makes of images.

    Args:
        module: convolves somewhere.
        images: (n, c, h, w).
        count: channels, those with the largest mean activation over the images.

    Returns:
        The maps after a ReLU.

    Raises:
        InvalidInput: the model has no convolution.
    """
    names = convolutions(module)
    if not names:
        raise InvalidInput("feature maps need a model with a convolution, this one has none")
    outputs: list[Tensor] = []
    layer = module.get_submodule(names[0])
    handle = layer.register_forward_hook(lambda _module, _inputs, output: outputs.append(output))
    try:
        with torch.no_grad():
            module(images)
    finally:
        handle.remove()
    maps = outputs[0].relu()
    best = maps.mean((0, 2, 3)).topk(min(count, maps.shape[1])).indices
    chosen = maps[:, best]
    relative = chosen / chosen.amax((2, 3), keepdim=True).clamp_min(1e-12)
    return FeatureMaps(names[0], best.tolist(), relative)


def convolutions(module: nn.Module) -> list[str]:
    """Return the names of a network's convolutions, in the order in which they are defined."""
    return [name for name, layer in module.named_modules() if isinstance(layer, nn.Conv2d)]


def last_convolution(module: nn.Module) -> nn.Module | None:
    """Return the convolution that is defined last; None without any."""
    names = convolutions(module)
    return module.get_submodule(names[-1]) if names else None


def _gradient(module: nn.Module, images: Tensor, classes: Tensor) -> Tensor:
    attributed: Tensor = _captum().Saliency(module).attribute(images, target=classes)
    return attributed.abs().sum(1)


def _integrated(module: nn.Module, images: Tensor, classes: Tensor) -> Tensor:
    method = _captum().IntegratedGradients(module)
    attributed: Tensor = method.attribute(
        images, target=classes, n_steps=_STEPS, internal_batch_size=len(images)
    )
    return attributed.abs().sum(1)


def _grad_cam(module: nn.Module, images: Tensor, classes: Tensor) -> Tensor:
    layer = last_convolution(module)
    if layer is None:
        raise InvalidInput("grad-cam needs a model with a convolution: use gradient or integrated")
    attributed: Tensor = (
        _captum()
        .LayerGradCam(module, layer)
        .attribute(images, target=classes, relu_attributions=True)
    )
    return interpolate(attributed, images.shape[-2:], mode="bilinear")[:, 0]


METHODS: Mapping[str, Map] = {
    "gradient": _gradient,
    "integrated": _integrated,
    "grad-cam": _grad_cam,
}


def _captum() -> Any:  # noqa: ANN401 - an untyped package
    return optional("captum.attr", extra="saliency", needed_by="saliency")


def _normalised(maps: Tensor) -> Tensor:
    flat = maps.detach().flatten(1)
    limit = flat.quantile(_PERCENTILE, dim=1).clamp_min(1e-12)
    return (flat / limit[:, None]).clamp(0, 1).view_as(maps)


class _Module(nn.Module):
    """A callable as a module: captum takes no other."""

    def __init__(self, model: Classifier) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor) -> Tensor:
        return self.model(inputs)
