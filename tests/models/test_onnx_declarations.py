"""What an ONNX file declares of its input and outputs is used or refused, never passed over."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.models.fakes import Refusal

from epsball.models import load_model

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnx2fx")
FLOAT, UINT8, INT64 = 1, 2, 7
COLOURS = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)  # 3 x 2 x 2 -> 4


def saved(
    file: Path,
    nodes: list[tuple[str, list[str], list[str], dict[str, Any]]],
    given: tuple[int, list[Any]],
    outputs: Mapping[str, tuple[int, list[Any] | None]],
    **metadata: str,
) -> str:
    helper = onnx.helper
    weights = {"matrix": COLOURS, "two": np.array([2, 3])}
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node(kind, names, result, **rest) for kind, names, result, rest in nodes],
            "net",
            [helper.make_tensor_value_info("x", *given)],
            [helper.make_tensor_value_info(name, *form) for name, form in outputs.items()],
            [onnx.numpy_helper.from_array(array, name) for name, array in weights.items()],
        ),
        opset_imports=[helper.make_opsetid("", 13)],
        ir_version=8,
    )
    for key, value in metadata.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key.replace("_", "."), value
    onnx.save(model, file)
    return f"onnx:{file}"


SCORES: list[tuple[str, list[str], list[str], dict[str, Any]]] = [
    ("Flatten", ["x"], ["flat"], {}),
    ("MatMul", ["flat", "matrix"], ["y"], {}),
]
IMAGES: tuple[int, list[Any]] = (FLOAT, ["n", 3, 2, 2])


def test_flat_images_may_have_their_colours_last(tmp_path: Path) -> None:
    flat = saved(tmp_path / "net.onnx", SCORES, (FLOAT, ["n", 12]), {"y": (FLOAT, ["n", 4])})
    images = torch.rand(5, 3, 2, 2)
    matrix = torch.from_numpy(COLOURS)
    for layout, rows in ((None, images), ("nchw", images), ("nhwc", images.permute(0, 2, 3, 1))):
        scores = load_model(flat, layout=layout).model(images)
        assert torch.allclose(scores, rows.flatten(1) @ matrix, atol=1e-5), layout


@pytest.mark.parametrize("shape", [["n", 4, 1, 1], None])
def test_features_beside_scores_of_another_form_are_not_taken_for_them(
    shape: list[Any] | None, tmp_path: Path, refusal: Refusal
) -> None:
    nodes = [*SCORES, ("Unsqueeze", ["y", "two"], ["scores"], {})]
    outputs = {"scores": (FLOAT, shape), "flat": (FLOAT, ["n", 12])}
    spec = saved(tmp_path / "net.onnx", nodes, IMAGES, outputs)
    assert "--output NAME" in refusal(lambda: load_model(spec))
    images = torch.rand(5, 3, 2, 2)
    scores = load_model(spec, output="scores").model(images)
    assert torch.allclose(scores, images.flatten(1) @ torch.from_numpy(COLOURS), atol=1e-5)


def test_labels_are_no_scores(tmp_path: Path) -> None:
    """As scikit-learn's exporter writes them: labels, then scores."""
    nodes = [*SCORES, ("ArgMax", ["y"], ["labels"], {"axis": 1})]
    labels: Any = (INT64, ["n", 1])
    scores: Any = (FLOAT, ["n", 4])
    images = torch.rand(5, 3, 2, 2)
    both = saved(tmp_path / "both.onnx", nodes, IMAGES, {"labels": labels, "y": scores})
    assert load_model(both).model(images).shape == (5, 4)
    alone = saved(tmp_path / "alone.onnx", nodes, IMAGES, {"labels": labels})
    assert load_model(alone).model(images).dtype == torch.int64


def test_whole_numbers_are_not_scaled(tmp_path: Path, refusal: Refusal) -> None:
    nodes = [("Cast", ["x"], ["c"], {"to": FLOAT}), ("Flatten", ["c"], ["flat"], {}), SCORES[1]]
    given, outputs = (UINT8, ["n", 3, 2, 2]), {"y": (FLOAT, ["n", 4])}
    spec = saved(tmp_path / "net.onnx", nodes, given, outputs)
    assert "leave --mean and --std out" in refusal(lambda: load_model(spec, mean=0.5, std=0.5))
    stated = {"Image_NominalPixelRange": "Normalized_1_1"}
    odd = saved(tmp_path / "odd.onnx", nodes, given, outputs, **stated)
    assert "take Image.NominalPixelRange out" in refusal(lambda: load_model(odd))


def test_linear_light_is_refused(tmp_path: Path, refusal: Refusal) -> None:
    outputs = {"y": (FLOAT, ["n", 4])}
    stated = {"Image_ColorSpaceGamma": "Linear"}
    spec = saved(tmp_path / "net.onnx", SCORES, IMAGES, outputs, **stated)
    assert "declares pixels in linear light" in refusal(lambda: load_model(spec))
    assert load_model(saved(tmp_path / "srgb.onnx", SCORES, IMAGES, outputs)).name == "srgb"
