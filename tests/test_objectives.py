"""Objectives: closed forms, gradients, and what counts as won."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from epsball.errors import InvalidInput
from epsball.objectives import (
    OBJECTIVES,
    cross_entropy,
    hinge,
    is_adversarial,
    margin,
    named_objective,
)
from epsball.rejecting import (
    HINGES,
    against_rejection,
    machine_hinge,
    machines_hinge,
    probabilities,
)

LOGITS = torch.tensor([[2.0, 5.0, 1.0], [4.0, 0.0, -1.0]])
LABELS = torch.tensor([0, 0])


def test_closed_forms() -> None:
    log_sum = torch.logsumexp(LOGITS, 1)
    assert torch.allclose(cross_entropy(LOGITS, LABELS), log_sum - LOGITS[:, 0])
    assert margin(LOGITS, LABELS).tolist() == [3, -4]
    assert hinge(LOGITS, LABELS).tolist() == [1, -4]
    assert hinge(LOGITS, LABELS, confidence=0.0).tolist() == [0, -4]


@pytest.mark.parametrize("name", OBJECTIVES | HINGES)
def test_gradients_match_finite_differences(name: str) -> None:
    logits = torch.randn((4, 5), generator=torch.Generator().manual_seed(0)).double()
    labels = logits.topk(2, dim=1).indices[:, 1]  # dlr leaves out a part for lower classes
    assert torch.autograd.gradcheck(
        lambda z: named_objective(name)(z, labels), logits.requires_grad_()
    )


@given(seed=st.integers(0, 99), k=st.integers(2, 12))
def test_margin_is_positive_exactly_when_the_label_is_not_first(seed: int, k: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn((8, k), generator=generator)
    labels = torch.randint(k, (8,), generator=generator)
    assert torch.equal(margin(logits, labels) > 0, logits.argmax(1) != labels)
    assert torch.equal(is_adversarial(logits, labels), logits.argmax(1) != labels)


def test_margin_keeps_its_gradient_where_softmax_saturates() -> None:
    logits = torch.tensor([[200.0, 0.0]], requires_grad=True)
    (saturated,) = torch.autograd.grad(cross_entropy(logits, torch.tensor([0])).sum(), logits)
    assert saturated.abs().max() == 0
    (alive,) = torch.autograd.grad(margin(logits, torch.tensor([0])).sum(), logits)
    assert alive.tolist() == [[-1.0, 1.0]]


def test_won() -> None:
    logits = torch.tensor([[0.0, 1.0, 5.0], [3.0, 1.0, 0.0], [0.0, 4.0, 1.0]])
    labels = torch.tensor([0, 0, 0])
    assert is_adversarial(logits, labels).tolist() == [True, False, True]
    # two classes and a reject column: being rejected is no win
    assert is_adversarial(logits, labels, classes=2).tolist() == [False, False, True]
    targets = torch.tensor([1, 1, 1])
    assert is_adversarial(logits, labels, targets).tolist() == [False, False, True]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_scores_that_are_not_finite_are_no_win(bad: float) -> None:
    logits = torch.tensor([[0.0, bad]])
    assert not is_adversarial(logits, torch.tensor([0])).any()


@given(seed=st.integers(0, 99), k=st.integers(2, 8))
def test_the_margin_past_a_rejection_is_positive_exactly_where_won(seed: int, k: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn((8, k + 1), generator=generator)
    labels = torch.randint(k, (8,), generator=generator)
    lead = margin(against_rejection(scores, labels, k), labels)
    assert torch.equal(lead > 0, is_adversarial(scores, labels, classes=k))
    own = torch.maximum(scores[:, k], scores.gather(1, labels[:, None])[:, 0])
    others = scores[:, :k].scatter(1, labels[:, None], -torch.inf)
    assert torch.equal(lead, others.amax(1) - own)
    targets = (labels + 1) % k
    won = is_adversarial(scores, labels, targets, classes=k)
    assert torch.equal(-margin(scores, targets) > 0, won)


def test_without_a_reject_column_scores_stay_as_they_are() -> None:
    assert against_rejection(LOGITS, LABELS, 3) is LOGITS


def test_the_hinges_of_the_machines() -> None:
    machines = torch.tensor([[2.0, -3.0, 0.5]])
    signs = torch.tensor([[-1.0, -1.0, 1.0]])
    expected = (1 - signs * machines).clamp_min(0).sum(1)
    assert torch.equal(machines_hinge(machines, torch.tensor([2])), expected)
    assert machine_hinge(machines, torch.tensor([2])).tolist() == [0.5]


def test_probabilities() -> None:
    odds = torch.tensor([[0.0, 2.0]])
    assert torch.equal(probabilities(odds, "log-odds"), odds.sigmoid())
    assert torch.equal(probabilities(odds), odds.softmax(1))


def test_named() -> None:
    assert named_objective("margin") is margin
    assert named_objective(hinge) is hinge
    with pytest.raises(InvalidInput, match="unknown objective 'margn': did you mean 'margin'"):
        named_objective("margn")
