"""Recipes with source models: examples made once, and what sources are refused."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from epsball.attacks import fgsm
from epsball.errors import InvalidInput
from epsball.training import TrainSettings, fresh_weights, train
from epsball.training.setup.feeding import open_feed
from epsball.training.setup.placement import Placement
from epsball.types import Dataset

Build = Callable[[], nn.Module]
QUICK = TrainSettings(
    epochs=4, batch_size=20, lr=0.01, validation=0.2, precision="float32", eps=0.1, recipe="offline"
)


def source(classes: int = 10, inputs: int = 64) -> nn.Module:
    with fresh_weights(1):
        return nn.Sequential(nn.Flatten(), nn.Linear(inputs, classes))


def unit(dataset: Dataset, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    images = torch.from_numpy(dataset.read(rows)).float() / 255
    return images, torch.from_numpy(dataset.labels[rows])


def test_offline_adds_an_example_of_every_training_image_made_on_the_source(
    dataset: Dataset, build: Build, tmp_path: Path
) -> None:
    settings = QUICK.changed(attack_steps=1)
    maker = source()
    result = train(build(), dataset, settings, out=tmp_path, sources=[maker])
    weights = load_file(tmp_path / "examples.safetensors")
    images, labels = unit(dataset, open_feed(dataset, settings).train_rows)
    torch.testing.assert_close(weights["images"], fgsm(maker, images, labels, eps=0.1))
    assert torch.equal(weights["labels"], labels)
    assert (result.preparation.attacked, result.preparation.added) == (160, 160)
    assert not (tmp_path / "source").exists()
    assert result.gradient_evaluations == sum(r.gradient_evaluations for r in result.epochs) + 160
    assert result.seconds > sum(row.seconds for row in result.epochs)


def test_without_a_source_one_is_trained_plainly_from_the_same_first_weights(
    dataset: Dataset, build: Build, tmp_path: Path
) -> None:
    settings = QUICK.changed(l2=1e-3)
    train(build(), dataset, settings, out=tmp_path / "a")
    plain = settings.changed(recipe="standard", eps=None)
    alone = train(build(), dataset, plain, out=tmp_path / "b")
    weights = load_file(tmp_path / "a" / "source" / "model.safetensors")
    known = load_file(alone.weights)
    assert all(torch.equal(weights[name], known[name]) for name in known)


def test_two_step_keeps_what_fooled_the_source_and_trains_its_weights_on(
    dataset: Dataset, build: Build, tmp_path: Path
) -> None:
    settings = QUICK.changed(recipe="two-step", epochs=1, lr=1e-7, attack_steps=3)
    maker = build().eval()
    train(maker, dataset, TrainSettings(epochs=6, batch_size=20, lr=0.01), out=tmp_path / "s")
    before = {name: value.clone() for name, value in maker.state_dict().items()}
    model = build()
    result = train(model, dataset, settings, out=tmp_path / "a", sources=[maker])
    weights = load_file(tmp_path / "a" / "examples.safetensors")
    with torch.no_grad():
        assert not (maker(weights["images"]).argmax(1) == weights["labels"]).any()
    assert 0 < result.preparation.added < 160
    # a rate so small that the weights are still the source's
    torch.testing.assert_close(
        model.state_dict()["0.weight"], before["0.weight"], atol=1e-5, rtol=0
    )
    assert all(torch.equal(before[name], value) for name, value in maker.state_dict().items())


def test_added_images_are_drawn_with_their_own_labels(dataset: Dataset) -> None:
    feed = open_feed(dataset, QUICK)
    added = torch.full((3, 1, 8, 8), 0.5), torch.tensor([7, 8, 9])
    more = feed.with_added(*added)
    assert len(more.train_rows) == len(feed.train_rows) + 3
    assert more.fingerprint() == feed.fingerprint()
    where = Placement("cpu", "float32", channels_last=False, threads=1)
    rows = np.array([201, 5, 200, 7])
    ((images, labels),) = more.batches(rows, 4, where)
    own, own_labels = unit(dataset, np.array([5, 7]))
    assert torch.equal(images[[1, 3]], own)
    assert labels.tolist() == [8, own_labels[0], 7, own_labels[1]]
    assert bool((images[[0, 2]] == 0.5).all())


def test_examples_that_fool_nobody_add_nothing(
    dataset: Dataset, build: Build, tmp_path: Path
) -> None:
    settings = QUICK.changed(recipe="two-step", eps=0.0, epochs=1)
    result = train(build(), dataset, settings, out=tmp_path)
    assert result.preparation.added == 0
    assert train(build(), dataset, settings, out=tmp_path) == result


def test_a_source_is_left_as_it_was_and_costs(
    dataset: Dataset, build: Build, tmp_path: Path
) -> None:
    settings = QUICK.changed(recipe="ensemble", epochs=1, watch_every=0)
    maker = source().train()
    modes: list[bool] = []
    maker.register_forward_hook(lambda module, *_: modes.append(module.training))
    weight = next(maker.parameters())
    before = weight.detach().clone()
    result = train(build(), dataset, settings, out=tmp_path, sources=[maker])
    assert maker.training
    assert torch.equal(weight, before)
    assert weight.grad is None
    assert not any(modes)
    assert result.epochs[0].gradient_evaluations == 160 * 3 + 40
    content: dict[str, Any] = json.loads((tmp_path / "training.json").read_text())
    assert list(content["sources"]) == ["1 (Sequential)"]


@pytest.mark.parametrize(
    "case",
    [
        ("ensemble", [], "'ensemble' makes examples on source models, got none"),
        ("ensemble", [source(inputs=49)], r"source 1 \(Sequential\) does not take images of 1x8"),
        ("ensemble", [source(), source(3)], r"source 2 \(Sequential\) names 3 classes and the mod"),
        ("offline", [source(), source()], "'offline' takes at most 1 source, got 2"),
        ("pgd", [source()], "'pgd' takes no source, got 1"),
        ("two-step", [source()], "has other weights than the model"),
    ],
)
def test_sources_that_do_not_fit_are_refused_before_anything_is_written(
    case: tuple[str, list[nn.Module], str], dataset: Dataset, build: Build, tmp_path: Path
) -> None:
    recipe, sources, said = case
    with pytest.raises(InvalidInput, match=said) as error:
        train(build(), dataset, QUICK.changed(recipe=recipe), out=tmp_path / "run", sources=sources)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_an_eps_beyond_the_range_of_the_images_is_refused(
    dataset: Dataset, build: Build, tmp_path: Path
) -> None:
    dim = replace(dataset, read=lambda rows: dataset.read(rows) // 10)
    with pytest.raises(InvalidInput, match=r"eps 0\.1 exceeds the range of the images, 0 to"):
        train(build(), dim, QUICK.changed(recipe="pgd"), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
