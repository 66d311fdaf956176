import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tests.models.fakes import Refusal
from torch import nn

from epsball import models
from epsball.models import Pipeline, load_model
from epsball.models.zoo.mlp import build_mlp
from epsball.models.zoo.squeezenet import build_squeezenet


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("base-cnn", "did you mean 'zoo:base-cnn'?"),
        ("net.onnx", "did you mean 'onnx:net.onnx'?"),
        ("nets/net.pt2", "did you mean 'pt2:nets/net.pt2'?"),
        ("mine.py", "mine.py:factory"),
        ("resnet18", "timm:NAME"),
        ("tim:resnet18", "did you mean timm:NAME?"),
        ("zooo:mlp", "did you mean zoo:NAME?"),
        ("", "FILE.py:factory"),
        (":", "FILE.py:factory"),
        ("..:x", "FILE.py:factory"),
        ("a b:x", "FILE.py:factory"),
    ],
)
def test_unknown_forms_are_refused_with_the_nearest(spec: str, said: str, refusal: Refusal) -> None:
    message = refusal(lambda: load_model(spec))
    assert message.startswith("unknown model")
    assert said in message


def test_fresh_weights_are_given_when_they_are_asked_for() -> None:
    loaded = load_model("zoo:base-cnn", classes=5, require_weights=False)
    assert loaded.model(torch.zeros(2, 1, 28, 28)).shape == (2, 5)


def test_preprocessing_is_the_first_layer(tmp_path: Path) -> None:
    model = build_mlp().eval()
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    loaded = load_model(
        "zoo:mlp",
        weights=tmp_path / "w.safetensors",
        mean=(0.1,),
        std=(0.3,),
        resize=28,
        channels="gray",
    )
    assert isinstance(loaded.model, Pipeline)
    assert not loaded.model.training
    inputs = torch.rand(2, 3, 32, 32)
    assert loaded.model(inputs).shape == (2, 10)
    grey = torch.rand(2, 1, 28, 28)
    assert torch.allclose(loaded.model(grey), model((grey - 0.1) / 0.3), atol=1e-5)


def test_bad_preprocessing_is_told_before_anything_is_loaded(refusal: Refusal) -> None:
    message = refusal(lambda: load_model("timm:no-such-model", std=(0.0,)))
    assert "std must be above 0" in message


def test_model_that_scales_its_input_takes_no_second_scale(refusal: Refusal) -> None:
    call = lambda: load_model("zoo:squeezenet", mean=(0.5,), require_weights=False)  # noqa: E731
    assert "scales its input itself" in refusal(call)
    resized = load_model("zoo:squeezenet", resize=64, require_weights=False)
    assert resized.model(torch.rand(1, 3, 99, 80)).shape == (1, 1000)


def test_squeezenet_scales_as_its_weights_want() -> None:
    inputs, seen = torch.rand(1, 3, 32, 32), []
    model = build_squeezenet(classes=4)
    model.features.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    model(inputs)
    mean = torch.tensor([123.0, 117.0, 104.0]).view(-1, 1, 1)
    assert torch.allclose(seen[0], 255 * inputs - mean, atol=1e-3)


@pytest.mark.parametrize("device", ["cuda:99", "nonsense", "cpu:x"])
def test_devices_that_are_not_there_are_refused(device: str, refusal: Refusal) -> None:
    message = refusal(lambda: load_model("zoo:mlp", device=device, require_weights=False))
    assert f"device {device!r} cannot be used" in message


def test_fewer_than_two_classes_are_refused(refusal: Refusal) -> None:
    message = refusal(lambda: load_model("zoo:mlp", classes=1, require_weights=False))
    assert "at least 2, got 1" in message


def test_room_lists_what_it_offers() -> None:
    for name in dir(models):
        assert getattr(models, name) is not None
    with pytest.raises(AttributeError, match="attribute.*resnet"):
        getattr(models, "res" + "net")


def test_weights_of_a_pipeline_fit_the_bare_model(tmp_path: Path) -> None:
    trained = load_model("zoo:mlp", mean=(0.5,), require_weights=False).model
    assert isinstance(trained, nn.Module)
    save_file(trained.state_dict(), tmp_path / "w.safetensors")
    again = load_model("zoo:mlp", mean=(0.5,), weights=tmp_path / "w.safetensors").model
    inputs = torch.rand(2, 1, 28, 28)
    assert torch.equal(trained(inputs), again(inputs))


def test_importing_the_room_does_not_load_torch() -> None:
    code = "import sys, epsball.models; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
