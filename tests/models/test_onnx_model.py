import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.models.fakes import Refusal
from torch import Tensor, nn

from epsball import audit
from epsball.errors import BrokenContract
from epsball.models import load_model, probe
from epsball.models.loading.onnx.compare import FileScores
from epsball.models.loading.onnx.module import OnnxModel

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnx2fx")
KERNEL = np.random.default_rng(0).normal(size=(4, 1, 3, 3)).astype(np.float32)
OUTPUT = np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32)
SIZES: tuple[str | int, ...] = ("n", 1, 8, 8)


def written(
    file: Path,
    activation: str = "Relu",
    *,
    shape: tuple[str | int, ...] = SIZES,
    first: Any = (),
    kind: int = 1,
    weights: str = "initializer",
) -> Path:
    """A convolution, an activation, a mean and a matrix; `first` are nodes from "x" to "image"."""
    helper = onnx.helper
    arrays = {"kernel": KERNEL, "output": OUTPUT}
    tensors = [onnx.numpy_helper.from_array(a, n) for n, a in arrays.items()]
    nodes = [*first]
    if weights == "constant":
        nodes += [helper.make_node("Constant", [], [t.name], value=t) for t in tensors]
    elif weights == "identity":
        for tensor in tensors:
            nodes.append(helper.make_node("Identity", [f"{tensor.name}.0"], [tensor.name]))
            tensor.name = f"{tensor.name}.0"
    nodes += [
        helper.make_node("Conv", ["image" if first else "x", "kernel"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node(activation, ["a"], ["b"]),
        helper.make_node("GlobalAveragePool", ["b"], ["c"]),
        helper.make_node("Flatten", ["c"], ["d"]),
        helper.make_node("Gemm", ["d", "output"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", 1, [shape[0], 3])],
        [] if weights == "constant" else tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, file)
    return file


def reference(inputs: Tensor) -> Tensor:
    maps = nn.functional.conv2d(inputs, torch.from_numpy(KERNEL), padding=1).relu()
    return maps.mean((2, 3)) @ torch.from_numpy(OUTPUT)


def test_onnx_model_gives_the_scores_of_its_graph(tmp_path: Path) -> None:
    loaded = load_model(f"onnx:{written(tmp_path / 'net.onnx')}")
    inputs = torch.rand(5, 1, 8, 8)
    assert torch.allclose(loaded.model(inputs), reference(inputs), atol=1e-5)
    assert loaded.name == "net"
    assert probe(loaded.model, inputs).differentiable
    assert not getattr(loaded.model, "training", True)


@pytest.mark.parametrize("weights", ["constant", "identity"])
def test_weights_may_come_from_nodes(weights: str, tmp_path: Path) -> None:
    loaded = load_model(f"onnx:{written(tmp_path / 'net.onnx', weights=weights)}")
    inputs = torch.rand(2, 1, 8, 8)
    assert torch.allclose(loaded.model(inputs), reference(inputs), atol=1e-5)


def node(operator: str, **settings: Any) -> Any:
    return onnx.helper.make_node(operator, ["x"], ["image"], **settings)


LAYOUTS: dict[str, tuple[tuple[str | int, ...], int, Callable[[], Any]]] = {
    "nhwc": (("n", 8, 8, 1), 1, lambda: node("Transpose", perm=[0, 3, 1, 2])),
    "half": (("n", 1, 8, 8), 10, lambda: node("Cast", to=1)),
    "double": (("n", 1, 8, 8), 11, lambda: node("Cast", to=1)),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_declared_layout_and_type_are_used(name: str, tmp_path: Path) -> None:
    shape, kind, first = LAYOUTS[name]
    file = written(tmp_path / "net.onnx", shape=shape, kind=kind, first=[first()])
    inputs = (torch.rand(3, 1, 8, 8) * 8).round() / 8  # exact in half precision too
    model = load_model(f"onnx:{file}").model
    assert torch.allclose(model(inputs), reference(inputs), atol=1e-5)
    assert probe(model, inputs).differentiable


def test_uint8_input_is_given_levels(tmp_path: Path) -> None:
    first = [onnx.helper.make_node("Cast", ["x"], ["image"], to=1)]
    file = written(tmp_path / "net.onnx", kind=2, first=first)
    inputs = (torch.rand(3, 1, 8, 8) * 255).round() / 255
    model = load_model(f"onnx:{file}").model
    assert torch.allclose(model(inputs), reference(255 * inputs), rtol=1e-4)
    assert torch.equal(model(inputs + 1e-4), model(inputs))  # rounded as a file of bytes would be
    assert probe(model, inputs).differentiable


@pytest.mark.parametrize(
    ("shape", "given", "remedy"),
    [
        (("n", 1, 8, 8), (1, 6, 6), {"resize": 8}),
        (("n", 1, 8, 8), (3, 8, 8), {"channels": "gray"}),
    ],
)
def test_other_images_are_refused_with_a_remedy_that_works(
    shape: tuple[str | int, ...],
    given: tuple[int, ...],
    remedy: dict[str, Any],
    tmp_path: Path,
    refusal: Refusal,
) -> None:
    spec = f"onnx:{written(tmp_path / 'net.onnx', shape=shape)}"
    inputs = torch.rand(2, *given)
    message = refusal(lambda: load_model(spec).model(inputs))
    assert "declares 1 x 8 x 8 images (n, c, h, w), float32" in message
    ((name, value),) = remedy.items()
    assert f"--{name} {value}" in message
    assert load_model(spec, **remedy).model(inputs).shape == (2, 3)


class Net(nn.Module):
    """Reshapes its batch, as exporters write it down."""

    def __init__(self, size: int, kind: str) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.GELU())
        self.token = nn.Parameter(torch.rand(1, 1, 4))
        self.output, self.kind = nn.Linear(4, size), kind

    def forward(self, inputs: Tensor) -> Tensor:
        maps = self.features(inputs).flatten(2).mT  # (n, places, 4)
        if self.kind == "token":
            maps = torch.cat([self.token.expand(len(inputs), -1, -1), maps], 1)
        scores: Tensor = self.output(maps.reshape(len(inputs), -1, 4).mean(1))
        return scores


def exported(file: Path, model: nn.Module, batch: int | None, opset: int | None) -> Path:
    example = torch.rand(batch or 2, 1, 8, 8)
    more: dict[str, Any] = {} if opset is None else {"opset_version": opset}
    if batch is None:
        more["dynamic_shapes"] = ({0: torch.export.Dim.DYNAMIC},)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model, (example,), file, verbose=False, external_data=False, **more)
    return file


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "batch", "opset"),
    [("plain", None, None), ("token", 1, None), ("plain", 3, 18), ("token", None, 18)],
)
def test_what_torch_exports_is_read(
    kind: str, batch: int | None, opset: int | None, tmp_path: Path
) -> None:
    pytest.importorskip("onnxscript")
    torch.manual_seed(0)
    net = Net(3, kind).eval()
    model = load_model(f"onnx:{exported(tmp_path / 'net.onnx', net, batch, opset)}").model
    for count in (2, 5):
        inputs = torch.rand(count, 1, 8, 8).requires_grad_()
        assert torch.allclose(model(inputs), net(inputs), atol=1e-5)
        ours, theirs = (torch.autograd.grad(m(inputs)[:, 0].sum(), inputs)[0] for m in (model, net))
        assert torch.allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize(("kind", "mapped"), [("plain", False), ("token", True)])
def test_a_file_for_one_image_is_asked_about_many_at_once(
    kind: str, mapped: bool, tmp_path: Path
) -> None:
    pytest.importorskip("onnxscript")
    file = exported(tmp_path / f"{kind}.onnx", Net(3, kind).eval(), 1, None)
    model = load_model(f"onnx:{file}").model
    assert isinstance(model, OnnxModel)
    assert (model.chunk, model.mapped) == ((1, True) if mapped else (None, False))


@settings(max_examples=15, deadline=None)
@given(count=st.integers(1, 7), batch=st.sampled_from(["n", 1, 2, 3]))
def test_batches_of_any_size_give_the_same_scores(
    count: int, batch: str | int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = written(tmp_path_factory.mktemp("onnx") / "net.onnx", shape=(batch, 1, 8, 8))
    inputs = torch.rand(count, 1, 8, 8)
    assert torch.allclose(load_model(f"onnx:{file}").model(inputs), reference(inputs), atol=1e-5)


def test_a_conversion_with_other_scores_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(tmp_path / "net.onnx")
    judged = FileScores.__call__
    monkeypatch.setattr(FileScores, "__call__", lambda self, batch: 1.01 * judged(self, batch))
    with pytest.raises(BrokenContract, match="its scores differ from those of onnxruntime"):
        load_model(f"onnx:{file}")


def test_the_reference_evaluator_judges_without_onnxruntime(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    file = written(tmp_path / "net.onnx")
    assert FileScores("onnx:net", file, 0).name == "onnx.reference"
    inputs = torch.rand(2, 1, 8, 8)
    assert torch.allclose(load_model(f"onnx:{file}").model(inputs), reference(inputs), atol=1e-5)


def test_names_in_a_file_become_no_code_and_no_other_weight(tmp_path: Path) -> None:
    model = onnx.load(written(tmp_path / "net.onnx"))
    renamed = {"kernel": "w.a", "output": "w_a", "x": 'x"); import os; ("'}
    for value in (*model.graph.initializer, *model.graph.input):
        value.name = renamed[value.name]
    for one in model.graph.node:
        one.input[:] = [renamed.get(name, name) for name in one.input]
    onnx.save(model, tmp_path / "odd.onnx")
    inputs = torch.rand(2, 1, 8, 8)
    odd = load_model(f"onnx:{tmp_path}/odd.onnx").model
    assert torch.allclose(odd(inputs), reference(inputs), atol=1e-5)


def test_operator_without_translation_is_refused(tmp_path: Path, refusal: Refusal) -> None:
    file = written(tmp_path / "net.onnx", "NoSuchOperator")
    message = refusal(lambda: load_model(f"onnx:{file}"))
    assert "NoSuchOperator" in message


@pytest.mark.parametrize("keep", [0.0, 0.5])
def test_damaged_file_is_refused(keep: float, tmp_path: Path, refusal: Refusal) -> None:
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
    monkeypatch.setitem(sys.modules, "onnx2fx", None)
    spec = f"onnx:{written(tmp_path / 'net.onnx')}"
    assert 'pip install "epsball[onnx]"' in refusal(lambda: load_model(spec))


def test_an_audit_of_a_file_for_one_image(tmp_path: Path) -> None:
    file = written(tmp_path / "one.onnx", shape=(1, 1, 8, 8))
    images = torch.rand(20, 1, 8, 8)
    labels = reference(images).argmax(1)
    report = audit(f"onnx:{file}", (images, labels), attacks=["fgsm"], eps=[0.02])
    assert report.summary["clean"]["accuracy"] == 1.0


def two_outputs(file: Path) -> Path:
    """The graph of `written` with its image means as the first of two outputs (n, k)."""
    model = onnx.load(written(file))
    node = onnx.helper.make_node("Neg", ["y"], ["negative"])
    model.graph.node.append(node)
    value = onnx.helper.make_tensor_value_info("negative", 1, ["n", 3])
    model.graph.output.insert(0, value)
    onnx.save(model, file)
    return file


def test_one_of_two_outputs_is_chosen(tmp_path: Path, refusal: Refusal) -> None:
    spec = f"onnx:{two_outputs(tmp_path / 'two.onnx')}"
    inputs = torch.rand(4, 1, 8, 8)
    for output, sign in ((1, 1), ("1", 1), ("y", 1), (0, -1), ("negative", -1)):
        scores = load_model(spec, output=output).model(inputs)
        assert torch.allclose(scores, sign * reference(inputs), atol=1e-5)
    assert "say which holds the scores with --output" in refusal(lambda: load_model(spec))
    assert "they are 0 (negative), 1 (y)" in refusal(lambda: load_model(spec, output=2))


def test_a_layout_that_the_file_leaves_open_is_an_option(tmp_path: Path, refusal: Refusal) -> None:
    turn = onnx.helper.make_node("Transpose", ["x"], ["image"], perm=[0, 3, 1, 2])
    spec = f"onnx:{written(tmp_path / 'net.onnx', first=[turn], shape=('n', 'a', 'b', 'c'))}"
    inputs = torch.rand(4, 1, 8, 8)
    loaded = load_model(spec, layout="nhwc").model
    assert torch.allclose(loaded(inputs), reference(inputs), atol=1e-5)
    plain = f"onnx:{written(tmp_path / 'plain.onnx')}"
    assert "--layout is nhwc: leave it out" in refusal(lambda: load_model(plain, layout="nhwc"))


def test_the_range_of_pixels_is_read_off_the_file_or_given(
    tmp_path: Path, refusal: Refusal
) -> None:
    file = written(tmp_path / "net.onnx")
    inputs = torch.rand(4, 1, 8, 8)
    given = load_model(f"onnx:{file}", input_range=255).model
    assert torch.allclose(given(inputs), reference(255 * inputs), rtol=1e-4)
    levels = load_model(f"onnx:{file}", input_range="255", mean="127.5", std=64).model
    assert torch.allclose(levels(inputs), reference((255 * inputs - 127.5) / 64), rtol=1e-4)
    model = onnx.load(file)
    for declared, scaled in (
        ("NominalRange_0_255", 255 * inputs),
        ("Normalized_0_1", inputs),
        ("Normalized_1_1", 2 * inputs - 1),
    ):
        del model.metadata_props[:]
        entry = model.metadata_props.add()
        entry.key, entry.value = "Image.NominalPixelRange", declared
        onnx.save(model, file)
        scores = load_model(f"onnx:{file}").model(inputs)
        assert torch.allclose(scores, reference(scaled), rtol=1e-4, atol=1e-5), declared
    unscaled = load_model(f"onnx:{file}", input_range=1, mean=0, std=1).model
    assert torch.allclose(unscaled(inputs), reference(inputs), atol=1e-5)
    entry.value = "NominalRange_16_235"
    onnx.save(model, file)
    assert "declares pixels from 16 to 235" in refusal(lambda: load_model(f"onnx:{file}"))
