"""EAD on models whose nearest borders in l1 are known."""

from functools import partial

import pytest
import torch
from tests.attacks import sparsest
from tests.attacks.borders import QueryCounter, curved, held_by_the_box, nearest_border
from torch import Tensor, nn

from epsball.attacks.nearest.ead import ead
from epsball.geometry import size
from epsball.testing.problems import Problem, linear_problem

short = partial(ead, searches=5, steps=40)


@pytest.mark.parametrize(("classes", "seed"), [(2, 0), (2, 1), (3, 2), (10, 3)])
def test_finds_the_nearest_border_of_linear_classes(classes: int, seed: int) -> None:
    model, inputs, labels = linear_problem(seed, classes)
    adversarial = ead(model, inputs, labels)
    assert (model(adversarial).argmax(1) != labels).all()
    ratio = size(adversarial - inputs, "l1") / nearest_border(model, inputs, labels, "l1")
    assert (ratio > 0.9999).all()
    assert (ratio <= 1.05).all()


def test_the_box_is_no_obstacle() -> None:
    """Where the steepest entries stand at a wall, the next ones are taken."""
    model, inputs, labels = held_by_the_box()
    adversarial = ead(model, inputs, labels)
    assert (model(adversarial).argmax(1) != labels).all()
    assert (size(adversarial - inputs, "l1") <= 1.05 * model.distance(inputs, labels, "l1")).all()


@pytest.mark.parametrize("factor", [pytest.param(1e-4, marks=pytest.mark.slow), 1e4])
def test_the_scale_of_scores_is_no_obstacle(factor: float) -> None:
    model, inputs, labels = linear_problem(1, 3)
    adversarial = ead(lambda x: factor * model(x), inputs, labels)
    ratio = size(adversarial - inputs, "l1") / nearest_border(model, inputs, labels, "l1")
    assert (model(adversarial).argmax(1) != labels).all()
    assert (ratio <= 1.05).all()


def test_curved_borders_are_crossed() -> None:
    p, labels, wrong = curved(0)
    result = short(p.model, p.inputs, labels)
    assert (p.model(result).argmax(1) != labels).all()
    assert torch.equal(result[wrong], p.inputs[wrong])


def test_beta_trades_few_large_changes_for_many_small_ones() -> None:
    model, inputs, labels = linear_problem(0, 2)
    few, many = (short(model, inputs, labels, beta=beta) - inputs for beta in (10.0, 0.01))
    assert (size(few, "l0") < size(many, "l0")).all()
    assert (size(few, "l1") < size(many, "l1")).all()
    assert (size(few, "l2") > size(many, "l2")).all()


class Gate(nn.Module):
    """A score that starts flat: a slope at the clean image says little of the way."""

    def forward(self, inputs: Tensor) -> Tensor:
        bright = inputs.flatten(1)[:, 0]
        return torch.stack((torch.full_like(bright, 0.5), bright**6), dim=1)


def test_c_grows_until_something_is_found() -> None:
    inputs, labels = torch.full((1, 1, 1, 2), 0.4), torch.tensor([0])
    border = 0.5 ** (1 / 6) - 0.4
    result = size(ead(Gate(), inputs, labels, initial_c=0.1) - inputs, "l1")
    assert border <= result.item() <= 1.02 * border
    assert torch.equal(ead(Gate(), inputs, labels, initial_c=0.1, searches=1), inputs)


def test_a_c_that_is_too_large_still_ends_at_the_border() -> None:
    """Beyond the border the hinge is flat, and shrinkage leads back."""
    model, inputs, labels = linear_problem(0, 2)
    adversarial = ead(model, inputs, labels, searches=1, initial_c=2.0, step_size=0.005, halvings=0)
    ratio = size(adversarial - inputs, "l1") / nearest_border(model, inputs, labels, "l1")
    assert (ratio < 1.1).all()


def test_momentum_carries_far_in_few_small_steps() -> None:
    """Without it, shrinking steps of at most 0.0025 would add up to less than 0.2."""
    inputs, labels = torch.tensor([[[[0.75, 0.25]]]]), torch.tensor([0])
    adversarial = ead(nn.Flatten(), inputs, labels, searches=1, initial_c=1.5, step_size=0.005)
    assert (adversarial.flatten(1).argmax(1) == 1).all()


def test_halving_draws_results_nearer() -> None:
    model, inputs, labels = linear_problem(2, 2)
    near, far = (
        size(short(model, inputs, labels, halvings=h, searches=2) - inputs, "l1") for h in (8, 0)
    )
    assert (near <= far).all()
    assert near.sum() < 0.99 * far.sum()


def test_passes_are_what_the_knobs_say() -> None:
    p = Problem(0)
    labels = p.model(p.inputs).argmax(1)
    counting = QueryCounter(p.model, len(labels))
    adversarial = ead(counting, p.inputs, labels, searches=3, steps=10, halvings=4)
    result = (adversarial != p.inputs).flatten(1).any(1)
    assert (counting.forwards == 2 + 3 * (10 + 1) + 4 * result).all()


@pytest.mark.slow
def test_nearest_of_all_seen() -> None:
    sparsest.check_nearest_of_all_seen(short, "l1")


def test_bad_input() -> None:
    sparsest.check_bad_input(ead, beta=0.0, searches=0, halvings=-1, initial_c=0.0, step_size=0.0)
