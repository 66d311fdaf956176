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

LOGITS = torch.tensor([[2.0, 5.0, 1.0], [4.0, 0.0, -1.0]])
LABELS = torch.tensor([0, 0])


def test_closed_forms() -> None:
    log_sum = torch.logsumexp(LOGITS, 1)
    assert torch.allclose(cross_entropy(LOGITS, LABELS), log_sum - LOGITS[:, 0])
    assert margin(LOGITS, LABELS).tolist() == [3, -4]
    assert hinge(LOGITS, LABELS).tolist() == [1, -4]
    assert hinge(LOGITS, LABELS, confidence=0.0).tolist() == [0, -4]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_gradients_match_finite_differences(name: str) -> None:
    logits = torch.randn((4, 5), generator=torch.Generator().manual_seed(0)).double()
    labels = logits.topk(2, dim=1).indices[:, 1]  # dlr leaves out a part for lower classes
    assert torch.autograd.gradcheck(lambda z: OBJECTIVES[name](z, labels), logits.requires_grad_())


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


def test_named() -> None:
    assert named_objective("margin") is margin
    assert named_objective(hinge) is hinge
    with pytest.raises(InvalidInput, match="unknown objective 'margn': did you mean 'margin'"):
        named_objective("margn")
