"""What is checked and chosen before the first step."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from epsball.errors import BrokenContract, InvalidInput
from epsball.machine import hardware
from epsball.training import RECIPES, TrainSettings, train
from epsball.training.setup.placement import Placement, choose_placement, placed
from epsball.types import Dataset, ModelInfo

Build = Callable[[], nn.Module]
SAMPLE = torch.zeros(2, 1, 8, 8)
QUICK = TrainSettings(epochs=1, batch_size=20, validation=0.2)


class Viewing(nn.Module):
    """Flattens by `view`, as many models do: that needs the ordinary memory layout."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 4, 3)
        self.layer = nn.Linear(144, 10)

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.layer(self.convolution(inputs).view(len(inputs), -1))
        return logits


def test_auto_takes_bfloat16_only_where_there_are_units_and_convolutions(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    flat = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    settings = TrainSettings(device="cpu")
    for has, expected in ((True, "bfloat16"), (False, "float32")):
        monkeypatch.setattr(hardware, "cpu_has", lambda _, has=has: has)
        assert choose_placement(build(), SAMPLE, settings).precision == expected
        assert choose_placement(flat, SAMPLE, settings).precision == "float32"
        fixed = choose_placement(flat, SAMPLE, settings.changed(precision="bfloat16"))
        assert fixed.precision == "bfloat16"


def test_channels_last_is_left_to_models_that_can_take_it(build: Build) -> None:
    assert choose_placement(build(), SAMPLE, TrainSettings()).channels_last
    assert not choose_placement(Viewing(), SAMPLE, TrainSettings()).channels_last


def test_a_model_that_views_its_maps_can_be_trained(dataset: Dataset, tmp_path: Path) -> None:
    assert train(Viewing(), dataset, QUICK, out=tmp_path).epochs


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_model_computes_in_the_chosen_precision_and_its_weights_stay_float32(
    precision: str, build: Build, dataset: Dataset, tmp_path: Path
) -> None:
    model, met = build(), set()
    model[0].register_forward_hook(  # type: ignore[index]  # a Sequential
        lambda module, _, out: met.add((module.training, out.dtype))
    )
    train(model, dataset, QUICK.changed(precision=precision), out=tmp_path)
    assert (True, getattr(torch, precision)) in met
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}


def test_autocast_does_not_cut_the_weights_off_after_an_attack_without_gradients(
    batch: tuple[Tensor, Tensor],
) -> None:
    """In older torch, a cast that a no_grad pass cached is reused, without its history."""
    layer, images = nn.Linear(64, 10), batch[0].flatten(1)
    with Placement("cpu", "bfloat16", channels_last=False, threads=1).autocast():
        with torch.no_grad():
            layer(images)
        loss = layer(images).float().sum()
    assert torch.autograd.grad(loss, [layer.weight], allow_unused=True)[0] is not None


def test_everything_is_put_back_even_after_an_error() -> None:
    model, seen = nn.Conv2d(2, 3, 3).train(), []  # with one channel both layouts are the same

    def work() -> None:
        with placed(model, Placement("cpu", "float32", channels_last=True, threads=2)):
            seen.append(torch.get_num_threads())
            seen.append(model.weight.is_contiguous(memory_format=torch.channels_last))
            raise KeyError

    with pytest.raises(KeyError):
        work()
    assert seen == [2, True]
    assert torch.get_num_threads() == 1
    assert model.weight.is_contiguous()
    assert not model.training


def test_a_device_that_is_not_there_is_one_line(
    build: Build, dataset: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInput, match="--device warp:9 cannot be used") as error:
        train(build(), dataset, QUICK.changed(device="warp:9"), out=tmp_path / "run")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


class Answering(nn.Module):
    """Gives what it is told to, made of real scores."""

    def __init__(self, change: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 10)
        self.change = change

    def forward(self, inputs: Tensor) -> object:
        return self.change(self.layer(inputs.flatten(1)))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda logits: logits.softmax(1), "probabilities"),
        (lambda logits: logits.sum(1), r"scores \(n, k\)"),
        (lambda logits: logits[:1], r"shape \(1, 10\)"),
        (lambda logits: (logits, logits), "tuple"),
        (lambda logits: logits[:, :5], r"labels must lie in \[0, 4\].*build the model with 10"),
    ],
    ids=["probabilities", "sums", "one row", "tuple", "few classes"],
)
def test_answers_that_cannot_be_trained_on_are_refused_before_anything_is_written(
    change: Callable[[Tensor], object], said: str, dataset: Dataset, tmp_path: Path
) -> None:
    with pytest.raises((InvalidInput, BrokenContract), match=said):
        train(Answering(change), dataset, QUICK, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_images_of_the_wrong_size_are_named(dataset: Dataset, tmp_path: Path) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    with pytest.raises(BrokenContract, match=r"1, 8, 8\)") as error:
        train(model, dataset, QUICK, out=tmp_path / "run")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_a_model_that_rejects_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 11))
    model.info = ModelInfo(10, rejects=True)  # type: ignore[assignment]  # a plain attribute
    with pytest.raises(InvalidInput, match="reject"):
        train(model, dataset, QUICK, out=tmp_path)


def test_a_model_without_trainable_weights_is_refused(
    build: Build, dataset: Dataset, tmp_path: Path
) -> None:
    model = build().requires_grad_(requires_grad=False)
    with pytest.raises(InvalidInput, match="nothing to train"):
        train(model, dataset, QUICK, out=tmp_path)


def test_a_negative_label_and_an_empty_set_are_refused(
    build: Build, dataset: Dataset, tmp_path: Path
) -> None:
    labels = dataset.labels.copy()
    labels[3] = -1
    with pytest.raises(InvalidInput, match="labels from -1 to 9"):
        train(build(), replace(dataset, labels=labels), QUICK, out=tmp_path)
    empty = replace(dataset, labels=np.empty(0, dtype=np.int64))
    with pytest.raises(InvalidInput, match="no image"):
        train(build(), empty, QUICK, out=tmp_path)


@pytest.mark.parametrize("recipe", ["pgd", "fast", "free", "trades"])
def test_gray_examples_reach_the_first_layer_channel_by_channel(
    recipe: str, build: Build, batch: tuple[Tensor, Tensor]
) -> None:
    """What an attack adds up loses the layout where there is one channel, and costs a third."""
    model, met = build(), set()
    first = next(iter(model.children()))
    first.register_forward_hook(
        lambda _, inputs, out: met.add((inputs[0].stride(1), out.stride(1)))
    )
    settings = QUICK.changed(recipe=recipe, eps=0.1)
    with placed(model, Placement("cpu", "float32", channels_last=True, threads=1)):
        torch.autograd.backward(RECIPES[recipe].step(model, *batch, settings))
    assert met == {(1, 1)}
    assert not model._forward_pre_hooks
