"""Carlini and Wagner's attack on models whose nearest borders are known."""

from functools import partial

import pytest
import torch
from tests.attacks import sparsest
from tests.attacks.borders import ROUNDING, QueryCounter, curved, held_by_the_box, nearest_border
from tests.attacks.sparsest import far_problem
from torch import Tensor

from epsball.attacks.nearest.cw import cw
from epsball.attacks.nearest.hyperplane import step_to_plane
from epsball.errors import InvalidInput, UnsupportedNorm
from epsball.geometry import size
from epsball.testing.problems import Problem, linear_problem

short = partial(cw, searches=4, steps=30)


@pytest.mark.parametrize("seed", range(4))
def test_finds_the_border_of_a_linear_model(seed: int) -> None:
    model, inputs, labels = linear_problem(seed, 2)
    adversarial = cw(model, inputs, labels)
    assert (model(adversarial).argmax(1) != labels).all()
    result, true = size(adversarial - inputs, "l2"), nearest_border(model, inputs, labels, "l2")
    assert (result > 0.9999 * true).all()
    assert (result <= 1.02 * true + ROUNDING).all()


@pytest.mark.parametrize("seed", range(3))
def test_walls_of_the_box(seed: int) -> None:
    model, inputs, labels = far_problem(seed)
    planes, logits = model.weight.detach(), model(inputs).detach()
    slope = (planes[1 - labels] - planes[labels]).view_as(inputs)
    gap = logits.gather(1, labels[:, None]) - logits.gather(1, 1 - labels[:, None])
    true = size(step_to_plane(inputs, slope, gap[:, 0], "l2"), "l2")
    adversarial = cw(model, inputs, labels)
    assert (model(adversarial).argmax(1) != labels).all()
    assert (size(adversarial - inputs, "l2") <= 1.02 * true).all()
    assert adversarial.min() >= 0
    assert adversarial.max() <= 1


def test_black_and_white_pixels_move_as_well() -> None:
    """Where the source's tanh has no slope."""
    model, inputs, labels = held_by_the_box()
    assert ((inputs == 0) | (inputs == 1)).all()
    adversarial = cw(model, inputs, labels)
    assert (model(adversarial).argmax(1) != labels).all()
    assert (size(adversarial - inputs, "l2") <= 1.02 * model.distance(inputs, labels, "l2")).all()


@pytest.mark.parametrize("seed", range(2))
def test_curved_borders(seed: int) -> None:
    p, labels, wrong = curved(seed)
    adversarial = cw(p.model, p.inputs, labels)
    assert (p.model(adversarial).argmax(1) != labels).all()
    assert torch.equal(adversarial[wrong], p.inputs[wrong])
    assert (adversarial != p.inputs).flatten(1).any(1)[~wrong].all()


def test_the_constant_is_searched_for() -> None:
    """One that is too small finds nothing; it is raised until something is found."""
    model, inputs, labels = linear_problem(0, 2)
    one, many = (cw(model, inputs, labels, constant=1e-4, searches=searches) for searches in (1, 7))
    assert torch.equal(one, inputs)
    assert (model(many).argmax(1) != labels).all()


def test_a_constant_that_is_too_large_is_halved() -> None:
    p, labels, _ = curved(1)
    one, many = (
        size(cw(p.model, p.inputs, labels, constant=1e3, searches=n) - p.inputs, "l2").sum()
        for n in (1, 8)
    )
    assert many < 0.99 * one


@pytest.mark.parametrize("confidence", [0.5, 2.0])
def test_confidence_is_the_lead_that_comes_back(confidence: float) -> None:
    model, inputs, labels = linear_problem(1, 2)
    scores = model(cw(model, inputs, labels, confidence=confidence)).detach()
    lead = scores.gather(1, 1 - labels[:, None]) - scores.gather(1, labels[:, None])
    assert (lead >= confidence).all()
    assert (lead <= 1.1 * confidence).all()
    targets = 1 - labels
    aimed = model(cw(model, inputs, labels, targets=targets, confidence=confidence)).detach()
    assert (
        aimed.gather(1, targets[:, None]) - aimed.gather(1, labels[:, None]) >= confidence
    ).all()


def test_confidence_that_cannot_be_had() -> None:
    model, inputs, labels = linear_problem(1, 2)
    assert torch.equal(short(model, inputs, labels, confidence=1e3), inputs)


def test_drawing_back_helps() -> None:
    p, labels, wrong = curved(0)
    rough, neat = (
        size(short(p.model, p.inputs, labels, halvings=n) - p.inputs, "l2") for n in (0, 6)
    )
    assert (neat <= rough).all()
    assert neat[~wrong].sum() < 0.999 * rough[~wrong].sum()


def test_passes_are_what_the_knobs_say() -> None:
    p = Problem(0)
    labels = p.model(p.inputs).argmax(1)
    counting = QueryCounter(p.model, len(labels))
    cw(counting, p.inputs, labels, searches=3, steps=10, halvings=4, abort_early=False)
    # the clean image once; 9 further points a search and its last; the way back
    assert (counting.forwards == 1 + 3 * (9 + 1) + 4).all()


@pytest.mark.slow
def test_giving_up_saves_passes() -> None:
    model, inputs, labels = linear_problem(0, 2)
    spent = []
    for abort_early in (False, True):
        counting = QueryCounter(model, len(inputs))
        adversarial = cw(counting, inputs, labels, steps=400, abort_early=abort_early)
        assert (model(adversarial).argmax(1) != labels).all()
        spent.append(int(counting.forwards.sum()))
    assert spent[1] < 0.9 * spent[0]


@pytest.mark.parametrize("value", [0.0, torch.nan])
def test_without_slope_the_clean_image_comes_back(value: float) -> None:
    def flat(inputs: Tensor) -> Tensor:
        return (value * inputs.flatten(1))[:, :3] + torch.tensor([1.0, 0.0, 0.0])

    inputs = torch.rand((2, 1, 3, 4), generator=torch.Generator().manual_seed(0))
    assert torch.equal(short(flat, inputs, torch.tensor([0, 0])), inputs)


def test_bad_input() -> None:
    sparsest.check_bad_input(
        cw, searches=0, constant=0.0, confidence=-1.0, halvings=-1, step_size=0.0
    )
    model, inputs, labels = linear_problem(0, 2)
    with pytest.raises(UnsupportedNorm, match="cw: norm must be one of l2; got 'l1'"):
        cw(model, inputs, labels, norm="l1")
    with pytest.raises(InvalidInput, match="cw: constant must be > 0, got -1.0"):
        cw(model, inputs, labels, constant=-1.0)
