"""Scores of an ONNX file by a runtime that is not ours, to judge the conversion by."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from epsball.models.loading.messages import one_line
from epsball.models.loading.request import optional


class FileScores:
    """The scores that onnxruntime, or ONNX's reference evaluator, reads off a file.

    Args:
        spec: as the model was asked for, for messages.
        file: the ONNX file; external weights lie beside it.
        output: position of the output that holds the scores.

    Raises:
        InvalidInput: neither runtime can open the file.
    """

    def __init__(self, spec: str, file: Path, output: int) -> None:
        self.spec, self.output = spec, output
        self.name, self._run = _runtime(spec, file)

    def __call__(self, batch: Tensor) -> Tensor:
        """Return the scores of one batch in the declared shape, layout and type."""
        scores = self._run(batch.numpy())[self.output]
        return torch.from_numpy(np.asarray(scores))


def _runtime(spec: str, file: Path) -> tuple[str, Any]:
    try:
        import onnxruntime
    except ImportError:
        return _reference(spec, file)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    # the graph as it was written: fusions of a transformer in float16 end the process (1.32)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4  # fatal: warnings about a file are no concern of the user's
    try:
        session = onnxruntime.InferenceSession(
            str(file), options, providers=["CPUExecutionProvider"]
        )
    except Exception:  # an opset or a type that onnxruntime lacks
        return _reference(spec, file)
    name = session.get_inputs()[0].name
    return "onnxruntime", lambda batch: session.run(None, {name: batch})


def _reference(spec: str, file: Path) -> tuple[str, Any]:
    reference = optional("onnx.reference", extra="onnx", needed_by=spec)
    try:
        evaluator = reference.ReferenceEvaluator(str(file))
    except Exception as error:
        from epsball.errors import InvalidInput

        raise InvalidInput(
            f"{spec}: neither onnxruntime nor ONNX's reference evaluator opens it "
            f"({one_line(error)}), so a conversion cannot be judged: export it again with a "
            "current version of its framework"
        ) from error
    name = evaluator.input_names[0]
    return "onnx.reference", lambda batch: evaluator.run(None, {name: batch})
