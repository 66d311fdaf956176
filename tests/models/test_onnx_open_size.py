"""ONNX files that leave the size of images open: operators may be right for some sizes only."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.models.fakes import Refusal

from epsball.errors import BrokenContract
from epsball.models import fingerprint, load_model

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnx2fx")
pytest.importorskip("onnxruntime")
SIDE = 6  # of images that the graphs below take; their files do not say so


def saved(file: Path, first: Any, weights: dict[str, Any], values: int, opset: int) -> str:
    """A file of one operator and a matrix, which takes images of one size and declares none."""
    helper = onnx.helper
    matrix = np.random.default_rng(0).normal(size=(values, 3)).astype(np.float32)
    arrays = {**weights, "matrix": matrix, "zero": np.zeros(3, np.float32)}
    nodes = [
        first,
        helper.make_node("Flatten", ["a"], ["b"]),
        helper.make_node("Gemm", ["b", "matrix", "zero"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", 1, ["n", 1, "h", "w"])],
        [helper.make_tensor_value_info("y", 1, ["n", 3])],
        [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    opsets = [helper.make_opsetid("", opset)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), file)
    return f"onnx:{file}"


def upsampled(file: Path, mode: str) -> str:
    node = onnx.helper.make_node("Upsample", ["x", "scales"], ["a"], mode=mode)
    scales = np.array([1, 1, 2, 2], np.float32)
    return saved(file, node, {"scales": scales}, (2 * SIDE) ** 2, opset=9)


def test_scores_are_compared_on_the_first_images_of_a_size(tmp_path: Path) -> None:
    """Upsample of operator set 9 interpolates between corners, and its translation does not."""
    model = load_model(upsampled(tmp_path / "net.onnx", "linear")).model
    for _ in range(2):
        with pytest.raises(BrokenContract, match="its scores differ from those of onnxruntime"):
            model(torch.rand(2, 1, SIDE, SIDE))


def test_a_right_conversion_is_compared_once_and_stays_the_same_model(
    tmp_path: Path,
) -> None:
    model = load_model(upsampled(tmp_path / "net.onnx", "nearest")).model
    before = fingerprint(model)
    images = torch.rand(2, 1, SIDE, SIDE)
    scores = model(images)
    assert fingerprint(model) == before
    (tmp_path / "net.onnx").unlink()
    assert torch.equal(copy.deepcopy(model)(images), scores)


def test_images_that_the_file_does_not_take_are_refused(tmp_path: Path, refusal: Refusal) -> None:
    spec = upsampled(tmp_path / "net.onnx", "nearest")
    message = refusal(lambda: load_model(spec).model(torch.rand(2, 1, SIDE + 1, SIDE + 1)))
    assert "add --resize" in message
    assert load_model(spec, resize=SIDE).model(torch.rand(2, 1, 9, 9)).shape == (2, 3)


def test_an_operator_that_torch_refuses_when_it_runs_is_named(
    tmp_path: Path, refusal: Refusal
) -> None:
    """Clip without bounds, which ONNX allows."""
    node = onnx.helper.make_node("Clip", ["x"], ["a"])
    spec = saved(tmp_path / "net.onnx", node, {}, SIDE**2, opset=18)
    message = refusal(lambda: load_model(spec).model(torch.rand(2, 1, SIDE, SIDE)))
    assert "has no translation to torch" in message
