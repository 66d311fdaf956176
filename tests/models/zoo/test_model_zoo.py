import hashlib
import io
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from tests.models.fakes import Refusal
from torch import Tensor

from epsball.attacks import pgd
from epsball.data import load_data, to_unit
from epsball.models import MODELS, count_parameters, load_model, load_weights
from epsball.models.zoo.base_cnn import build_base_cnn
from epsball.models.zoo.mlp import build_mlp
from epsball.models.zoo.squeezenet import build_squeezenet

SMALLER = {"squeezenet": (3, 48, 48)}  # fully convolutional, and quicker so


def images(name: str, n: int = 3) -> Tensor:
    shape = SMALLER.get(name, MODELS[name].input_shape)
    return torch.rand(n, *shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", MODELS)
def test_parameters_and_scores_are_as_the_table_says(name: str) -> None:
    spec = MODELS[name]
    model = spec.build()
    assert spec.name == name
    assert model.training
    assert count_parameters(model) == spec.parameters
    assert model.eval()(images(name)).shape == (3, spec.classes)
    assert MODELS[name].build(classes=7).eval()(images(name)).shape == (3, 7)


@pytest.mark.parametrize("name", MODELS)
def test_every_image_has_a_gradient_and_scores_of_its_own(name: str) -> None:
    torch.manual_seed(0)
    model, point = MODELS[name].build().eval(), images(name).requires_grad_()
    scores = model(point)
    (gradient,) = torch.autograd.grad(scores.logsumexp(1).sum(), point)
    assert (gradient.flatten(1).abs().amax(1) > 0).all()
    with torch.no_grad():
        alone = torch.cat([model(one) for one in point[:, None]])
    assert torch.allclose(scores, alone, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_weights_come_back_from_safetensors(name: str, tmp_path: Path) -> None:
    first, second = MODELS[name].build().eval(), MODELS[name].build().eval()
    save_file(first.state_dict(), tmp_path / "w.safetensors")
    inputs = images(name)
    assert not torch.equal(first(inputs), second(inputs))
    load_weights(second, tmp_path / "w.safetensors")
    assert torch.equal(first(inputs), second(inputs))


def test_base_cnn_has_the_layers_of_its_table() -> None:
    shapes: dict[str, tuple[int, ...]] = {}
    model = build_base_cnn()
    for name, layer in model.named_children():
        layer.register_forward_hook(lambda _, __, out, name=name: shapes.update({name: out.shape}))
    model(images("base-cnn", 1))
    assert shapes["layer5"] == (1, 64, 14, 14)  # 12,544 features
    assert shapes["layer7"] == shapes["layer8"] == (1, 200)


def test_base_cnn_starts_from_a_normal_distribution_that_keeps_the_signal() -> None:
    torch.manual_seed(0)
    weight = build_base_cnn().get_parameter("layer5.0.weight").detach()
    spread = (2 / (64 * 9)) ** 0.5
    assert weight.std().item() == pytest.approx(spread, rel=0.02)
    kurtosis = ((weight / weight.std()) ** 4).mean()
    assert kurtosis.item() == pytest.approx(3, abs=0.15)  # 1.8 for a uniform one


def test_squeezenet_averages_over_a_padded_border_as_the_original_does() -> None:
    model = build_squeezenet(classes=2).eval()
    state = {name: torch.zeros_like(value) for name, value in model.state_dict().items()}
    state["classifier.1.weight"] += 1.0
    state["features.12.expand1x1.bias"] += 1.0  # every feature map that reaches the classifier
    state["features.12.expand3x3.bias"] += 1.0
    model.load_state_dict(state)
    inner = model.features(images("squeezenet", 1)).shape[2]
    scores = model(images("squeezenet", 1))
    assert scores[0, 0].item() == pytest.approx(512 * inner**2 / (inner + 2) ** 2)


def test_mlp_takes_width_and_dropout() -> None:
    model = build_mlp(hidden=20, dropout=0.9)
    assert count_parameters(model) == 784 * 20 + 20 + 20 * 10 + 10
    torch.manual_seed(0)
    inputs = images("mlp", 1).expand(50, -1, -1, -1)
    assert len(model(inputs).unique(dim=0)) > 10
    assert len(model.eval()(inputs).unique(dim=0)) == 1


def test_zoo_model_without_weights_names_the_training(refusal: Refusal) -> None:
    message = refusal(lambda: load_model("zoo:base-cnn"))
    assert "epsball train zoo:base-cnn --data mnist --out DIR" in message
    assert "--weights DIR/model.safetensors" in message


def test_zoo_model_loads_trained_weights_and_is_in_eval_mode(tmp_path: Path) -> None:
    trained = build_mlp(classes=4).eval()
    save_file(trained.state_dict(), tmp_path / "model.safetensors")
    loaded = load_model("zoo:mlp", weights=tmp_path / "model.safetensors", classes=4)
    inputs = images("mlp")
    assert torch.equal(loaded.model(inputs), trained(inputs))
    assert (loaded.name, loaded.spec) == ("mlp", "zoo:mlp")
    assert not getattr(loaded.model, "training", True)


@pytest.mark.parametrize("name", MODELS)
def test_number_of_classes_is_read_off_the_weights(name: str, tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    save_file(
        {f"model.{k}": v for k, v in MODELS[name].build(classes=6).state_dict().items()}, file
    )
    assert load_model(f"zoo:{name}", weights=file).model(images(name)).shape == (3, 6)


def test_weights_of_another_number_of_classes_are_refused_where_it_is_asked_for(
    tmp_path: Path, refusal: Refusal
) -> None:
    file = tmp_path / "model.safetensors"
    save_file(build_mlp(classes=6).state_dict(), file)
    message = refusal(lambda: load_model("zoo:mlp", weights=file, classes=5))
    assert "output.bias (file 6, model 5)" in message


@pytest.mark.parametrize("spec", ["zoo:base-cn", "base-cnn"])
def test_near_names_are_suggested(spec: str, refusal: Refusal) -> None:
    assert "did you mean 'zoo:base-cnn'?" in refusal(lambda: load_model(spec))


def test_missing_published_weights_say_where_they_are_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: Refusal
) -> None:
    monkeypatch.setenv("EPSBALL_DATA", str(tmp_path / "data"))
    monkeypatch.setattr("pooch.os_cache", lambda _: tmp_path / "cache")
    message = refusal(lambda: load_model("zoo:squeezenet"))
    assert str(tmp_path / "data" / "imagenet_model") in message
    assert str(tmp_path / "cache" / "imagenet_model") in message


def test_published_weights_are_known_by_their_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: Refusal
) -> None:
    monkeypatch.delenv("EPSBALL_DATA", raising=False)
    monkeypatch.setattr("pooch.os_cache", lambda _: tmp_path)
    file = tmp_path / str(MODELS["squeezenet"].weights)
    file.parent.mkdir()
    save_file(MODELS["squeezenet"].build().state_dict(), file)
    assert "sha256" in refusal(lambda: load_model("zoo:squeezenet"))
    load_model("zoo:squeezenet", weights=file)


def test_published_weights_bring_their_number_of_classes(refusal: Refusal) -> None:
    message = refusal(lambda: load_model("zoo:squeezenet", classes=10))
    assert "name 1000 classes, 10 are wanted" in message


@pytest.mark.data
def test_squeezenet_names_images_as_measured() -> None:
    if "EPSBALL_DATA" not in os.environ:
        pytest.skip("EPSBALL_DATA is not set")
    data = Path(os.environ["EPSBALL_DATA"])
    file = data / str(MODELS["squeezenet"].weights)
    assert hashlib.sha256(file.read_bytes()).hexdigest() == MODELS["squeezenet"].sha256
    sample = np.load(data / "imagenet_sample" / "imagenet_sample_224.npz")
    blob, bounds = sample["jpeg"].tobytes(), sample["offsets"]
    rows = range(0, 1000, 10)
    images = [np.asarray(Image.open(io.BytesIO(blob[bounds[i] : bounds[i + 1]]))) for i in rows]
    inputs = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2) / 255
    model = load_model("zoo:squeezenet").model
    with torch.no_grad():
        result = torch.cat([model(part).argmax(1) for part in inputs.view(4, 25, 3, 224, 224)])
    hits = (result == torch.from_numpy(sample["labels"][::10])).sum().item()
    assert 51 <= hits <= 71  # 60.8 % of all 1,000; two standard errors of 100 are 9.8


@pytest.mark.data
def test_the_weights_that_come_along_withstand_what_they_are_said_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if "EPSBALL_DATA" not in os.environ:
        pytest.skip("EPSBALL_DATA is not set")
    dataset = load_data("mnist", split="test")
    rows = np.arange(100)
    images, labels = to_unit(dataset.read(rows)), torch.from_numpy(dataset.labels[rows])
    model = load_model("zoo:base-cnn-robust").model
    assert (model(images).argmax(1) == labels).float().mean() >= 0.97
    attacked = pgd(model, images, labels, eps=0.3, generator=torch.Generator().manual_seed(0))
    assert (model(attacked).argmax(1) == labels).float().mean() >= 0.88
