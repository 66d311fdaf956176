"""TorchScript files, and models that want levels, channels last, or give several outputs."""

import os
import warnings
from pathlib import Path

import pytest
import torch
from tests.models.fakes import Refusal, Small
from torch import Tensor, nn

from epsball.models import load_model

NETS = """
import torch
from torch import nn

class Levels(nn.Module):
    def forward(self, x):
        return (x.flatten(1) - 100)[:, :3]

class Last(nn.Module):
    def forward(self, x):
        return x[:, :, :, 0].flatten(1)[:, :3]

class Two(nn.Module):
    def forward(self, x):
        return x.mean((1, 2)), x.flatten(1)[:, :3]

class Named(nn.Module):
    def forward(self, x):
        return {"features": x, "scores": x.flatten(1)[:, :3]}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    written = tmp_path / "nets.py"
    written.write_text(NETS)
    return written


def scripted(model: nn.Module, file: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(model), str(file))
    return file


def test_torchscript_is_loaded_in_eval_mode(tmp_path: Path) -> None:
    model = Small()
    inputs = torch.rand(3, 1, 8, 8)
    loaded = load_model(f"jit:{scripted(model.train(), tmp_path / 'net.pt')}")
    assert loaded.put_in_eval
    assert loaded.name == "net"
    expected: Tensor = model.eval()(inputs)
    assert torch.allclose(loaded.model(inputs), expected, atol=1e-6)
    assert not load_model(f"jit:{scripted(model, tmp_path / 'calm.pt')}").put_in_eval


def test_files_that_are_no_torchscript_are_refused(tmp_path: Path, refusal: Refusal) -> None:
    half = tmp_path / "half.pt"
    half.write_bytes(scripted(Small(), tmp_path / "net.pt").read_bytes()[:500])
    assert "the file is damaged or not of torch.jit.save" in refusal(
        lambda: load_model(f"jit:{half}")
    )
    assert "no such file" in refusal(lambda: load_model("jit:missing.pt"))
    assert f"for TorchScript write 'jit:{half}'" in refusal(lambda: load_model(str(half)))


def test_levels_layout_and_outputs(file: Path) -> None:
    inputs = torch.rand(2, 3, 4, 4)
    flat = inputs.flatten(1)[:, :3]
    levels = load_model(f"{file}:Levels", input_range=255).model
    assert torch.allclose(levels(inputs), 255 * flat - 100)
    scaled = load_model(f"{file}:Levels", input_range="255", mean="10", std="2").model
    assert torch.allclose(scaled(inputs), (255 * flat - 10) / 2 - 100)
    last = load_model(f"{file}:Last", layout="nhwc").model
    assert torch.equal(last(inputs), inputs[:, 0].flatten(1)[:, :3])
    assert torch.equal(load_model(f"{file}:Two", output="1").model(inputs), flat)
    assert torch.equal(load_model(f"{file}:Named", output="scores").model(inputs), flat)


def test_numbers_have_every_form(file: Path) -> None:
    inputs = torch.rand(2, 3, 4, 4)
    one = load_model(f"{file}:Levels", mean="0.5,1/4,0", std=2).model(inputs)
    other = load_model(f"{file}:Levels", mean=(0.5, 0.25, 0), std="2").model
    assert torch.equal(one, other(inputs))


def test_what_cannot_be_meant_is_refused(file: Path, refusal: Refusal) -> None:
    inputs = torch.rand(2, 3, 4, 4)
    missing = load_model(f"{file}:Two", output=2).model
    assert "it gives 2 outputs, 0 to 1" in refusal(lambda: missing(inputs))
    named = load_model(f"{file}:Named", output="logits").model
    assert "a mapping with features, scores" in refusal(lambda: named(inputs))
    single = load_model(f"{file}:Levels", output=0).model
    assert "is for a model of several outputs" in refusal(lambda: single(inputs))
    assert "unknown layout 'hwc': did you mean 'nhwc'" in refusal(
        lambda: load_model(f"{file}:Last", layout="hwc")
    )
    assert "add --input-range 255" in refusal(lambda: load_model(f"{file}:Last", mean=(124,)))
    assert "input_range must be above 0" in refusal(
        lambda: load_model(f"{file}:Last", input_range=0)
    )


@pytest.mark.skipif("EPSBALL_DATA" not in os.environ, reason="EPSBALL_DATA is not set")
def test_a_model_that_scales_by_itself_takes_no_scaling(refusal: Refusal) -> None:
    assert "leave --mean, --std and --input-range out" in refusal(
        lambda: load_model("zoo:squeezenet", input_range=255)
    )
