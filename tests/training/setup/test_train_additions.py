"""What goes with any recipe: weight perturbation, averages, warm-up, decay, replays."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.training.linear_models import cross_entropy_by_hand, linear
from torch import Tensor, nn

from epsball.errors import InvalidInput
from epsball.training import TrainSettings, train
from epsball.training.recipes.awp import weights_uphill
from epsball.training.recipes.table import recipe_of
from epsball.training.setup.augmenting import crop_and_flip
from epsball.training.setup.average import Average
from epsball.training.setup.context import build_context
from epsball.training.setup.optimizers import build_optimizer, learning_rate
from epsball.training.setup.placement import Placement
from epsball.types import Dataset

Build = Callable[[], nn.Module]
HERE = Placement("cpu", "float32", channels_last=False, threads=1)
QUICK = TrainSettings(epochs=2, batch_size=20, lr=0.01, validation=0.2)


def test_awp_moves_each_layer_up_its_gradient_by_a_share_of_its_length(
    batch: tuple[Tensor, Tensor],
) -> None:
    model = linear()
    weight = model.layer.weight
    before = weight.detach().clone(), model.layer.bias.detach().clone()
    loss = cross_entropy_by_hand(model, *batch)
    (slope,) = torch.autograd.grad(loss, [weight])
    with weights_uphill(model, lambda: cross_entropy_by_hand(model, *batch), 0.05):
        moved = weight.detach() - before[0]
        torch.testing.assert_close(moved, 0.05 * before[0].norm() * slope / slope.norm())
        assert torch.equal(model.layer.bias, before[1])
        assert cross_entropy_by_hand(model, *batch) > loss
    assert torch.equal(weight, before[0])
    assert weight.grad is None


def test_awp_puts_weights_back_after_an_error_and_leaves_batch_norm_alone(
    build: Build, batch: tuple[Tensor, Tensor]
) -> None:
    model = build().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}

    def loss() -> Tensor:
        return cross_entropy_by_hand(model, *batch)

    with pytest.raises(ZeroDivisionError), weights_uphill(model, loss, 0.1):
        raise ZeroDivisionError
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_step_with_awp_takes_the_gradient_of_the_moved_weights(
    dataset: Dataset, tmp_path: Path
) -> None:
    """One update by plain gradient descent, written out."""
    settings = TrainSettings(
        optimizer="sgd",
        lr=0.5,
        epochs=1,
        batch_size=200,
        validation=0,
        awp=0.2,
        l2=0.01,
        precision="float32",
    )
    images = torch.from_numpy(dataset.read(np.arange(200))).float() / 255
    labels = torch.from_numpy(dataset.labels)
    model, expected = linear(), linear()
    weight = expected.layer.weight
    (slope,) = torch.autograd.grad(cross_entropy_by_hand(expected, images, labels), [weight])
    start = weight.detach().clone()
    with torch.no_grad():
        weight += 0.2 * start.norm() * slope / slope.norm()
    penalised = cross_entropy_by_hand(expected, images, labels) + 0.01 * weight.square().sum()
    (slope,) = torch.autograd.grad(penalised, [weight])
    train(model, dataset, settings, out=tmp_path)
    torch.testing.assert_close(model.layer.weight.detach(), start - 0.5 * slope)


def test_the_average_follows_its_formula() -> None:
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 1.0)
    average, known = Average(model, 0.5), 1.0
    for update, value in enumerate([3.0, 5.0, 2.0]):
        nn.init.constant_(model.weight, value)
        average.update(model, update)
        keep = min(0.5, (1 + update) / (10 + update))
        known = keep * known + (1 - keep) * value
    with average.in_place(model):
        assert model.weight.item() == pytest.approx(known)
    assert model.weight.item() == 2.0


def test_the_averaged_weights_are_validated_and_kept(
    dataset: Dataset, build: Build, tmp_path: Path
) -> None:
    model = build()
    settings = QUICK.changed(ema=0.9, precision="float32", epochs=1)
    result = train(model, dataset, settings, out=tmp_path)
    weights = load_file(tmp_path / "checkpoint.safetensors")
    kept = load_file(result.weights)
    assert torch.equal(kept["0.weight"], weights["ema.0.weight"])
    assert torch.equal(kept["1.running_var"], weights["ema.1.running_var"])
    assert not torch.equal(kept["0.weight"], weights["model.0.weight"])
    rows = build_context(model, dataset, settings, None).feed.validation_rows
    images = torch.from_numpy(dataset.read(rows)).float() / 255
    with torch.no_grad():
        right = (model(images).argmax(1).numpy() == dataset.labels[rows]).mean()
    assert result.best.validation_accuracy == pytest.approx(right)


def test_an_average_does_not_disturb_what_is_averaged(
    dataset: Dataset, build: Build, tmp_path: Path
) -> None:
    for name, settings in {"plain": QUICK, "ema": QUICK.changed(ema=0.9)}.items():
        train(build(), dataset, settings, out=tmp_path / name)
    plain, averaged = (
        load_file(tmp_path / name / "checkpoint.safetensors") for name in ("plain", "ema")
    )
    ours = [key for key in plain if key.startswith(("model.", "optimizer."))]
    assert all(torch.equal(plain[key], averaged[key]) for key in ours)


def test_the_step_schedule_falls_at_its_milestones() -> None:
    settings = TrainSettings(lr=1.0, schedule="step", milestones=(0.5, 0.75), factor=0.1)
    rates = [learning_rate(settings, update, 8) for update in range(8)]
    assert rates == pytest.approx([1, 1, 1, 1, 0.1, 0.1, 0.01, 0.01])


@pytest.mark.parametrize("name", ["sgd", "rmsprop", "adam"])
def test_weight_decay_is_part_of_the_gradient(name: str) -> None:
    decayed, by_hand = nn.Linear(3, 2), nn.Linear(3, 2)
    by_hand.load_state_dict(decayed.state_dict())
    settings = TrainSettings(optimizer=name, lr=0.1, momentum=0.0)
    optimizers = (
        build_optimizer(decayed, settings.changed(weight_decay=0.3)),
        build_optimizer(by_hand, settings),
    )
    inputs = torch.rand(4, 3)
    for _ in range(3):
        for model, optimizer in zip((decayed, by_hand), optimizers, strict=True):
            optimizer.zero_grad()
            loss = model(inputs).square().sum()
            if model is by_hand:
                loss = loss + 0.15 * sum(w.square().sum() for w in model.parameters())
            torch.autograd.backward(loss)
            optimizer.step()
    torch.testing.assert_close(decayed.weight, by_hand.weight)


def test_replayed_batches_come_in_a_row_and_whole_passes_see_every_image_once(
    dataset: Dataset, build: Build
) -> None:
    settings = QUICK.changed(recipe="free", eps=0.1, replays=3, precision="float32")
    context = build_context(build(), dataset, settings, None)
    walk = [images for epoch in (1, 2, 3) for images, _ in context.epoch_batches(epoch, HERE)]
    assert len(walk) == 3 * 8
    for first in range(0, 24, 3):
        assert torch.equal(walk[first], walk[first + 1])
        assert torch.equal(walk[first], walk[first + 2])
    once = torch.cat(walk[::3]).flatten(1)
    known = torch.from_numpy(dataset.read(context.feed.train_rows)).float().flatten(1) / 255
    assert sorted(once.tolist()) == sorted(known.tolist())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"milestones": (0.3,)}, "milestones need schedule 'step', got 'constant'"),
        ({"factor": 0.2, "schedule": "cosine"}, "factor need schedule 'step', got 'cosine'"),
        ({"watch_every": 2}, "watch_every needs a radius"),
        ({"best_by": "pgd"}, "best_by needs a watch after every epoch"),
        (
            {"recipe": "pgd", "eps": 0.1, "watch_every": 2, "stop_at_collapse": True},
            "stop_at_collapse needs a watch after every epoch, got watch_every=2",
        ),
    ],
)
def test_settings_that_others_make_idle_are_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        recipe_of(TrainSettings(**changes))


def test_crop_and_flip_shifts_and_mirrors_and_nothing_else() -> None:
    image = torch.rand(1, 2, 8, 8)
    drawn = crop_and_flip(image.expand(300, -1, -1, -1), torch.Generator().manual_seed(0))
    padded = nn.functional.pad(image, (1, 1, 1, 1))[0]
    ways = [
        way
        for y in range(3)
        for x in range(3)
        for way in (padded[:, y : y + 8, x : x + 8], padded[:, y : y + 8, x : x + 8].flip(2))
    ]
    met = [sum(bool(torch.equal(one, way)) for one in drawn) for way in ways]
    assert sum(met) == 300
    assert min(met) > 3  # 18 ways, 17 of each expected


def test_augmented_batches_depend_on_seed_and_place_alone(dataset: Dataset, build: Build) -> None:
    def walk(epoch: int, **changes: Any) -> torch.Tensor:
        context = build_context(
            build(), dataset, QUICK.changed(augment="crop-flip", **changes), None
        )
        return torch.cat([images for images, _ in context.epoch_batches(epoch, HERE)])

    assert torch.equal(walk(2), walk(2))
    assert not torch.equal(walk(2), walk(2, seed=1))
    plain = build_context(build(), dataset, QUICK, None)
    assert not torch.equal(walk(1), torch.cat([x for x, _ in plain.epoch_batches(1, HERE)]))
    replayed = walk(1, recipe="free", eps=0.1, replays=2)
    assert torch.equal(replayed[:20], replayed[20:40])


class Dropping(nn.Module):
    """A network that keeps count of the probabilities it drops by while it trains."""

    def __init__(self) -> None:
        super().__init__()
        self.drop, self.layer = nn.Dropout(0.5), nn.Linear(64, 10)
        self.seen: set[tuple[float, bool]] = set()

    def forward(self, inputs: Tensor) -> Tensor:
        self.seen.add((self.drop.p, self.training))
        scores: Tensor = self.layer(self.drop(inputs.flatten(1)))
        return scores


def test_dropout_is_the_runs_own_and_is_put_back(dataset: Dataset, tmp_path: Path) -> None:
    model = Dropping()
    train(model, dataset, QUICK.changed(epochs=1, dropout=0.25), out=tmp_path)
    assert {p for p, training in model.seen if training} == {0.25}
    assert model.drop.p == 0.5
    # another probability is another run
    with pytest.raises(InvalidInput, match="dropout"):
        train(model, dataset, QUICK.changed(epochs=1, dropout=0.1), out=tmp_path)


def test_dropout_for_a_model_without_such_layers_is_refused(
    dataset: Dataset, tmp_path: Path
) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    with pytest.raises(InvalidInput, match=r"dropout 0.3 needs dropout layers.*Sequential"):
        train(model, dataset, QUICK.changed(dropout=0.3), out=tmp_path)
    assert list(tmp_path.iterdir()) == []
