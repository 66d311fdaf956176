"""sigma-zero on models of which it is known how few entries must change."""

from functools import partial

import pytest
import torch
from tests.attacks import sparsest
from tests.attacks.borders import QueryCounter, curved
from tests.attacks.sparsest import changed, far_problem, fewest

from epsball.attacks.nearest.sigma_zero import _count_slope, _Rule, sigma_zero
from epsball.testing.problems import Problem

short = partial(sigma_zero, steps=60)


@pytest.mark.parametrize("pruned", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_needs_hardly_more_entries_than_needed(seed: int, pruned: bool) -> None:
    model, inputs, labels = far_problem(seed)
    adversarial = sigma_zero(model, inputs, labels, pruned=pruned)
    assert (model(adversarial).argmax(1) != labels).all()
    best, result = fewest(model, inputs, labels), changed(adversarial, inputs)
    assert (result >= best).all()
    assert (result <= best + 1).all()
    assert (result == best).float().mean() >= 0.75


def test_curved_borders_are_crossed_by_few_entries() -> None:
    p, labels, wrong = curved(0)
    result = short(p.model, p.inputs, labels)
    assert (p.model(result).argmax(1) != labels).all()
    assert torch.equal(result[wrong], p.inputs[wrong])
    assert changed(result, p.inputs).max() < 12  # of 24


def test_pruning_helps_where_steps_are_few() -> None:
    p, labels, _ = curved(1)
    rough, neat = (
        changed(sigma_zero(p.model, p.inputs, labels, steps=6, pruned=pruned), p.inputs)
        for pruned in (False, True)
    )
    assert (neat <= rough).all()
    assert neat.sum() < rough.sum()


def test_threshold_adapts_to_each_image() -> None:
    """A threshold that stays at its height keeps all changes away."""
    p, labels, _ = curved(0)
    fixed = short(p.model, p.inputs, labels, threshold=1.0, adapt=0.0)
    assert torch.equal(fixed, p.inputs)
    assert not torch.equal(short(p.model, p.inputs, labels, threshold=1.0), p.inputs)


def test_slope_of_the_smooth_count() -> None:
    delta = torch.linspace(-0.5, 0.5, 12, dtype=torch.float64).view(2, 1, 2, 3).requires_grad_()
    count = (delta**2 / (delta**2 + 0.01)).flatten(1).mean(1)
    (known,) = torch.autograd.grad(count.sum(), delta)
    assert torch.allclose(_count_slope(delta.detach(), 0.01), known)


def test_steps_fall_to_a_tenth() -> None:
    rule = _Rule(steps=10, step_size=2.0, sigma=1e-3, threshold=0.3, adapt=0.01)
    lengths = [rule.length(number) for number in range(11)]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] == pytest.approx(2.0)
    assert lengths[5] == pytest.approx(1.1)
    assert lengths[10] == pytest.approx(0.2)


def test_passes_are_what_the_knobs_say() -> None:
    p = Problem(0)
    labels = p.model(p.inputs).argmax(1)
    counting = QueryCounter(p.model, len(labels))
    sigma_zero(counting, p.inputs, labels, steps=10, pruned=False)
    assert (counting.forwards == 1 + 10 + 1).all()


def test_nearest_of_all_seen() -> None:
    sparsest.check_nearest_of_all_seen(short, "l0")


def test_bad_input() -> None:
    sparsest.check_bad_input(sigma_zero, sigma=0.0, threshold=-0.1, adapt=-0.1, step_size=0.0)
