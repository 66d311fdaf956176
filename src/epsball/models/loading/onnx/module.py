"""A converted ONNX graph as a classifier of images in [0, 1]."""

import torch
from torch import Tensor, nn

from epsball.errors import InvalidInput
from epsball.models.loading.onnx.signature import Signature

_LEVELS = 255  # of an 8-bit image


class OnnxModel(nn.Module):
    """A graph of an ONNX file, shown images in its declared layout, type and batch size.

    It is always in eval mode: what an ONNX file does is fixed when it is exported.

    Args:
        graph: the converted graph; takes one tensor.
        signature: what the file declares.
        chunk: images a call of the graph; None: any number.
        mapped: run a graph for one image over many at once, by torch.vmap.
    """

    def __init__(
        self,
        graph: nn.Module,
        signature: Signature,
        chunk: int | None = None,
        *,
        mapped: bool = False,
    ) -> None:
        super().__init__()
        self.graph, self.signature, self.chunk, self.mapped = graph, signature, chunk, mapped
        self.train(mode=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the scores (n, k) of images (n, c, h, w) in [0, 1], in the images' dtype."""
        batch = as_declared(inputs, self.signature)
        if self.mapped:
            each: Tensor = torch.vmap(lambda image: self._scores(image[None])[0])(batch)
            return each.to(inputs.dtype)
        size = self.chunk or max(1, len(batch))
        parts = [self._scores(batch[at : at + size]) for at in range(0, len(batch), size)]
        return torch.cat(parts).to(inputs.dtype)

    def _scores(self, batch: Tensor) -> Tensor:
        missing = 0 if self.chunk is None else self.chunk - len(batch)
        full = (
            torch.cat([batch, batch[-1:].expand(missing, *batch.shape[1:])]) if missing else batch
        )
        # not by calling the graph: torch.fx prints a traceback of its own when that raises
        outputs = self.graph.forward(full)
        scores = outputs[self.signature.output] if isinstance(outputs, tuple | list) else outputs
        return as_rows(scores)[: len(batch)]

    def train(self, mode: bool = True) -> "OnnxModel":  # noqa: FBT001, FBT002, ARG002  # as torch's
        """Stay in eval mode."""
        return super().train(mode=False)


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
    if signature.layout == "nhwc":
        return inputs.permute(0, 2, 3, 1)
    if signature.layout == "nhw":
        return inputs[:, 0]
    return inputs.flatten(1) if signature.layout == "flat" else inputs


def _check_shape(inputs: Tensor, signature: Signature) -> None:
    declared = f"the ONNX file declares {signature.describe()}"
    given = f"the images are {' x '.join(map(str, inputs.shape[1:]))}"
    if signature.layout == "flat":
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
