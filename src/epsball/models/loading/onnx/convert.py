"""From an ONNX file to a torch module that gives the same scores."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from epsball.errors import EpsballError, InvalidInput
from epsball.models.loading.exported import existing_file
from epsball.models.loading.messages import one_line
from epsball.models.loading.onnx.batch import open_batch
from epsball.models.loading.onnx.compare import COMPARED_IMAGES, FileScores, compare, of_file
from epsball.models.loading.onnx.module import OnnxModel
from epsball.models.loading.onnx.pixels import Pixels, read_pixels
from epsball.models.loading.onnx.signature import Signature, read_signature
from epsball.models.loading.request import Built, Request, optional

SAME = 1e-5  # of the largest score: what rounding in another batch size makes
_TRIED = (
    224,
    64,
    32,
)  # sides of the images a conversion is tried on, where the file leaves them open


def convert(
    spec: str, file: Path, *, layout: str | None = None, output: int | str | None = None
) -> tuple[OnnxModel, Pixels]:
    """Turn an ONNX file into a torch module, and compare the two on a few synthetic images.

    Where the file leaves the size of images open, the two are compared again on the first images of
    each size that the module is shown.

    Args:
        spec: as the model was asked for, for messages.
        file: the ONNX file.
        layout: see `read_signature`.
        output: see `read_signature`.

    Returns:
        The module, in eval mode, and what the file states about its pixels. A file with a fixed
        batch size is run in batches of that size, unless the conversion gives the same scores in
        larger ones.

    Raises:
        InvalidInput: a package is missing, the file is damaged or no classifier, or an operator
            has no counterpart in torch.
        BrokenContract: the module gives other scores than the file.
    """
    onnx = optional("onnx", extra="onnx", needed_by=spec)
    converter = optional("onnx2fx", extra="onnx", needed_by=spec)
    proto = _read(spec, file, onnx)
    signature, pixels = read_signature(spec, proto, layout, output), read_pixels(spec, proto)
    try:
        graph: nn.Module = converter.convert(renamed(proto))
    except Exception as error:  # the converter has an error of its own for each thing it lacks
        raise _unconvertible(spec, proto, onnx, error) from error
    model = OnnxModel(graph, signature, signature.batch)
    scores = FileScores(spec, file, signature.output)
    images = _synthetic(model, scores)
    if images is not None:
        compare(model, signature, scores, images)
        if signature.batch is not None:
            model = _opened(model, proto, converter, images)
    if images is None or signature.has_open_size:
        model.file = file
    return model, pixels


def _opened(model: OnnxModel, proto: Any, converter: Any, images: Tensor) -> OnnxModel:  # noqa: ANN401
    """Return a model that takes any number of images at once, where that gives the same scores."""
    batch = model.signature.batch or 1

    def opened_graph() -> OnnxModel:
        graph = converter.convert(renamed(open_batch(proto, batch)))
        return OnnxModel(graph, model.signature)

    def mapped_graph() -> OnnxModel:
        return OnnxModel(model.graph, model.signature, batch, mapped=batch == 1)

    with torch.no_grad():
        expected = model(images)
        for make in (opened_graph, mapped_graph):
            try:
                opened = make()
                scores = opened(images)
            except Exception:  # noqa: S112  # another constant in the graph holds the batch size
                continue
            apart = (scores - expected).abs().max() if scores.shape == expected.shape else torch.inf
            if apart <= SAME * expected.abs().max():
                return opened
    return model


def renamed(proto: Any) -> Any:  # noqa: ANN401  # a ModelProto, untyped
    """Return a copy whose values are called v0, v1 ...

    The names in a file are anybody's: the converter makes Python identifiers of them, and two
    names may become the same one.
    """
    copied = type(proto)()
    copied.CopyFrom(proto)
    _rename(copied.graph, {"": ""})
    return copied


def _rename(graph: Any, names: dict[str, str]) -> None:  # noqa: ANN401  # a GraphProto
    def renew(name: str) -> str:
        return names.setdefault(name, f"v{len(names)}")

    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        value.name = renew(value.name)
    for number, node in enumerate(graph.node):
        node.name = f"n{number}"
        node.input[:] = [renew(name) for name in node.input]
        node.output[:] = [renew(name) for name in node.output]
        for inner in _subgraphs(node):
            _rename(inner, names)


def _subgraphs(node: Any) -> Iterable[Any]:  # noqa: ANN401  # a NodeProto
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _read(spec: str, file: Path, onnx: Any) -> Any:  # noqa: ANN401  # untyped package
    try:
        proto = onnx.load(str(file))
        if proto.functions:
            inliner = optional("onnx.inliner", extra="onnx", needed_by=spec)
            proto = inliner.inline_local_functions(proto)
    except EpsballError:
        raise
    except Exception as error:  # protobuf and onnx have errors of their own
        raise InvalidInput(
            f"{spec} cannot be read ({one_line(error)}): the file is damaged, is no ONNX model, or "
            "the file with its weights does not lie beside it"
        ) from error
    if not proto.graph.node:
        raise InvalidInput(f"{spec} holds no graph: the file is damaged or is no ONNX model")
    return proto


def _unconvertible(spec: str, proto: Any, onnx: Any, error: Exception) -> InvalidInput:  # noqa: ANN401
    try:
        onnx.checker.check_model(proto)
    except Exception as broken:
        return InvalidInput(
            f"{spec} breaks a rule of ONNX ({one_line(broken)}): export it again with a current "
            "version of its framework"
        )
    return InvalidInput(
        f"{spec} has no translation to torch ({one_line(error)}): load the model's own code with "
        "FILE.py:factory"
    )


def _synthetic(model: OnnxModel, scores: FileScores) -> Tensor | None:
    """Return noise and smooth images of a size that the file takes; None where none was found."""
    declared = model.signature
    sizes = [declared.height] if declared.height else list(_TRIED)
    for side in sizes:
        images = _images(declared, side)
        try:
            of_file(declared, scores, images[: declared.batch or COMPARED_IMAGES])
        except Exception:  # noqa: S112  # the file takes another size
            continue
        return images
    return None


def _images(signature: Signature, side: int) -> Tensor:
    channels = signature.channels or 3
    width = signature.width or side
    if signature.is_flat:
        channels, side, width = 1, 1, signature.values or side
    count = COMPARED_IMAGES * (signature.batch or 1)
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(count, channels, side, width, generator=generator)
    ramp = torch.linspace(0, 1, width).expand(count, channels, side, width)
    weight = torch.rand(count, 1, 1, 1, generator=generator)
    return (weight * noise + (1 - weight) * ramp).mul(255).round() / 255


def from_onnx(request: Request) -> Built:
    """Load `onnx:FILE`.

    Raises:
        InvalidInput: see `convert`; or --weights is given.
        BrokenContract: the conversion gives other scores than the file.
    """
    file = existing_file(request)
    model, pixels = convert(request.spec, file, layout=request.layout, output=request.output)
    takes_levels = model.signature.kind == torch.uint8
    if takes_levels and pixels.mean is not None:
        raise InvalidInput(
            f"{request.spec} declares whole numbers from 0 to 255 as its input, and pixels from -1 "
            "to 1 in its metadata: take Image.NominalPixelRange out of them"
        )
    return Built(
        model,
        file.stem,
        mean=pixels.mean,
        std=pixels.std,
        channels=pixels.channels,
        input_range=pixels.input_range,
        takes_levels=takes_levels,
        has_layout=True,
    )
