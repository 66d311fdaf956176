"""DeepFool on models whose nearest borders are known."""

from typing import Any

import pytest
import torch
from tests.attacks.borders import (
    ROUNDING,
    QueryCounter,
    Rejecting,
    curved,
    held_by_the_box,
    nearest_border,
)
from torch import Tensor

from epsball.attacks.nearest.deepfool import NORMS, deepfool
from epsball.errors import BrokenContract, InvalidInput, UnsupportedNorm
from epsball.geometry import size
from epsball.randomness import ImageStreams
from epsball.testing.problems import SHAPE, Linear, linear_problem
from epsball.types import Norm


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(
    "classes",
    [pytest.param(2, marks=pytest.mark.slow), 3, pytest.param(10, marks=pytest.mark.slow)],
)
@pytest.mark.parametrize("seed", range(4))
def test_finds_the_nearest_border_of_linear_classes(norm: Norm, classes: int, seed: int) -> None:
    model, inputs, labels = linear_problem(seed, classes)
    adversarial = deepfool(model, inputs, labels, norm=norm)
    assert (model(adversarial).argmax(1) != labels).all()
    result, true = size(adversarial - inputs, norm), nearest_border(model, inputs, labels, norm)
    assert (result > 0.9999 * true).all()
    assert (result <= 1.03 * true + ROUNDING).all()


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(
    "classes",
    [pytest.param(2, marks=pytest.mark.slow), 3, pytest.param(10, marks=pytest.mark.slow)],
)
def test_reaches_targets(norm: Norm, classes: int) -> None:
    for shift in range(1, min(classes, 4)):
        model, inputs, labels = linear_problem(shift, classes)
        targets = (labels + shift) % classes
        adversarial = deepfool(model, inputs, labels, norm=norm, targets=targets)
        assert (model(adversarial).argmax(1) == targets).all()
        if classes == 2:
            result, true = (
                size(adversarial - inputs, norm),
                nearest_border(model, inputs, labels, norm),
            )
            assert (result <= 1.03 * true + ROUNDING).all()


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("seed", range(3))
def test_curved_borders(norm: Norm, seed: int) -> None:
    """Images all over the box: each comes back fooled, and those that are wrong as they were."""
    p, labels, wrong = curved(seed)
    adversarial = deepfool(p.model, p.inputs, labels, norm=norm)
    assert (p.model(adversarial).argmax(1) != labels).all()
    assert adversarial.min() >= 0
    assert adversarial.max() <= 1
    assert torch.equal(adversarial[wrong], p.inputs[wrong])
    assert (adversarial != p.inputs).flatten(1).any(1)[~wrong].all()
    rough = deepfool(p.model, p.inputs, labels, norm=norm, shrink=0)
    near, far = size(adversarial - p.inputs, norm), size(rough - p.inputs, norm)
    assert (near <= far).all()
    if norm == "linf":
        assert near[~wrong].sum() < 0.999 * far[~wrong].sum()


def test_many_classes_with_few_candidates() -> None:
    model, inputs, labels = linear_problem(0, 1000)
    adversarial = deepfool(model, inputs, labels, candidates=10)
    assert (model(adversarial).argmax(1) != labels).all()
    result, true = size(adversarial - inputs, "linf"), nearest_border(model, inputs, labels, "linf")
    assert (result <= 1.03 * true + ROUNDING).all()


@pytest.mark.parametrize("norm", NORMS)
def test_images_held_by_the_box(norm: Norm) -> None:
    """Steps that are cut by the box have to go further where they still can."""
    model, inputs, labels = held_by_the_box()
    adversarial = deepfool(model, inputs, labels, norm=norm)
    assert (model(adversarial).argmax(1) != labels).all()
    assert (size(adversarial - inputs, norm) <= 1.03 * model.distance(inputs, labels, norm)).all()


@pytest.mark.parametrize("norm", NORMS)
def test_rejection_is_no_success(norm: Norm) -> None:
    for seed in range(4):
        model, (_, inputs, _) = Rejecting(seed, 3), linear_problem(seed, 3)
        labels = model(inputs)[:, :2].argmax(1)
        adversarial = deepfool(model, inputs, labels, norm=norm)
        assert (model(adversarial).argmax(1) == 1 - labels).all()


def test_a_tie_is_left() -> None:
    """A grey image lies on the border of all classes, and argmax calls it class 0."""
    model, inputs = QueryCounter(Linear(0, 3), 1), torch.full((1, *SHAPE), 0.5)
    labels = torch.tensor([0])
    adversarial = deepfool(model, inputs, labels, norm="l2", shrink=1)
    assert model.forwards.item() == 3 + 3
    assert (model.model(adversarial).argmax(1) != labels).all()
    assert size(adversarial - inputs, "l2") < 1e-3


def test_spends_nothing_on_images_that_are_done() -> None:
    p, labels, wrong = curved(0)
    model = QueryCounter(p.model, len(p.inputs))
    deepfool(model, p.inputs, labels, steps=20, shrink=4)
    assert set(model.forwards[wrong].tolist()) == {1}
    assert model.forwards[~wrong].min() >= 2 + 2 + 4
    assert model.forwards[~wrong].max() <= 20 + 1 + 2 + 4


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_the_last_point_is_judged(steps: int) -> None:
    """One step fools a linear model, however few there are."""
    model, inputs, labels = linear_problem(0, 3)
    adversarial = deepfool(model, inputs, labels, steps=steps)
    assert (model(adversarial).argmax(1) != labels).all()


@pytest.mark.parametrize("norm", NORMS)
def test_what_cannot_be_fooled_comes_back_clean(norm: Norm) -> None:
    """The box ends before the border."""

    def safe(inputs: Tensor) -> Tensor:
        mean = inputs.flatten(1).mean(1)
        return torch.stack((1.5 + 0 * mean, mean), 1)

    inputs = torch.rand((2, *SHAPE), generator=torch.Generator().manual_seed(0)) / 4
    adversarial = deepfool(safe, inputs, torch.tensor([0, 0]), norm=norm, steps=5)
    assert torch.equal(adversarial, inputs)


@pytest.mark.parametrize("value", [0.0, torch.nan])
def test_without_slope_the_clean_image_comes_back(value: float) -> None:
    def flat(inputs: Tensor) -> Tensor:
        return (value * inputs.flatten(1))[:, :3] + torch.tensor([1.0, 0.0, 0.0])

    inputs = torch.rand((2, *SHAPE), generator=torch.Generator().manual_seed(0))
    adversarial = deepfool(flat, inputs, torch.tensor([0, 0]))
    assert torch.equal(adversarial, inputs)


def test_a_row_does_not_see_its_batch() -> None:
    p, labels, _ = curved(2)
    streams = ImageStreams.of(range(12), seed=0, purpose="deepfool")
    whole = deepfool(p.model, p.inputs, labels, generator=streams)
    for i in range(0, 12, 3):
        row = slice(i, i + 3)
        alone = deepfool(p.model, p.inputs[row], labels[row])
        assert torch.allclose(whole[row], alone, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"eps": 0.1}, "takes no eps, got 0.1"),
        ({"steps": 0}, "steps must be >= 1"),
        ({"overshoot": -0.1}, "overshoot must be a number >= 0, got -0.1"),
        ({"candidates": 0}, "candidates must be a number >= 1, got 0"),
        ({"shrink": -1}, "shrink must be a number >= 0, got -1"),
        ({"targets": torch.tensor([0])}, "target"),
    ],
)
def test_bad_input(changes: dict[str, Any], message: str) -> None:
    model, inputs = Linear(0, 3), torch.full((1, *SHAPE), 0.5)
    with pytest.raises(InvalidInput, match=message):
        deepfool(model, inputs, torch.tensor([0]), **changes)


def test_no_other_norm() -> None:
    with pytest.raises(UnsupportedNorm, match="deepfool: norm must be one of linf, l2; got 'l1'"):
        deepfool(Linear(0, 3), torch.full((1, *SHAPE), 0.5), torch.tensor([0]), norm="l1")


def test_models_that_cannot_be_attacked() -> None:
    inputs, labels = torch.full((1, *SHAPE), 0.5), torch.tensor([0])
    with pytest.raises(BrokenContract, match="names no second class"):
        deepfool(Linear(0, 1), inputs, labels)
    with pytest.raises(InvalidInput, match="gives no gradient"):
        deepfool(lambda x: Linear(0, 2)(x.detach()), inputs, labels)
    with pytest.raises(InvalidInput, match="gives no gradient"):
        deepfool(lambda x: Linear(0, 2)(x).detach(), inputs, labels)
