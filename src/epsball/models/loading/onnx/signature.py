"""What an ONNX graph declares of its input and its scores."""

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch

from epsball.errors import InvalidInput

Layout: TypeAlias = Literal["nchw", "nhwc", "nhw", "flat", "flat-nhwc"]
CHANNELS = (1, 3)  # of the images that audits are made on
KINDS = {1: torch.float32, 2: torch.uint8, 10: torch.float16, 11: torch.float64}  # ONNX's codes
_FLOATS = (1, 10, 11, 16)  # float32, float16, float64, bfloat16
_LAYOUTS: dict[int, Layout] = {2: "flat", 3: "nhw", 4: "nchw"}  # by the number of dimensions


@dataclass(frozen=True)
class Signature:
    """The declared input and output of a classifier in an ONNX file; None where it is dynamic.

    Args:
        input: name of the input.
        kind: its element type; images in uint8 hold 0 to 255.
        layout: order of its dimensions, or of the numbers of a flat image.
        batch: images it takes at once.
        channels: of an image; 1 in the layout "nhw".
        height: of an image, in pixels.
        width: likewise.
        values: numbers of a flat image; None in the other layouts.
        output: position among the outputs of the one that holds the scores.
    """

    input: str
    kind: torch.dtype
    layout: Layout
    batch: int | None
    channels: int | None
    height: int | None
    width: int | None
    values: int | None
    output: int

    @property
    def is_flat(self) -> bool:
        """Say whether an image is one row of numbers."""
        return self.layout in ("flat", "flat-nhwc")

    @property
    def has_open_size(self) -> bool:
        """Say whether the file takes images of several sizes or numbers of channels."""
        if self.is_flat:
            return self.values is None
        return None in (self.channels, self.height, self.width)

    def describe(self) -> str:
        """Return the declared input in words: "3 x 224 x 224 images (n, c, h, w), float32"."""
        sides = [self.channels, self.height, self.width]
        size = " x ".join("any" if side is None else str(side) for side in sides)
        size = f"{self.values or 'any number of'} values" if self.is_flat else f"{size} images"
        return f"{size} ({', '.join(self.layout)}), {str(self.kind).removeprefix('torch.')}"


def read_signature(
    spec: str,
    model: Any,  # noqa: ANN401  # a ModelProto, untyped
    layout: str | None = None,
    output: int | str | None = None,
) -> Signature:
    """Read the declared input and output of a graph.

    Args:
        spec: as the model was asked for, for messages.
        model: the ModelProto.
        layout: "nchw" or "nhwc", where the sizes declared leave both possible, as those of flat
            images do; None: "nchw".
        output: position or name of the scores among the outputs; None: the only one, or the only
            one of floats of shape (n, k).

    Raises:
        InvalidInput: it does not take one batch of images, gives more than one set of scores, or
            declares another layout.
    """
    graph = model.graph
    constants = {tensor.name for tensor in graph.initializer}  # old files list them as inputs too
    inputs = [value for value in graph.input if value.name not in constants]
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs) or "none"
        raise InvalidInput(
            f"{spec} takes {len(inputs)} inputs ({names}), a classifier takes one batch of images: "
            "export a module whose forward has one argument"
        )
    kind = KINDS.get(inputs[0].type.tensor_type.elem_type)
    dims = _dimensions(inputs[0])
    if kind is None or len(dims) not in _LAYOUTS:
        raise InvalidInput(
            f"{spec} takes an input {inputs[0].name} of {len(dims)} dimensions and ONNX type "
            f"{inputs[0].type.tensor_type.elem_type}, a classifier takes floats or uint8 of shape "
            "(n, c, h, w): export it with such an input"
        )
    at = _scores(spec, graph) if output is None else _chosen(spec, graph, output)
    signature = _signature(inputs[0].name, kind, dims, at, layout)
    if layout is not None and len(dims) == 4 and signature.layout != layout:
        raise InvalidInput(
            f"{spec} declares {signature.describe()}, --layout is {layout}: leave it out"
        )
    return signature


def _signature(
    name: str, kind: torch.dtype, dims: list[int | None], output: int, wanted: str | None
) -> Signature:
    layout = _LAYOUTS[len(dims)]
    batch = dims[0]
    if layout == "flat":
        layout = "flat-nhwc" if wanted == "nhwc" else "flat"
        return Signature(name, kind, layout, batch, None, None, None, dims[1], output)
    if layout == "nhw":
        return Signature(name, kind, layout, batch, 1, dims[1], dims[2], None, output)
    last = dims[1] not in CHANNELS and dims[3] in CHANNELS
    if last or (wanted == "nhwc" and dims[3] in (None, *CHANNELS)):
        return Signature(name, kind, "nhwc", batch, dims[3], dims[1], dims[2], None, output)
    return Signature(name, kind, "nchw", batch, dims[1], dims[2], dims[3], None, output)


def _dimensions(value: Any) -> list[int | None]:  # noqa: ANN401  # a ValueInfoProto
    dims = value.type.tensor_type.shape.dim
    return [
        dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else None for dim in dims
    ]


def _scores(spec: str, graph: Any) -> int:  # noqa: ANN401  # a GraphProto
    if len(graph.output) == 1:
        return 0
    rows = [at for at, value in enumerate(graph.output) if _may_be_scores(value)]
    if len(rows) != 1:
        names = ", ".join(value.name for value in graph.output)
        raise InvalidInput(
            f"{spec} gives {len(graph.output)} outputs ({names}), {len(rows)} of which may hold "
            "scores (n, k): say which holds the scores with --output NAME or --output NUMBER"
        )
    return rows[0]


def _may_be_scores(value: Any) -> bool:  # noqa: ANN401  # a ValueInfoProto
    tensor, dims = value.type.tensor_type, _dimensions(value)
    rows = len(dims) == 2 or (len(dims) == 4 and dims[2:] == [1, 1])
    return tensor.elem_type in _FLOATS and (rows or not tensor.HasField("shape"))


def _chosen(spec: str, graph: Any, output: int | str) -> int:  # noqa: ANN401  # a GraphProto
    names = [value.name for value in graph.output]
    if isinstance(output, int) and 0 <= output < len(names):
        return output
    if isinstance(output, str) and output in names:
        return names.index(output)
    raise InvalidInput(
        f"--output {output} is none of the outputs of {spec}: they are "
        f"{', '.join(f'{at} ({name})' for at, name in enumerate(names))}"
    )
