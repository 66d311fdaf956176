"""The trainer: it learns, stops, keeps the best, tells, and leaves the caller's things alone."""

import json
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from epsball.errors import BrokenContract, InvalidInput
from epsball.training import TrainResult, TrainSettings, train
from epsball.training.setup.optimizers import learning_rate
from epsball.types import Dataset

Build = Callable[[], nn.Module]
QUICK = TrainSettings(epochs=3, batch_size=20, lr=0.01, validation=0.2)


def accuracy(model: nn.Module, dataset: Dataset) -> float:
    images = torch.from_numpy(dataset.read(np.arange(len(dataset)))).float() / 255
    with torch.no_grad():
        return float((model(images).argmax(1).numpy() == dataset.labels).mean())


def manifest(out: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((out / "training.json").read_text())
    return content


@pytest.mark.parametrize(
    "recipe", [{"recipe": "standard"}, {"recipe": "fgsm-mix", "eps": 0.05, "reference": "random"}]
)
def test_a_model_learns_and_ends_in_eval_mode_with_the_weights_on_disk(
    recipe: dict[str, Any], dataset: Dataset, build: Build, tmp_path: Path
) -> None:
    model = build()
    before = accuracy(model.eval(), dataset)
    result = train(model, dataset, QUICK.changed(epochs=12, **recipe), out=tmp_path)
    assert before < 0.3
    assert accuracy(model, dataset) > 0.85
    assert not any(module.training for module in model.modules())
    weights = load_file(result.weights)
    assert weights.keys() == model.state_dict().keys()
    assert all(torch.equal(weights[name], value) for name, value in model.state_dict().items())


def test_the_manifest_says_what_was_run(dataset: Dataset, build: Build, tmp_path: Path) -> None:
    result = train(build(), dataset, QUICK, out=tmp_path / "deep" / "run")
    value = manifest(result.out)
    assert value["recipe"] == "standard"
    assert value["settings"] == QUICK.model_dump(mode="json")
    assert value["data"]["name"] == "tiny-digits"
    assert value["model"]["parameters"] == 40 + 8 + 650
    assert value["finished"] is True
    assert set(value["versions"]) == {"epsball", "python", "torch", "numpy"}
    assert [row["epoch"] for row in value["epochs"]] == [1, 2, 3]
    assert [row.as_dict() for row in result.epochs] == value["epochs"]
    assert not list(result.out.glob(".*"))


def test_rows_tell_losses_accuracies_and_cost(
    dataset: Dataset, build: Build, tmp_path: Path
) -> None:
    row = train(build(), dataset, QUICK.changed(epochs=1), out=tmp_path / "a").epochs[0]
    assert row.gradient_evaluations == 160
    assert 0 <= row.train_accuracy <= 1
    assert row.seconds > 0
    mixed = QUICK.changed(epochs=1, recipe="fgsm-mix", eps=0.1, watch_every=0)
    row = train(build(), dataset, mixed, out=tmp_path / "b").epochs[0]
    assert row.gradient_evaluations == 3 * 160 + 40  # an attack on each, and on each held out


def test_validation_loss_is_the_plain_loss_in_eval_mode(
    dataset: Dataset, build: Build, tmp_path: Path
) -> None:
    """Penalties would hide whether the model still learns; dropout would add noise."""
    model = build()
    settings = QUICK.changed(epochs=1, l1=0.01, label_smoothing=0.3, precision="float32")
    row = train(model, dataset, settings, out=tmp_path).epochs[0]
    from epsball.training.setup.feeding import split_rows

    _, held_out = split_rows(dataset.labels, 0.2, 0)
    images = torch.from_numpy(dataset.read(held_out)).float() / 255
    labels = torch.from_numpy(dataset.labels[held_out])
    with torch.no_grad():
        logits = model(images)
    assert row.validation_loss == pytest.approx(
        nn.functional.cross_entropy(logits, labels).item(), abs=1e-5
    )
    assert row.validation_accuracy == pytest.approx(
        (logits.argmax(1) == labels).float().mean().item()
    )


def test_early_stopping_keeps_the_best_weights(
    dataset: Dataset, build: Build, tmp_path: Path
) -> None:
    """A learning rate that wrecks the model after its best epoch."""
    settings = QUICK.changed(epochs=40, patience=3, lr=0.05)
    result = train(build(), dataset, settings, out=tmp_path)
    losses = [row.validation_loss for row in result.epochs]
    assert result.stopped_early
    assert len(losses) < 40
    assert losses.index(min(losses)) + 1 == result.best_epoch  # type: ignore[type-var]  # no None
    assert len(losses) == result.best_epoch + 3
    best = train(
        build(), dataset, settings.changed(epochs=result.best_epoch), out=tmp_path / "until_best"
    )
    assert same_weights(result, best)


def same_weights(one: TrainResult, other: TrainResult) -> bool:
    first, second = load_file(one.weights), load_file(other.weights)
    return all(torch.equal(first[name], second[name]) for name in first)


def test_without_validation_the_last_weights_are_kept(
    dataset: Dataset, build: Build, tmp_path: Path
) -> None:
    result = train(build(), dataset, QUICK.changed(validation=0, patience=1), out=tmp_path)
    assert [row.validation_loss for row in result.epochs] == [None] * 3
    assert (result.best_epoch, result.stopped_early) == (3, False)


def test_the_same_seed_gives_the_same_weights_and_another_does_not(
    dataset: Dataset, build: Build, tmp_path: Path
) -> None:
    runs = []
    for number, seed in enumerate([0, 0, 1]):
        torch.manual_seed(number)  # the caller's own generator must not matter
        out = tmp_path / str(number)
        runs.append(train(build(), dataset, QUICK.changed(seed=seed), out=out))
    assert same_weights(runs[0], runs[1])
    assert not same_weights(runs[0], runs[2])


def test_the_callers_random_state_threads_and_grad_mode_are_untouched(
    dataset: Dataset, build: Build, tmp_path: Path
) -> None:
    model, threads = build(), torch.get_num_threads()
    np.random.seed(7)  # noqa: NPY002 - the global generator is what is watched
    drawn_next = np.random.RandomState(7).random()
    states = torch.get_rng_state(), random.getstate()
    train(model, dataset, QUICK.changed(recipe="fgsm-mix", eps=0.1), out=tmp_path)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.random.random() == drawn_next  # noqa: NPY002 - see above
    assert random.getstate() == states[1]
    assert torch.get_num_threads() == threads
    assert torch.is_grad_enabled()
    assert not model._forward_hooks
    assert all(weight.is_contiguous() for weight in model.parameters())


def test_the_schedule_runs_over_all_epochs(dataset: Dataset, build: Build, tmp_path: Path) -> None:
    settings = QUICK.changed(schedule="cosine", decay=0.1)
    rows = train(build(), dataset, settings, out=tmp_path).epochs
    expected = [learning_rate(settings, 8 * epoch - 1, 24) for epoch in (1, 2, 3)]
    assert [row.lr for row in rows] == expected
    assert expected == sorted(set(expected), reverse=True)


def test_every_epoch_sees_the_images_in_another_order(
    dataset: Dataset, build: Build, tmp_path: Path
) -> None:
    model, seen = build(), []
    model.register_forward_hook(
        lambda module, inputs, _: seen.append(inputs[0].sum().item()) if module.training else None
    )
    train(model, dataset, QUICK.changed(batch_size=80), out=tmp_path)
    assert len(seen) == 6
    assert len(set(seen)) == 6


def test_progress_hears_of_batches_and_ends_of_epochs(
    dataset: Dataset, build: Build, tmp_path: Path
) -> None:
    heard: list[tuple[int, int, int, dict[str, float]]] = []

    def hear(epoch: int, batch: int, batches: int, metrics: Mapping[str, float]) -> None:
        heard.append((epoch, batch, batches, dict(metrics)))

    settings = QUICK.changed(epochs=2, batch_size=4)
    train(build(), dataset, settings, out=tmp_path, progress=hear)
    assert [call[:3] for call in heard] == [(e, b, 40) for e in (1, 2) for b in (20, 40)]
    assert set(heard[0][3]) == {"loss", "accuracy", "lr"}
    assert set(heard[1][3]) == {
        "loss",
        "accuracy",
        "lr",
        "validation_loss",
        "validation_accuracy",
    }


class Failing(nn.Module):
    """Fails in train mode only: no check before the first step can see it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 10)

    def forward(self, inputs: Tensor) -> Tensor:
        if self.training:
            raise ValueError("no\nway")
        logits: Tensor = self.layer(inputs.flatten(1))
        return logits


def test_a_model_that_raises_in_training_is_one_line(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(BrokenContract, match=r"epoch 1, batch 1.*ValueError: no\)") as error:
        train(Failing(), dataset, QUICK, out=tmp_path)
    assert "\n" not in str(error.value)


def test_weights_that_share_memory_can_be_saved(dataset: Dataset, tmp_path: Path) -> None:
    first, second = nn.Linear(64, 64, bias=False), nn.Linear(64, 64, bias=False)
    second.weight = first.weight
    model = nn.Sequential(nn.Flatten(), first, nn.ReLU(), second, nn.ReLU(), nn.Linear(64, 10))
    result = train(model, dataset, QUICK, out=tmp_path)
    weights = load_file(result.weights)
    assert torch.equal(weights["1.weight"], weights["3.weight"])


def test_a_place_that_cannot_be_written_to_is_refused(
    dataset: Dataset, build: Build, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("not a directory")
    with pytest.raises(InvalidInput, match="holds something else"):
        train(build(), dataset, QUICK, out=tmp_path / "file")
