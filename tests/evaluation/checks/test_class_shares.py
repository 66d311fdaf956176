"""Predictions of classes that the images do not have: embeddings, wrong pixels, untrained nets."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.evaluation.conftest import CLASSES, sample_images
from torch import Tensor, nn

from epsball import audit
from epsball.evaluation.checks.before import check_chance
from epsball.evaluation.checks.class_order import check_class_order
from epsball.evaluation.checks.class_shares import check_known, check_shares


def _names(count: int) -> list[str]:
    return [f"c{number:03d}" for number in range(count)]


def _codes(model: object, data: object) -> set[str]:
    report = audit(model, data, attacks=["noise"], eps=["1/255"])  # type: ignore[arg-type]  # any classifier
    return {finding.code for finding in report.findings}


@given(st.integers(0, 10**6), st.integers(3, 40), st.floats(0.35, 1.0))
@settings(deadline=None, max_examples=40)
def test_errors_that_are_spread_are_not_doubted(seed: int, classes: int, accuracy: float) -> None:
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, 200)
    right = random.random(200) < accuracy
    predictions = np.where(right, labels, random.integers(0, classes, 200))
    assert check_shares(labels, predictions, _names(classes), classes) == []


@given(st.integers(0, 10**6), st.integers(4, 40))
@settings(deadline=None, max_examples=40)
def test_one_class_for_half_of_the_images_is_told(seed: int, classes: int) -> None:
    random = np.random.default_rng(seed)
    labels = np.arange(200) % classes
    favourite = int(random.integers(classes))
    predictions = np.where(random.random(200) < 0.8, favourite, labels)
    (findings,) = check_shares(labels, predictions, _names(classes), classes)
    assert findings.code == "class-shares"
    assert f"'c{favourite:03d}'" in findings.message


def test_a_model_of_more_classes_than_the_data_is_not_doubted_where_it_is_right() -> None:
    labels = np.arange(100) % 10
    other = np.where(np.arange(100) < 40, 10 + labels, labels)
    for predictions in (labels, other):
        assert check_known(labels, predictions, 10, 1000) == []


@pytest.mark.parametrize("width", [16, 64, 512])
def test_an_embedding_taken_for_classes_is_a_finding(model: nn.Module, width: int) -> None:
    torch.manual_seed(width)
    projection = nn.Linear(CLASSES, width, bias=False)
    nn.init.normal_(projection.weight)
    body = nn.Sequential(model, projection).eval()
    result = _codes(body, sample_images(120))
    assert "unknown-classes" in result
    assert not result & {"other-scaling"}


def test_features_of_the_images_are_of_unknown_classes() -> None:
    torch.manual_seed(0)
    features = nn.Sequential(nn.Flatten(), nn.Linear(36, 128)).eval()
    assert "unknown-classes" in _codes(features, sample_images(120))


@pytest.mark.parametrize("seed", range(12))
def test_an_untrained_network_is_not_blocked_for_its_order(seed: int) -> None:
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 10)
    ).eval()
    images, labels = _ten_patterns(400)
    with torch.no_grad():
        predictions = net(images).argmax(1).numpy()
    assert check_class_order(labels.numpy(), predictions, _names(10), 10) == []


def _ten_patterns(count: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    patterns = torch.rand((10, 1, 6, 6), generator=generator)
    labels = torch.arange(count) % 10
    noise = torch.rand((count, 1, 6, 6), generator=generator)
    return 0.8 * patterns[labels] + 0.2 * noise, labels


@pytest.mark.parametrize(("right", "told"), [(110, True), (300, True), (350, False), (900, False)])
def test_little_more_than_guessing_is_near_chance(right: int, told: bool) -> None:
    assert [one.code for one in check_chance(right, 1000, 10)] == ["near-chance"] * told
