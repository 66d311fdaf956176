import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.models.fakes import Refusal
from torch import Tensor, nn

from epsball.models import load_model, probe

onnx = pytest.importorskip("onnx")
KERNEL = np.random.default_rng(0).normal(size=(4, 1, 3, 3)).astype(np.float32)
OUTPUT = np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32)


def written(file: Path, activation: str = "Relu") -> Path:
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    nodes = [
        helper.make_node("Conv", ["x", "kernel"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node(activation, ["a"], ["b"]),
        helper.make_node("GlobalAveragePool", ["b"], ["c"]),
        helper.make_node("Flatten", ["c"], ["d"]),
        helper.make_node("Gemm", ["d", "output"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", kind, ["n", 1, 8, 8])],
        [helper.make_tensor_value_info("y", kind, ["n", 3])],
        [onnx.numpy_helper.from_array(a, n) for a, n in ((KERNEL, "kernel"), (OUTPUT, "output"))],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]), file)
    return file


@pytest.fixture
def onnx2torch(torchvision: object) -> Any:
    return pytest.importorskip("onnx2torch")


def reference(inputs: Tensor) -> Tensor:
    maps = nn.functional.conv2d(inputs, torch.from_numpy(KERNEL), padding=1).relu()
    return maps.mean((2, 3)) @ torch.from_numpy(OUTPUT)


def test_onnx_model_gives_the_scores_of_its_graph(onnx2torch: Any, tmp_path: Path) -> None:
    loaded = load_model(f"onnx:{written(tmp_path / 'net.onnx')}")
    inputs = torch.rand(5, 1, 8, 8)
    assert torch.allclose(loaded.model(inputs), reference(inputs), atol=1e-5)
    assert loaded.name == "net"
    assert probe(loaded.model, inputs).differentiable
    assert not getattr(loaded.model, "training", True)


def test_operator_without_translation_is_refused(
    onnx2torch: Any, tmp_path: Path, refusal: Refusal
) -> None:
    file = written(tmp_path / "net.onnx", "NoSuchOperator")
    message = refusal(lambda: load_model(f"onnx:{file}"))
    assert "no translation to torch" in message
    assert "NoSuchOperator" in message


@pytest.mark.parametrize("keep", [0.0, 0.5])
def test_damaged_file_is_refused(
    keep: float, onnx2torch: Any, tmp_path: Path, refusal: Refusal
) -> None:
    file = written(tmp_path / "net.onnx")
    content = file.read_bytes()
    file.write_bytes(content[: int(keep * len(content))])
    assert "damaged" in refusal(lambda: load_model(f"onnx:{file}"))


def test_missing_file_and_needless_weights_are_refused(tmp_path: Path, refusal: Refusal) -> None:
    assert "no such file" in refusal(lambda: load_model(f"onnx:{tmp_path}/none.onnx"))
    spec = f"onnx:{written(tmp_path / 'net.onnx')}"
    assert "leave --weights out" in refusal(lambda: load_model(spec, weights=tmp_path / "w.pt"))


def test_missing_package_names_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: Refusal
) -> None:
    monkeypatch.setitem(sys.modules, "onnx2torch", None)
    spec = f"onnx:{written(tmp_path / 'net.onnx')}"
    assert 'pip install "epsball[onnx]"' in refusal(lambda: load_model(spec))
