"""Mean, standard deviation, size and colour order as the first layer of a model.

So that eps is always measured in the pixels of the data set, never in normalised units.
"""

import math
from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from epsball.errors import InvalidInput, unknown_name
from epsball.tensors import Boxes
from epsball.types import ModelInfo

Channels: TypeAlias = Literal["rgb", "bgr", "gray"]
CHANNELS: tuple[Channels, ...] = ("rgb", "bgr", "gray")
Layout: TypeAlias = Literal["nchw", "nhwc"]
LAYOUTS: tuple[Layout, ...] = ("nchw", "nhwc")
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, the weights of Pillow's convert("L")
COLOURS = 3
_WHITE = 255


class Preprocess(nn.Module):
    """Turn images in [0, 1] into what a model was trained on: colours, then size, then scale.

    Args:
        mean: subtracted, per channel or one for all, in [0, input_range]; 0 when None.
        std: divided by, likewise, above 0; 1 when None.
        resize: side of the square the model wants, in pixels; None leaves the size alone.
        size: (height, width) of the images that the model wants, where they are not resized; other
            images are refused; None: any.
        channels: what the model wants: "rgb", "bgr" (colours reversed; from grey images, three
            equal channels) or "gray" (from colours, BT.601 luma); None leaves the channels alone.
        input_range: the brightest value of the images that the model wants, 255 for levels; 1 when
            None.
        layout: "nhwc" where the model wants channels last; "nchw" when None.

    Raises:
        InvalidInput: a value breaks its rule, or the images have another number of channels than
            mean.

    Source: resizing is bilinear with antialiasing, as Pillow and torchvision do it for images.

    Example:
        >>> layer = Preprocess(mean=(0.5,), std=(0.25,))
        >>> layer(torch.full((1, 1, 1, 1), 0.75)).item()
        1.0
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        *,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        resize: int | None = None,
        channels: str | None = None,
        size: tuple[int, int] | None = None,
        input_range: float | None = None,
        layout: str | None = None,
    ) -> None:
        super().__init__()
        _check(mean, std, resize, channels, 1.0 if input_range is None else input_range)
        if layout is not None and layout not in LAYOUTS:
            raise unknown_name("layout", layout, LAYOUTS)
        # Not part of the state: weight files never hold them, and a pipeline's weights fit the
        # bare model.
        self.register_buffer("mean", _column(mean or (0.0,)), persistent=False)
        self.register_buffer("std", _column(std or (1.0,)), persistent=False)
        self.resize = resize
        self.channels = channels
        self.size = size
        self.input_range = 1.0 if input_range is None else float(input_range)
        self.layout = layout

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the images as the model wants them, (n, c', h', w')."""
        images = _recoloured(inputs, self.channels)
        side = self.resize
        if side is not None and images.shape[2:] != (side, side):
            images = interpolate(images, size=(side, side), mode="bilinear", antialias=True)
        if self.size is not None and images.shape[2:] != self.size:
            raise InvalidInput(
                f"the model wants images of {_by(self.size)} pixels, these have "
                f"{_by(images.shape[2:])}: {_resizing(self.size)}"
            )
        count, wanted = images.shape[1], max(len(self.mean), len(self.std))
        if wanted not in (1, count):
            raise InvalidInput(
                f"mean and std hold {wanted} values but the images have {count} channels: "
                "give one value a channel, or set --channels to what the model wants"
            )
        if self.input_range != 1:
            images = images * self.input_range
        scaled = (images - self.mean) / self.std
        return scaled.permute(0, 2, 3, 1) if self.layout == "nhwc" else scaled

    def extra_repr(self) -> str:
        """Return the settings: they are part of what the model is."""
        mean, std = _listed(self.mean.flatten().tolist()), _listed(self.std.flatten().tolist())
        scale = "" if self.input_range == 1 else f", input_range={self.input_range:g}"
        layout = "" if self.layout in (None, "nchw") else f", layout={self.layout}"
        given = f"mean=({mean}), std=({std}), resize={self.resize}, channels={self.channels}"
        return f"{given}{scale}{layout}"


class Pipeline(nn.Module):
    """A model behind its preprocessing.

    The mode (train or eval) is the model's own, and so is `info` where it has one.

    Args:
        preprocess: the first layer.
        model: what takes its output.
    """

    info: ModelInfo

    def __init__(self, preprocess: Preprocess, model: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.preprocess = preprocess
        self.model = model
        # Set by hand: train() would reach into the model and change layers that its owner froze.
        self.training = preprocess.training = bool(getattr(model, "training", False))
        if isinstance(info := getattr(model, "info", None), ModelInfo):
            self.info = info

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the model's scores for images (n, c, h, w) in [0, 1]."""
        return self.model(self.preprocess(inputs))

    def boxes(self) -> Boxes | None:
        """Return the boxes of a model that shows some, in grey levels of the images.

        None where preprocessing does more than scale every value alike.
        """
        method, layer = getattr(self.model, "boxes", None), self.preprocess
        moves = (layer.resize, layer.channels, layer.layout if layer.layout != "nchw" else None)
        alike = len(layer.mean) == len(layer.std) == 1
        if not callable(method) or not alike or any(one is not None for one in moves):
            return None
        levels = torch.arange(_WHITE + 1, device=layer.mean.device) / _WHITE
        seen = (levels * layer.input_range - layer.mean.flatten()) / layer.std.flatten()
        boxes: Boxes | None = method(seen)
        return boxes

    def relaxed(self) -> Callable[[Tensor], Tensor] | None:
        """Return the differentiable version of the model, if it has one, behind this layer."""
        method = getattr(self.model, "relaxed", None)
        inner = method() if callable(method) else None
        return None if inner is None else Pipeline(self.preprocess, inner)


def without_preprocessing(model: nn.Module) -> nn.Module:
    """Return the user's own module behind a `Pipeline`; any other model as it is.

    Example:
        >>> own = nn.Flatten()
        >>> without_preprocessing(Pipeline(Preprocess(mean=(0.5,)), own)) is own
        True
    """
    inner = model.model if isinstance(model, Pipeline) else model
    return inner if isinstance(inner, nn.Module) else model


def _column(values: Sequence[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32).view(-1, 1, 1)


def _recoloured(inputs: Tensor, channels: str | None) -> Tensor:
    if channels is None:
        return inputs
    count = inputs.shape[1]
    if count not in (1, COLOURS):
        raise InvalidInput(
            f"channels={channels!r} takes images of 1 or 3 channels, got {count}: "
            "leave --channels out and let the model take them as they are"
        )
    if channels == "gray":
        return inputs if count == 1 else _luma(inputs)
    colours = inputs.expand(-1, COLOURS, -1, -1)
    return colours.flip(1) if channels == "bgr" else colours


def _luma(inputs: Tensor) -> Tensor:
    weights = inputs.new_tensor(LUMA).view(-1, 1, 1)
    return (inputs * weights).sum(1, keepdim=True)  # (n, 1, h, w)


def _check(
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    resize: int | None,
    channels: str | None,
    input_range: float,
) -> None:
    if not (input_range > 0 and math.isfinite(input_range)):
        raise InvalidInput(
            f"input_range must be above 0, got {input_range:g}: write 255 for levels, 1 for [0, 1]"
        )
    if channels is not None and channels not in CHANNELS:
        raise InvalidInput(f"channels must be one of {', '.join(CHANNELS)}, got {channels!r}")
    if resize is not None and resize < 1:
        raise InvalidInput(f"resize must be at least 1 pixel, got {resize}")
    for name, values in (("mean", mean), ("std", std)):
        _check_count(name, values, channels)
    if mean is not None and not all(0 <= value <= input_range for value in mean):
        raise InvalidInput(
            f"mean must lie in [0, {input_range:g}], the range of pixels, got {_listed(mean)}: "
            "divide by 255, or, for a model that wants levels, add --input-range 255"
        )
    if std is not None and not all(value > 0 and math.isfinite(value) for value in std):
        raise InvalidInput(
            f"std must be above 0, got {_listed(std)}: give the spread of pixels in [0, 1]"
        )
    if mean and std and len(mean) != len(std) and 1 not in (len(mean), len(std)):
        raise InvalidInput(f"mean has {len(mean)} values and std {len(std)}: give one a channel")


def _check_count(name: str, values: Sequence[float] | None, channels: str | None) -> None:
    if values is None:
        return
    allowed = {None: None, "gray": (1,)}.get(channels, (1, COLOURS))
    if not values or (allowed and len(values) not in allowed):
        wanted = " or ".join(map(str, allowed or ("one a channel",)))
        raise InvalidInput(
            f"{name} holds {len(values)} values, expected {wanted} for channels={channels}"
        )


def _by(size: Sequence[int]) -> str:
    return " x ".join(map(str, size))


def _resizing(size: tuple[int, int]) -> str:
    if size[0] == size[1]:
        return f"add --resize {size[0]} (or give any other side to have it so)"
    return "resize the images beforehand"


def _listed(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)
