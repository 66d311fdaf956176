#!/usr/bin/env bash
# onnx 1.23.2: version_converter changes the scores of a network that resizes, without an error.
#
# Expected: convert_version returns a model that computes the same, or raises an error.
# Seen: from opset 10 to 11 and above it keeps a Resize node (or Upsample of opset 9) without an
# attribute for coordinates. Before opset 11 the operator computes what is now called "asymmetric";
# from 11 on, the default is "half_pixel". Both files pass the checker; onnxruntime follows both.
# Scores of a small network differ by up to 1.3 times their spread, and one image in six changes its
# class; the network without the Resize node is converted without any change.
# Consequence: the robust accuracy of the converted file is that of another classifier; images that
# the original file classifies correctly are wrong before any attack.
# Exit code 0 while this holds, 1 when it changes.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, checker, helper, numpy_helper, version_converter

rng = np.random.default_rng(0)
kernels = rng.standard_normal((16, 1, 3, 3)).astype(np.float32)


def network(resized):
    pixels, side = ("large", 7) if resized else ("images", 3)
    weights = rng.standard_normal((16 * side * side, 4)).astype(np.float32)
    values = {"kernels": kernels, "weights": weights}
    if resized:
        values["scales"] = np.array([1, 1, 2, 2], np.float32)
    first = [helper.make_node("Resize", ["images", "scales"], ["large"], mode="linear")]
    nodes = [
        helper.make_node("Conv", [pixels, "kernels"], ["maps"], strides=[2, 2]),
        helper.make_node("Relu", ["maps"], ["active"]),
        helper.make_node("Flatten", ["active"], ["features"]),
        helper.make_node("MatMul", ["features", "weights"], ["scores"]),
    ]
    graph = helper.make_graph(
        (first if resized else []) + nodes,
        "network",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [500, 1, 8, 8])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [500, 4])],
        [numpy_helper.from_array(v, k) for k, v in values.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 10)], ir_version=8)


def scores(model):
    checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"images": images})[0]


images = rng.random((500, 1, 8, 8), dtype=np.float32)
changed = {}
for resized in (True, False):
    model = network(resized)
    before, after = scores(model), scores(version_converter.convert_version(model, 13))
    changed[resized] = (before.argmax(1) != after.argmax(1)).mean()
    apart = np.abs(before - after).max() / before.std()
    print(f"resized: {resized}; opset 10 to 13 changes scores by up to {apart:.2f} of their spread,")
    print(f"  and the class of {100 * changed[resized]:.1f} % of the images")
sys.exit(not (changed[True] > 0.05 and changed[False] == 0))
PYTHON
