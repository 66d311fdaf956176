"""Commands as a user starts them: a process of their own, without what tests declare for torch."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnx2fx")


def ran(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, cwd=cwd, timeout=300
    )


def linear(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Write a linear classifier of 4x4 images, and return images and labels it is right about."""
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(48, 10)).astype("f4")
    images = rng.random((40, 3, 4, 4), dtype="f4")
    helper = onnx.helper
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weight"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("x", 1, ["n", 3, 4, 4])],
        [helper.make_tensor_value_info("y", 1, ["n", 10])],
        [onnx.numpy_helper.from_array(weight, "weight")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, file)
    return images, (images.reshape(40, 48) @ weight).argmax(1)


@pytest.mark.slow
def test_an_onnx_file_is_audited(tmp_path: Path) -> None:
    images, labels = linear(tmp_path / "net.onnx")
    np.savez(tmp_path / "data.npz", images=images, labels=labels)
    options = ["audit", "onnx:net.onnx", "--data", "npz:data.npz", "--attack", "fgsm"]
    done = ran("-m", "epsball.cli", *options, "--eps", "0.02", "--out", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "robust accuracy" in done.stdout.lower()


def test_packages_that_import_torchvision_work(tmp_path: Path) -> None:
    for package in ("PIL", "timm", "torchvision"):
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    code = (
        "import torch; from epsball.models import load_model\n"
        "for spec in ('timm:test_resnet', 'torchvision:squeezenet1_1'):\n"
        "    model = load_model(spec, require_weights=False).model\n"
        "    print(tuple(model(torch.rand(1, 3, 64, 64)).shape))"
    )
    done = ran("-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n") == ["(1, 1000)", "(1, 1000)", ""]


def test_an_audit_imports_no_library_that_it_does_not_need(tmp_path: Path) -> None:
    """Each of these takes about a second, and a first audit is short."""
    (tmp_path / "mine.py").write_text(
        "import torch\n"
        "def build(): return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 4)).eval()"
    )
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "some.npz", images=rng.random((24, 4, 4, 1)), labels=np.arange(24) % 4)
    check = (
        "import sys\n"
        "from epsball.cli import main\n"
        "sys.argv = 'epsball audit mine.py:build --data npz:some.npz --eps 0.1 --out run'.split()\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print([m for m in ('sklearn', 'scipy.stats', 'sympy', 'pandas') if m in sys.modules])"
    )
    done = ran("-c", check, cwd=tmp_path)
    assert "Robust accuracy is at most" in done.stdout, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
