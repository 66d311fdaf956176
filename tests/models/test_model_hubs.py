import enum
import logging
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tests.models.fakes import Refusal, Small
from torch import Tensor, nn

from epsball.models import Pipeline, class_names_of, load_model


def module(monkeypatch: pytest.MonkeyPatch, name: str, **names: object) -> None:
    result = ModuleType(name)
    vars(result).update(names)
    monkeypatch.setitem(sys.modules, name, result)


def unreachable(*_: object, **__: object) -> nn.Module:
    raise OSError("We couldn't connect to\n'https://hub'")


def inputs() -> Tensor:
    return torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def scale(model: object) -> tuple[list[float], list[float]]:
    assert isinstance(model, Pipeline)
    mean, std = (
        values.flatten().tolist() for values in (model.preprocess.mean, model.preprocess.std)
    )
    return [round(value, 4) for value in mean], [round(value, 4) for value in std]


@pytest.mark.parametrize(
    ("spec", "package", "extra"),
    [
        ("timm:resnet18", "timm", "timm"),
        ("torchvision:resnet18", "torchvision.models", "torchvision"),
        ("hf:user/model", "transformers", "hf"),
        ("robustbench:Standard", "robustbench", "robustbench"),
    ],
)
def test_missing_package_names_its_extra(
    spec: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch, refusal: Refusal
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    message = refusal(lambda: load_model(spec))
    assert f'pip install "epsball[{extra}]"' in message
    assert package in message


def test_package_that_breaks_on_import_is_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: Refusal
) -> None:
    (tmp_path / "timm.py").write_text("raise RuntimeError('operator torchvision::nms')")
    monkeypatch.delitem(sys.modules, "timm", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    message = refusal(lambda: load_model("timm:resnet18"))
    assert "cannot be imported (RuntimeError: operator torchvision::nms)" in message
    assert "matches your torch" in message


# timm: the real package, its network cut off


@pytest.fixture
def timm(torchvision: object) -> Any:
    return pytest.importorskip("timm")


def test_timm_model_comes_with_its_own_scale(timm: Any) -> None:
    loaded = load_model("timm:test_resnet", require_weights=False)
    assert scale(loaded.model) == ([0.5] * 3, [0.5] * 3)
    assert not getattr(loaded.model, "training", True)
    given = load_model("timm:test_resnet", mean=(0.25,), require_weights=False)
    assert scale(given.model) == ([0.25], [1.0])


def test_timm_weights_and_classes_are_the_users(timm: Any, tmp_path: Path) -> None:
    model = timm.create_model("test_resnet", num_classes=4).eval()
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    loaded = load_model("timm:test_resnet", classes=4, weights=tmp_path / "w.safetensors")
    images = torch.rand(2, 3, 64, 64)
    assert torch.allclose(loaded.model(images), model((images - 0.5) / 0.5), atol=1e-5)


def test_timm_name_is_suggested(timm: Any, refusal: Refusal) -> None:
    message = refusal(lambda: load_model("timm:resnet-18"))
    assert "unknown timm model 'resnet-18': did you mean 'resnet18'" in message


def test_timm_without_network_names_the_remedy(
    timm: Any, monkeypatch: pytest.MonkeyPatch, refusal: Refusal, caplog: pytest.LogCaptureFixture
) -> None:
    def retrying(*args: Any, **rest: Any) -> None:
        logging.getLogger("huggingface_hub.utils._http").warning("Retrying in 1s [Retry 1/5].")
        unreachable(*args, **rest)

    monkeypatch.setattr(timm, "create_model", retrying)
    message = refusal(lambda: load_model("timm:resnet18"))
    assert not caplog.records
    assert "cannot be fetched (OSError: We couldn't connect to 'https://hub')" in message
    assert "--weights FILE" in message


def test_pretrained_model_keeps_its_classes(
    timm: Any, monkeypatch: pytest.MonkeyPatch, refusal: Refusal
) -> None:
    result = timm.create_model("test_resnet")  # 1000 classes
    monkeypatch.setattr(timm, "create_model", lambda *_, **__: result)
    message = refusal(lambda: load_model("timm:test_resnet", classes=7))
    assert "names 1000 classes, 7 are wanted" in message


def test_published_timm_models_name_their_classes(
    timm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = timm.create_model("test_resnet")
    monkeypatch.setattr(timm, "create_model", lambda *_, **__: result)
    names = class_names_of(load_model("timm:test_resnet").model)
    assert names is not None
    assert (len(names), names[0]) == (1000, "n01440764\ttench, Tinca tinca")


def test_timm_backbone_without_classifier_is_refused(timm: Any, refusal: Refusal) -> None:
    message = refusal(lambda: load_model("timm:vit_small_patch14_dinov2", require_weights=False))
    assert "a backbone without a classifier" in message
    assert "--weights FILE --classes K" in message
    loaded = load_model("timm:vit_small_patch14_dinov2", classes=3, require_weights=False)
    assert loaded.model(torch.rand(1, 3, 518, 518)).shape == (1, 3)


# torchvision: the real package, its network cut off


def test_torchvision_model_comes_with_the_scale_of_its_weights(torchvision: Any) -> None:
    loaded = load_model("torchvision:squeezenet1_1", classes=5, require_weights=False)
    assert scale(loaded.model) == ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    assert loaded.model(torch.rand(1, 3, 64, 64)).shape == (1, 5)


def test_published_torchvision_models_name_their_classes(
    torchvision: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = torchvision.models.squeezenet1_1
    monkeypatch.setattr(torchvision.models, "get_model", lambda *_, **__: build())
    names = class_names_of(load_model("torchvision:squeezenet1_1").model)
    assert names is not None
    assert (len(names), names[0]) == (1000, "tench")
    fresh = load_model("torchvision:squeezenet1_1", require_weights=False)
    assert class_names_of(fresh.model) is None


@pytest.mark.parametrize(
    ("name", "built"), [("inception_v3", {}), ("googlenet", {"aux_logits": False})]
)
def test_networks_that_torchvision_builds_otherwise_when_published_are_those_that_were_saved(
    name: str, built: dict[str, Any], torchvision: Any, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    options = {"weights": None, "transform_input": True, "init_weights": True, **built}
    published = torchvision.models.get_model(name, **options).eval()
    save_file(published.state_dict(), tmp_path / "own.safetensors")
    loaded = load_model(f"torchvision:{name}", weights=tmp_path / "own.safetensors")
    images = torch.rand(1, 3, 96, 96)
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in scale(loaded.model))
    with torch.no_grad():
        expected = published((images - mean) / std)
        apart = (loaded.model(images) - expected).abs().max() / expected.abs().max()
    assert float(apart) < 1e-4


def test_torchvision_name_is_suggested_and_detectors_are_none(
    torchvision: Any, refusal: Refusal
) -> None:
    assert "did you mean 'resnet18'" in refusal(lambda: load_model("torchvision:resnet81"))
    message = refusal(lambda: load_model("torchvision:fasterrcnn_resnet50_fpn"))
    assert "unknown torchvision model" in message


def test_torchvision_without_network_names_the_remedy(
    torchvision: Any, monkeypatch: pytest.MonkeyPatch, refusal: Refusal
) -> None:
    monkeypatch.setattr(torchvision.models, "get_model", unreachable)
    assert "--weights FILE" in refusal(lambda: load_model("torchvision:resnet18"))


# Hugging Face and RobustBench: stand-ins with the calls that are used of them


class HubModel(nn.Module):
    def __init__(self, config: SimpleNamespace) -> None:
        super().__init__()
        self.config = config
        self.inner = Small(config.num_labels)

    def forward(self, pixel_values: Tensor) -> SimpleNamespace:
        return SimpleNamespace(logits=self.inner(pixel_values))


def hub(monkeypatch: pytest.MonkeyPatch, missing: tuple[str, ...] = (), **settings: object) -> None:
    def config(_: str, *, num_labels: int = 3) -> SimpleNamespace:
        return SimpleNamespace(num_labels=num_labels)

    def pretrained(name: str, *, output_loading_info: bool) -> tuple[HubModel, dict[str, object]]:
        assert output_loading_info
        if name == "nowhere":
            unreachable()
        return HubModel(config(name)), {"missing_keys": set(missing)}

    auto = SimpleNamespace(from_pretrained=pretrained, from_config=HubModel)
    base = SimpleNamespace(get_image_processor_dict=lambda _: (settings, {}))
    module(
        monkeypatch,
        "transformers",
        AutoModelForImageClassification=auto,
        AutoConfig=SimpleNamespace(from_pretrained=config),
    )
    module(monkeypatch, "transformers.image_processing_utils", BaseImageProcessor=base)


def test_hub_model_gives_logits_behind_its_processors_scale(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hub(monkeypatch, image_mean=[0.25], image_std=[0.5])
    loaded = load_model("hf:user/model")
    assert isinstance(loaded.model, Pipeline)
    assert not any(part.training for part in loaded.model.modules())
    inner: Any = loaded.model.model
    expected = inner.model.inner((inputs() - 0.25) / 0.5)
    assert torch.allclose(loaded.model(inputs()), expected)
    assert loaded.name == "model"


@pytest.mark.parametrize(
    ("settings", "mean", "std"),
    [
        ({"image_mean": [0.5], "image_std": [0.25]}, [0.5], [0.25]),
        ({"image_mean": [0.5], "image_std": [0.25], "do_normalize": False}, [0.0], [1.0]),
        ({"image_mean": [102.0], "image_std": [51.0], "do_rescale": False}, [0.4], [0.2]),
        ({"rescale_factor": 1.0, "do_normalize": False}, [0.0], [0.0039]),
        ({}, [0.0], [1.0]),
    ],
)
def test_processors_scale_is_translated_to_unit_pixels(
    settings: dict[str, Any],
    mean: list[float],
    std: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hub(monkeypatch, **settings)
    assert scale(load_model("hf:user/model").model) == (mean, std)


def test_hub_weights_and_classes_are_the_users(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hub(monkeypatch)
    trained = HubModel(SimpleNamespace(num_labels=6)).eval()
    save_file(trained.state_dict(), tmp_path / "w.safetensors")
    loaded = load_model("hf:user/model", classes=6, weights=tmp_path / "w.safetensors")
    assert torch.allclose(loaded.model(inputs()), trained(inputs()).logits)


def test_hub_backbone_without_classifier_is_refused(
    monkeypatch: pytest.MonkeyPatch, refusal: Refusal
) -> None:
    hub(monkeypatch, missing=("classifier.weight", "classifier.bias"))
    message = refusal(lambda: load_model("hf:user/backbone"))
    assert "no trained weights for classifier.bias, classifier.weight" in message


def test_hub_without_network_names_the_remedy(
    monkeypatch: pytest.MonkeyPatch, refusal: Refusal
) -> None:
    hub(monkeypatch)
    assert "hf:FOLDER" in refusal(lambda: load_model("hf:nowhere"))


class Data(enum.Enum):
    CIFAR = "cifar10"


class Threat(enum.Enum):
    LINF = "Linf"
    L2 = "L2"


def bench(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    calls: list[dict[str, object]] = []

    def load(**settings: object) -> nn.Module:
        calls.append(settings)
        if settings["model_name"] == "Lost":
            unreachable()
        return Small()

    entries: dict[str, object] = {"Standard": {"model": Small}, "Lost": {"model": Small}}
    tables = {Data.CIFAR: {Threat.LINF: entries, Threat.L2: {"Other": {"model": Small}}}}
    module(monkeypatch, "robustbench", load_model=load)
    module(monkeypatch, "robustbench.model_zoo", model_dicts=tables)
    return calls


@pytest.mark.parametrize(
    ("name", "model", "threat"),
    [
        ("Standard", "Standard", Threat.LINF),
        ("cifar10/Linf/Standard", "Standard", Threat.LINF),
        ("cifar10/L2/Other", "Other", Threat.L2),
    ],
)
def test_robustbench_names_are_found(
    name: str, model: str, threat: Threat, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = bench(monkeypatch)
    loaded = load_model(f"robustbench:{name}")
    assert loaded.model(inputs()).shape == (2, 3)
    assert not getattr(loaded.model, "training", True)
    assert (calls[0]["model_name"], calls[0]["threat_model"]) == (model, threat)
    assert loaded.name == model


def test_robustbench_takes_own_weights_without_a_download(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls = bench(monkeypatch)
    trained = Small().eval()
    save_file(trained.state_dict(), tmp_path / "w.safetensors")
    loaded = load_model("robustbench:Standard", weights=tmp_path / "w.safetensors")
    assert torch.equal(loaded.model(inputs()), trained(inputs()))
    assert not calls


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Standarrd", "did you mean 'Standard'?"),
        ("cifar10/Linff/Standard", "did you mean 'cifar10/Linf'?"),
        ("Lost", "--weights FILE"),
    ],
)
def test_robustbench_names_that_fail_are_explained(
    name: str, said: str, monkeypatch: pytest.MonkeyPatch, refusal: Refusal
) -> None:
    bench(monkeypatch)
    assert said in refusal(lambda: load_model(f"robustbench:{name}"))
