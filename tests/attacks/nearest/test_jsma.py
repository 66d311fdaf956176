"""JSMA on models of which it is known which entries count."""

from functools import partial
from typing import Any

import pytest
import torch
from tests.attacks import sparsest
from tests.attacks.borders import QueryCounter, curved
from tests.attacks.sparsest import FIRST, GREY, Weighted, changed, far_problem, fewest

from epsball.attacks.nearest.jsma import jsma
from epsball.testing.problems import Problem, linear_problem

VARIANTS = [{}, {"pair": True}, {"saliency": "product"}, {"saliency": "product", "pair": True}]


@pytest.mark.parametrize("pair", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_needs_no_more_entries_than_needed(seed: int, pair: bool) -> None:
    model, inputs, labels = far_problem(seed)
    adversarial = jsma(model, inputs, labels, pair=pair)
    assert (model(adversarial).argmax(1) != labels).all()
    assert torch.equal(changed(adversarial, inputs), fewest(model, inputs, labels))


def test_a_pair_too_many_is_pruned() -> None:
    model, inputs, labels = far_problem(0)
    rough, neat = (
        changed(jsma(model, inputs, labels, pair=True, pruned=pruned), inputs)
        for pruned in (False, True)
    )
    assert (rough % 2 == 0).all()
    assert (rough - neat >= 0).all()
    assert (rough - neat == 1).any()


@pytest.mark.parametrize("knobs", VARIANTS)
@pytest.mark.parametrize("seed", range(2))
def test_curved_borders_are_crossed_by_few_entries(knobs: dict[str, Any], seed: int) -> None:
    p, labels, wrong = curved(seed)
    adversarial = jsma(p.model, p.inputs, labels, **knobs)
    fooled = p.model(adversarial).argmax(1) != labels
    assert fooled.float().mean() > 0.8
    assert torch.equal(adversarial[wrong | ~fooled], p.inputs[wrong | ~fooled])
    assert changed(adversarial, p.inputs).max() < 16  # of 24


@pytest.mark.parametrize("theta", [0.3, -0.3])
def test_one_way_means_one_way(theta: float) -> None:
    p, labels, _ = curved(2)
    delta = jsma(p.model, p.inputs, labels, theta=theta, both_ways=False) - p.inputs
    assert (delta * theta).min() >= 0
    assert (delta * theta).max() > 0


@pytest.mark.parametrize("knobs", VARIANTS)
@pytest.mark.parametrize("gamma", [0.05, 0.1])
def test_gamma_limits_the_share_of_changed_entries(knobs: dict[str, Any], gamma: float) -> None:
    p, labels, wrong = curved(3)
    counts = changed(jsma(p.model, p.inputs, labels, gamma=gamma, **knobs), p.inputs)
    assert counts.max() <= int(24 * gamma)
    free = changed(jsma(p.model, p.inputs, labels, **knobs), p.inputs)
    assert free.max() > int(24 * gamma)
    assert (counts[~wrong] == 0).any()


def test_more_candidates_find_fewer_entries() -> None:
    """The runner-up of the clean image is far, the last class is near."""
    model = Weighted(
        [[0.0, 0.0, 0.0, 0.0], [0.0, 0.1, 0.1, 0.1], [9.0, 0.0, 0.0, 0.0]], [1.0, 0.35, -4.6]
    )
    assert model(GREY).argsort(descending=True).tolist() == [[0, 1, 2]]
    one, two = (jsma(model, GREY, FIRST, candidates=c) for c in (1, 2))
    assert torch.equal(one, GREY)
    assert changed(two, GREY).item() == 1
    assert torch.equal(two, jsma(model, GREY, FIRST, candidates=10))


def test_small_steps_go_on_where_they_were() -> None:
    """With a small theta the best entry is changed again and again, not one entry after another."""
    model, inputs, labels = linear_problem(0, 2)
    adversarial = jsma(model, inputs, labels, theta=0.02)
    assert (model(adversarial).argmax(1) != labels).all()
    assert (changed(adversarial, inputs) == 1).all()


def test_at_the_limit_changed_entries_may_change_more() -> None:
    model, inputs, labels = linear_problem(0, 2)
    adversarial = jsma(model, inputs, labels, theta=0.02, gamma=1 / 24)
    assert (model(adversarial).argmax(1) != labels).all()


def test_where_nothing_helps_nothing_is_done() -> None:
    """Every entry that grows speaks for the label: one look, and the walk is over."""
    counting = QueryCounter(Weighted([[0.3, 0.2, 0.1, 0.4], [0.0] * 4], [0.0, 0.0]), 1)
    adversarial = jsma(counting, GREY, FIRST, both_ways=False)
    assert torch.equal(adversarial, GREY)
    assert counting.forwards.tolist() == [2]


def test_walls_end_a_walk() -> None:
    """Towards either wrong class two entries help, and then none is left."""
    counting = QueryCounter(sparsest.Stubborn(), 2)
    inputs = torch.full((2, 1, 3, 3), 0.5)
    jsma(counting, inputs, torch.zeros(2, dtype=torch.int64))
    assert (counting.forwards == 1 + 2 * 3).all()


def test_a_candidate_that_needs_more_is_given_up() -> None:
    """Class 1 takes one entry; class 2 would take three, and is given up before the first."""
    model = Weighted(
        [[0.0, 0.0, 0.0, 0.0], [2.0, 0.0, 0.0, 0.0], [0.0, 1.0, 1.0, 1.0]], [1.0, -0.1, -1.4]
    )
    counting = QueryCounter(model, 1)
    assert changed(jsma(counting, GREY, FIRST, pruned=False), GREY).item() == 1
    assert counting.forwards.tolist() == [1 + 2 + 1]


def test_an_image_that_is_fooled_costs_no_more() -> None:
    model, inputs, labels = far_problem(1)
    counting = QueryCounter(model, len(labels))
    adversarial = jsma(counting, inputs, labels, pruned=False)
    # one pass for the clean image, one before and one after each change
    assert torch.equal(counting.forwards, 2 + changed(adversarial, inputs))


def test_steps_are_a_limit() -> None:
    counting = QueryCounter(sparsest.Stubborn(), 2)
    inputs = torch.full((2, 1, 3, 3), 0.5)
    jsma(counting, inputs, torch.zeros(2, dtype=torch.int64), theta=0.1, steps=3, candidates=2)
    assert (counting.forwards == 1 + 2 * (3 + 1)).all()


def test_a_large_image_stays_in_memory() -> None:
    """A pair is looked for among few entries: all pairs of these would take 90 gigabytes."""
    inputs = torch.rand((2, 3, 224, 224), generator=torch.Generator().manual_seed(0))
    plane = torch.randn((2, inputs[0].numel()), generator=torch.Generator().manual_seed(1))
    logits = (inputs - 0.5).flatten(1) @ plane.T
    adversarial = jsma(
        lambda x: (x - 0.5).flatten(1) @ plane.T,
        inputs,
        logits.argmax(1),
        saliency="product",
        pair=True,
        steps=3,
    )
    assert changed(adversarial, inputs).max() <= 6


@pytest.mark.parametrize("knobs", VARIANTS)
def test_reaches_targets(knobs: dict[str, Any]) -> None:
    if "saliency" not in knobs:
        sparsest.check_reaches_targets(partial(jsma, **knobs))
    model, inputs, labels = linear_problem(1, 3)
    targets = (labels + 1) % 3
    assert (model(jsma(model, inputs, labels, targets=targets, **knobs)).argmax(1) == targets).all()


def test_a_thousand_classes() -> None:
    sparsest.check_a_thousand_classes(jsma)


def test_being_rejected_is_no_success() -> None:
    sparsest.check_rejected_is_no_success(jsma)


def test_wrong_ones_cost_one_pass() -> None:
    sparsest.check_wrong_ones_cost_one_pass(jsma)


def test_clean_where_nothing_is_found() -> None:
    sparsest.check_clean_where_nothing_is_found(jsma)


def test_nearest_of_all_seen() -> None:
    sparsest.check_nearest_of_all_seen(jsma, "l0")


@pytest.mark.parametrize("knobs", VARIANTS)
def test_pure(knobs: dict[str, Any]) -> None:
    sparsest.check_pure(partial(jsma, **knobs))


@pytest.mark.parametrize("knobs", VARIANTS)
def test_rows_alone(knobs: dict[str, Any]) -> None:
    sparsest.check_rows_alone(partial(jsma, **knobs))


def test_bad_input() -> None:
    sparsest.check_bad_input(jsma, theta=0.0, gamma=1.5, candidates=0, saliency="loudest")
    p = Problem(0)
    assert jsma(p.model, p.inputs[:1], p.labels[:1], theta=-1.0).shape == (1, 2, 3, 4)
