#!/usr/bin/env bash
# onnx 1.23.2: in the reference evaluator, local response normalisation depends on the batch size.
#
# Expected: ReferenceEvaluator computes LRN as the operator's specification says: every channel is
# divided by a power of the mean square of its neighbouring channels, each image by itself.
# Seen: in a batch of n images only the first n channels are normalised; the others pass through. Its
# loop over channels runs over the size of the batch. One image of 6 channels has errors
# in channels 2 to 6, six images at once have none, and seven raise an IndexError.
# onnxruntime agrees with the specification in each case.
# Consequence: AlexNet or GoogLeNet checked against the reference looks wrongly exported, or one
# image that is checked alone gets scores, and a class, that no runtime gives it.
# Exit code 0 while this holds, 1 when it changes.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

CHANNELS = 6
graph = helper.make_graph(
    [helper.make_node("LRN", ["x"], ["y"], size=3, alpha=1.0, beta=0.75, bias=1.0)],
    "lrn",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", CHANNELS, 4, 4])],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", CHANNELS, 4, 4])],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
reference = ReferenceEvaluator(model)
maps = np.random.default_rng(0).standard_normal((CHANNELS, CHANNELS, 4, 4)).astype(np.float32)


def specified(x):
    squares = np.pad(x**2, ((0, 0), (1, 1), (0, 0), (0, 0)))
    sums = squares[:, :-2] + squares[:, 1:-1] + squares[:, 2:]
    return x / (1 + sums / 3) ** 0.75


holds = True
for images in (1, 3, CHANNELS):
    x = maps[:images]
    assert np.allclose(session.run(None, {"x": x})[0], specified(x), atol=1e-5)
    wrong = np.abs(reference.run(None, {"x": x})[0] - specified(x)).max((0, 2, 3)) > 1e-3
    print(f"batch of {images}: wrong channels {np.flatnonzero(wrong).tolist()} of {CHANNELS}")
    holds &= np.array_equal(wrong, np.arange(CHANNELS) >= images)
sys.exit(not holds)
PYTHON
