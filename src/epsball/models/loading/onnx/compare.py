"""Scores of an ONNX file by a runtime that is not ours, to judge the conversion by."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from epsball.errors import BrokenContract, EpsballError, InvalidInput
from epsball.models.loading.messages import one_line
from epsball.models.loading.onnx.declared import as_declared, as_rows
from epsball.models.loading.onnx.signature import Signature
from epsball.models.loading.request import optional

APART = 1e-3  # of the largest score: what conversion and file may differ by
APART_HALF = 1e-2  # likewise, for a file that computes in float16
_OWN_CODE = "load the model's own code with FILE.py:factory"
COMPARED_IMAGES = 3  # in a batch, where the file leaves its size open


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
        raise InvalidInput(
            f"{spec}: neither onnxruntime nor ONNX's reference evaluator opens it "
            f"({one_line(error)}), so a conversion cannot be judged: export it again with a "
            "current version of its framework"
        ) from error
    name = evaluator.input_names[0]
    return "onnx.reference", lambda batch: evaluator.run(None, {name: batch})


def compare(
    model: Callable[[Tensor], Tensor], declared: Signature, scores: FileScores, images: Tensor
) -> float:
    """Compare a converted model with its file.

    Args:
        model: what the file was converted to.
        declared: what the file declares.
        scores: the file's own.
        images: (n, c, h, w) in [0, 1], of the declared size, a batch of the file or more.

    Returns:
        The largest difference, as a share of the largest score.

    Raises:
        InvalidInput: the file does not run on images of this size, or the converted model raises.
        BrokenContract: the difference is more than 1e-3 (1e-2 for float16).
    """
    size = declared.batch or len(images)
    full = [images[at : at + size] for at in range(0, len(images) - size + 1, size)]
    theirs = torch.cat([_asked(scores, declared, part) for part in full]).double()
    try:
        with torch.no_grad():
            ours = torch.cat([model(part).cpu() for part in full]).double()
    except EpsballError:
        raise
    except Exception as error:  # operators that the converter writes down and torch refuses
        raise InvalidInput(
            f"{scores.spec} has no translation to torch ({one_line(error)}): {_OWN_CODE}"
        ) from error
    apart = torch.inf
    if ours.shape == theirs.shape:  # others would be broadcast
        apart = float((ours - theirs).abs().max() / theirs.abs().max().clamp_min(1e-30))
    allowed = APART_HALF if declared.kind == torch.float16 else APART
    if not apart <= allowed:
        raise BrokenContract(
            f"{scores.spec}: converted to torch, its scores differ from those of {scores.name} by "
            f"{apart:.2g} of the largest (at most {allowed:g} is allowed): an operator has no "
            f"exact counterpart; {_OWN_CODE}"
        )
    return apart


def _asked(scores: FileScores, declared: Signature, images: Tensor) -> Tensor:
    try:
        return of_file(declared, scores, images)
    except EpsballError:
        raise
    except Exception as error:  # a runtime has errors of its own
        shape = " x ".join(map(str, images.shape[1:]))
        raise InvalidInput(
            f"{scores.spec}: {scores.name} does not run it on images of {shape} "
            f"({one_line(error)}), so its conversion cannot be judged: add --resize with the size "
            f"that it was trained on, or {_OWN_CODE}"
        ) from error


def of_file(declared: Signature, scores: FileScores, images: Tensor) -> Tensor:
    """Return the scores (n, k) that a file gives to images (n, c, h, w) in [0, 1]."""
    batch = as_declared(images.cpu(), declared)
    return as_rows(scores(batch.contiguous().to(declared.kind)))
