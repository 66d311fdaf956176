"""What training does about rare classes: losses by hand, draws by frequency, images by mixing."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from tests.training.conftest import digits_8x8, small_cnn
from tests.training.linear_models import linear
from torch.nn.functional import cross_entropy, log_softmax

from epsball.data import class_counts, imbalanced, load_data
from epsball.errors import InvalidInput
from epsball.training import RECIPES, TrainSettings, train
from epsball.training.measure.losses import cross_entropy_of
from epsball.training.recipes.spec import Batch
from epsball.training.setup.feeding import open_feed
from epsball.training.setup.resampling import draw_rows, synthetic_images

COUNTS = torch.tensor([80.0, 15.0, 5.0, 0.0])
QUICK = {"epochs": 2, "batch_size": 20, "lr": 0.01, "validation": 0.0, "precision": "float32"}


def logits_and_labels() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(6, 4, generator=generator), torch.tensor([0, 0, 1, 2, 0, 1])


def test_class_weights_are_inverse_shares_with_mean_one_over_the_training_images() -> None:
    logits, labels = logits_and_labels()
    weights = torch.tensor([100 / (3 * 80), 100 / (3 * 15), 100 / (3 * 5)])
    assert float((weights * COUNTS[:3]).sum()) == pytest.approx(100)
    each = -log_softmax(logits, 1)[torch.arange(6), labels]
    result = cross_entropy_of(logits, labels, TrainSettings(class_weights="balanced"), COUNTS)
    assert float(result) == pytest.approx(float((weights[labels] * each).mean()), rel=1e-6)


def test_logit_adjustment_adds_log_shares_in_the_loss() -> None:
    logits, labels = logits_and_labels()
    shares = torch.tensor([0.8, 0.15, 0.05, 0.01])  # a class without images counts as one image
    for tau in (0.5, 1.0):
        result = cross_entropy_of(logits, labels, TrainSettings(logit_adjustment=tau), COUNTS)
        assert torch.allclose(result, cross_entropy(logits + tau * shares.log(), labels))


def test_without_either_setting_counts_change_nothing() -> None:
    logits, labels = logits_and_labels()
    plain = cross_entropy_of(logits, labels, TrainSettings())
    assert torch.equal(plain, cross_entropy_of(logits, labels, TrainSettings(), COUNTS))


@pytest.mark.parametrize("name", [n for n, r in RECIPES.items() if "class_weights" in r.parameters])
def test_every_recipe_that_takes_class_weights_uses_them(name: str) -> None:
    recipe, images = RECIPES[name], digits_8x8(12)
    own = {"eps": 0.05, "attack_steps": 2}
    chosen = {key: value for key, value in own.items() if key in recipe.parameters}
    x, y = (
        torch.from_numpy(images.read(np.arange(12))).float() / 255,
        torch.from_numpy(images.labels),
    )
    counts = torch.arange(1.0, 11.0)
    losses = []
    for more in ({}, {"class_weights": "balanced"}, {"logit_adjustment": 1.0}):
        settings = TrainSettings(recipe=name, **chosen, **more)
        generator = torch.Generator().manual_seed(0)
        batch = Batch(x, y, settings, generator, (linear(),), {}, counts)
        losses.append(float(recipe.task(linear(), batch).total().detach()))
    assert len({round(loss, 4) for loss in losses}) == 3


@pytest.mark.parametrize(
    ("sampling", "expected"), [("square-root", [3, 2, 1]), ("balanced", [2, 2, 2])]
)
def test_draws_have_the_classes_in_the_proportion_that_is_asked_for(
    sampling: str, expected: list[int]
) -> None:
    labels = np.repeat([0, 1, 2], [900, 400, 100])
    generator = torch.Generator().manual_seed(1)
    drawn = np.concatenate([draw_rows(labels, sampling, generator) for _ in range(5)])  # type: ignore[arg-type]
    counts = class_counts(labels[drawn], 3)
    share = np.array(expected) / sum(expected)
    assert chisquare(counts, share * counts.sum()).pvalue > 1e-3


def test_naturally_every_image_is_drawn_once() -> None:
    drawn = draw_rows(np.zeros(50, np.int64), "natural", torch.Generator().manual_seed(2))
    assert sorted(drawn) == list(range(50))


@pytest.mark.parametrize("method", ["smote", "borderline-smote"])
def test_synthetic_images_level_the_classes_and_lie_between_images_of_their_class(
    method: str,
) -> None:
    whole = imbalanced(load_data("digits", split="train"), "under:3=12")
    images = torch.from_numpy(whole.read(np.arange(len(whole)))).float() / 255
    labels = torch.from_numpy(whole.labels)
    added, named = synthetic_images(images, labels, method, seed=0)  # type: ignore[arg-type]
    counts = torch.bincount(torch.cat((labels, named)), minlength=10)
    assert counts[3] == counts.max()
    assert added.shape[1:] == images.shape[1:]
    low, high = images[labels == 3].amin(0), images[labels == 3].amax(0)
    mixed = added[named == 3]
    assert len(mixed) > 100
    assert bool(((mixed >= low - 1e-6) & (mixed <= high + 1e-6)).all())


def test_too_few_images_to_mix_are_refused() -> None:
    images, labels = torch.rand(20, 1, 4, 4), torch.tensor([0] * 15 + [1] * 5)
    with pytest.raises(InvalidInput, match="smallest class has 5 images; it needs 6 or more"):
        synthetic_images(images, labels, "smote", seed=0)


def test_imbalance_is_part_of_the_run_and_of_its_manifest(tmp_path: Path) -> None:
    settings = TrainSettings(**QUICK, imbalance="under:3=2", class_weights="balanced")
    train(small_cnn(), digits_8x8(200), settings, out=tmp_path)
    manifest = json.loads((tmp_path / "training.json").read_text())
    assert manifest["settings"]["imbalance"] == "under:3=2"
    assert manifest["data"]["class_counts"]["3"] == 2
    assert manifest["data"]["images"] == sum(manifest["data"]["class_counts"].values()) < 200
    other = settings.changed(imbalance="under:3=3")
    with pytest.raises(InvalidInput, match="imbalance \\(under:3=2 there, under:3=3 here\\)"):
        train(small_cnn(), digits_8x8(200), other, out=tmp_path)


def test_a_class_that_does_not_exist_leaves_nothing_behind(tmp_path: Path) -> None:
    settings = TrainSettings(**QUICK, imbalance="under:cat=2")
    with pytest.raises(InvalidInput, match="unknown class 'cat'"):
        train(small_cnn(), digits_8x8(200), settings, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("more", [{"sampling": "balanced"}, {"resample": "smote"}])
def test_a_run_with_draws_is_repeated_to_the_same_weights(
    tmp_path: Path, more: dict[str, str]
) -> None:
    settings = TrainSettings(**QUICK, imbalance="under:3=8", **more)
    models = [small_cnn(), small_cnn()]
    for number, model in enumerate(models):
        train(model, digits_8x8(200), settings, out=tmp_path / str(number))
    for one, other in zip(*(m.parameters() for m in models), strict=True):
        assert torch.equal(one, other)


def test_added_images_count_among_the_classes() -> None:
    settings = TrainSettings(imbalance="under:3=8", resample="smote", validation=0.0)
    feed = open_feed(digits_8x8(300), settings)
    counts = class_counts(feed.train_labels, 10)
    assert (counts == counts.max()).all()


def test_validation_on_a_set_of_its_own(tmp_path: Path) -> None:
    settings = TrainSettings(**QUICK)
    other = load_data("digits")
    with pytest.raises(InvalidInput, match="images to validate on must be one or more of shape"):
        train(small_cnn(), digits_8x8(100), settings, out=tmp_path, validation_set=other)
    held_out = digits_8x8(150)
    share = settings.changed(validation=0.1)
    with pytest.raises(InvalidInput, match="give validation=0"):
        train(small_cnn(), digits_8x8(100), share, out=tmp_path, validation_set=held_out)
    model = small_cnn()
    result = train(model, digits_8x8(100), settings, out=tmp_path, validation_set=held_out)
    images = torch.from_numpy(held_out.read(np.arange(150))).float() / 255
    with torch.no_grad():
        loss = float(cross_entropy(model(images), torch.from_numpy(held_out.labels)))
    assert result.best.validation_loss == pytest.approx(loss, rel=1e-4)
