"""Files that were exported for one batch size, opened for any."""

from collections.abc import Iterator
from typing import Any

_ANY = -1  # in the shape of a Reshape: the remaining size


def open_batch(proto: Any, batch: int) -> Any:  # noqa: ANN401  # a ModelProto, untyped
    """Return a copy of a model whose input and Reshapes leave the number of images open.

    Exporters write the batch size of their example into the shapes of Reshape, and often nowhere
    else. Whether the copy gives the same scores has to be tried.

    Args:
        proto: the model.
        batch: the size it was exported for.
    """
    from onnx import numpy_helper

    opened = type(proto)()
    opened.CopyFrom(proto)
    graph = opened.graph
    del graph.value_info[:]  # shapes with the old size
    for value in (*graph.input, *graph.output):
        dims = value.type.tensor_type.shape.dim
        if dims and dims[0].dim_value == batch:
            dims[0].dim_param = "n"
    constants = dict(_constants(graph, numpy_helper))
    for number, node in enumerate(graph.node):
        shape = constants.get(node.input[1]) if node.op_type == "Reshape" else None
        if shape is None or shape.ndim != 1 or not len(shape) or shape[0] != batch:
            continue
        if (shape[1:] > 0).all():
            changed = shape.copy()
            changed[0] = _ANY
            graph.initializer.append(numpy_helper.from_array(changed, f"open{number}"))
            node.input[1] = f"open{number}"
    return opened


def _constants(graph: Any, helper: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    for tensor in graph.initializer:
        yield tensor.name, helper.to_array(tensor)
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            yield node.output[0], helper.to_array(node.attribute[0].t)
