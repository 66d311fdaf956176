"""DDN on models whose nearest borders are known."""

from functools import partial

import pytest
import torch
from tests.attacks import sparsest
from tests.attacks.borders import ROUNDING, QueryCounter, curved, held_by_the_box, nearest_border
from tests.attacks.sparsest import far_problem
from torch import Tensor, nn

from epsball.attacks.nearest.ddn import ddn
from epsball.attacks.nearest.hyperplane import step_to_plane
from epsball.errors import InvalidInput, UnsupportedNorm
from epsball.geometry import size
from epsball.testing.problems import SHAPE, Linear, Problem, linear_problem

short = partial(ddn, steps=40)


@pytest.mark.parametrize("seed", range(4))
def test_finds_the_border_of_a_linear_model(seed: int) -> None:
    """Much nearer than the 5 % by which a radius would swing whose changes never fall."""
    model, inputs, labels = linear_problem(seed, 2)
    adversarial = ddn(model, inputs, labels)
    assert (model(adversarial).argmax(1) != labels).all()
    result, true = size(adversarial - inputs, "l2"), nearest_border(model, inputs, labels, "l2")
    assert (result > 0.9999 * true).all()
    assert (result <= 1.002 * true + ROUNDING).all()


@pytest.mark.parametrize(
    "classes",
    [3, pytest.param(10, marks=pytest.mark.slow), pytest.param(1000, marks=pytest.mark.slow)],
)
def test_finds_the_nearest_of_many_borders_mostly(classes: int) -> None:
    ratios = []
    for seed in range(3):
        model, inputs, labels = linear_problem(seed, classes)
        adversarial = ddn(model, inputs, labels)
        assert (model(adversarial).argmax(1) != labels).all()
        true = nearest_border(model, inputs, labels, "l2")
        ratios.append((size(adversarial - inputs, "l2") - ROUNDING) / true)
    assert torch.cat(ratios).quantile(0.8) <= 1.02
    assert torch.cat(ratios).max() < 1.5


@pytest.mark.parametrize("seed", range(3))
def test_walls_of_the_box(seed: int) -> None:
    model, inputs, labels = far_problem(seed)
    planes, logits = model.weight.detach(), model(inputs).detach()
    slope = (planes[1 - labels] - planes[labels]).view_as(inputs)
    gap = logits.gather(1, labels[:, None]) - logits.gather(1, 1 - labels[:, None])
    true = size(step_to_plane(inputs, slope, gap[:, 0], "l2"), "l2")
    adversarial = ddn(model, inputs, labels)
    assert (model(adversarial).argmax(1) != labels).all()
    assert (size(adversarial - inputs, "l2") <= 1.02 * true).all()
    assert adversarial.min() >= 0
    assert adversarial.max() <= 1


def test_images_held_by_the_box() -> None:
    model, inputs, labels = held_by_the_box()
    adversarial = ddn(model, inputs, labels)
    assert (model(adversarial).argmax(1) != labels).all()
    assert (size(adversarial - inputs, "l2") <= 1.02 * model.distance(inputs, labels, "l2")).all()


def test_more_steps_come_nearer() -> None:
    p, labels, wrong = curved(0)
    rough, fine = (ddn(p.model, p.inputs, labels, steps=steps) for steps in (5, 100))
    for result in (rough, fine):
        assert (p.model(result).argmax(1) != labels).all()
        assert torch.equal(result[wrong], p.inputs[wrong])
    assert size(fine - p.inputs, "l2").sum() < 0.99 * size(rough - p.inputs, "l2").sum()


def test_one_step_is_enough_for_a_linear_model() -> None:
    """The last point is scored, and the first one lies beyond the border."""
    model, inputs, labels = linear_problem(1, 2)
    adversarial = ddn(model, inputs, labels, steps=1)
    assert (model(adversarial).argmax(1) != labels).all()


def test_a_model_that_is_very_sure() -> None:
    """In float32 the cross-entropy of these scores has no gradient at all."""
    model, inputs, labels = linear_problem(2, 2)

    def sure(images: Tensor) -> Tensor:
        scores: Tensor = 1e4 * model(images)
        return scores

    here = inputs.clone().requires_grad_()
    loss = nn.functional.cross_entropy(sure(here), labels, reduction="sum")
    (slope,) = torch.autograd.grad(loss, here)
    assert (slope == 0).flatten(1).all(1).sum() >= 4
    result = size(ddn(sure, inputs, labels) - inputs, "l2")
    assert (result <= 1.002 * nearest_border(model, inputs, labels, "l2") + ROUNDING).all()


def test_passes_are_what_the_knobs_say() -> None:
    p = Problem(0)
    counting = QueryCounter(p.model, len(p.inputs))
    ddn(counting, p.inputs, p.model(p.inputs).argmax(1), steps=10)
    assert (counting.forwards == 10 + 1).all()


@pytest.mark.parametrize("value", [0.0, torch.nan])
def test_without_slope_the_clean_image_comes_back(value: float) -> None:
    def flat(inputs: Tensor) -> Tensor:
        return (value * inputs.flatten(1))[:, :3] + torch.tensor([1.0, 0.0, 0.0])

    inputs = torch.rand((2, 1, 3, 4), generator=torch.Generator().manual_seed(0))
    assert torch.equal(ddn(flat, inputs, torch.tensor([0, 0]), steps=5), inputs)


def test_bad_input() -> None:
    sparsest.check_bad_input(ddn, gamma=1.0, step_size=0.0)
    model, inputs, labels = linear_problem(0, 2)
    with pytest.raises(InvalidInput, match=r"ddn: gamma must be in \(0, 1\), got 0.0"):
        ddn(model, inputs, labels, gamma=0.0)
    with pytest.raises(UnsupportedNorm, match="ddn: norm must be one of l2; got 'l0'"):
        ddn(model, inputs, labels, norm="l0")


def test_a_tie_is_left() -> None:
    model, inputs = Linear(0, 3), torch.full((1, *SHAPE), 0.5)
    labels = torch.tensor([0])
    result = short(model, inputs, labels)
    assert (model(result).argmax(1) != labels).all()
    assert size(result - inputs, "l2") < 1e-3
