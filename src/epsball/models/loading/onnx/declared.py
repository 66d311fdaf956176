"""Images and scores in the form that an ONNX file declares."""

import torch
from torch import Tensor

from epsball.errors import InvalidInput
from epsball.models.loading.onnx.signature import Signature

_LEVELS = 255  # of an 8-bit image


def as_rows(scores: Tensor) -> Tensor:
    """Return scores (n, k, 1, 1) as (n, k); others as they are."""
    spatial = scores.shape[2:]
    return scores.flatten(1) if scores.ndim > 2 and spatial.numel() == 1 else scores


def as_declared(inputs: Tensor, signature: Signature) -> Tensor:
    """Return images in the layout and type that a file declares.

    Args:
        inputs: (n, c, h, w), float in [0, 1].
        signature: what the file declares.

    Raises:
        InvalidInput: the images have another size or number of channels.
    """
    _check_shape(inputs, signature)
    if signature.kind == torch.uint8:
        # its first operator casts to float; the gradient passes the rounding as it is
        levels = inputs * _LEVELS
        inputs = levels + (levels.round() - levels).detach()
    else:
        inputs = inputs.to(signature.kind)
    if signature.layout in ("nhwc", "flat-nhwc"):
        inputs = inputs.permute(0, 2, 3, 1)
    if signature.layout == "nhw":
        return inputs[:, 0]
    return inputs.flatten(1) if signature.is_flat else inputs


def _check_shape(inputs: Tensor, signature: Signature) -> None:
    declared = f"the ONNX file declares {signature.describe()}"
    given = f"the images are {' x '.join(map(str, inputs.shape[1:]))}"
    if signature.is_flat:
        count = inputs[0].numel() if len(inputs) else signature.values
        if signature.values not in (None, count):
            raise InvalidInput(
                f"{declared}, {given}, {count} values: give images of as many values"
            )
        return
    channels, height, width = inputs.shape[1:]
    if signature.channels not in (None, channels):
        raise InvalidInput(f"{declared}, {given}: {_channels_remedy(signature.channels)}")
    if signature.height in (None, height) and signature.width in (None, width):
        return
    square = signature.height == signature.width
    remedy = (
        f"add --resize {signature.height}"
        if square
        else f"resize them to {signature.height} x {signature.width} beforehand"
    )
    raise InvalidInput(f"{declared}, {given}: {remedy}")


def _channels_remedy(wanted: int | None) -> str:
    if wanted == 1:
        return "add --channels gray"
    if wanted == 3:  # red, green, blue
        return "add --channels rgb (or bgr, if it was trained on that order)"
    return f"give images of {wanted} channels"
