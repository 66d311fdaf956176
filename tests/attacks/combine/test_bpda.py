"""A step keeps its values, bit for bit, and takes the gradient of another."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from epsball.attacks import pgd
from epsball.attacks.combine.bpda import bpda
from epsball.errors import BrokenContract
from epsball.testing.problems import linear_problem


def images(seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand((3, 2, 4, 5), generator=generator, dtype=torch.float64)


def coarse(inputs: Tensor) -> Tensor:
    """Round to three greys, out of torch's sight."""
    return torch.from_numpy(np.rint(inputs.numpy() * 2) / 2)


def slope(step: Callable[[Tensor], Tensor], inputs: Tensor, weights: Tensor) -> Tensor:
    point = inputs.clone().requires_grad_()
    (result,) = torch.autograd.grad((weights * step(point)).sum(), point)
    return result


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 100))
def test_values_are_those_of_forward_to_the_last_bit(seed: int) -> None:
    inputs = images(seed)
    for one in (inputs, inputs.clone().requires_grad_()):
        assert torch.equal(bpda(coarse)(one).detach(), coarse(inputs))
        assert torch.equal(bpda(coarse, torch.sin)(one).detach(), coarse(inputs))


def test_gradient_goes_straight_through() -> None:
    weights = images(1)
    assert torch.equal(slope(bpda(coarse), images(), weights), weights)


def test_gradient_is_that_of_backward_at_the_image() -> None:
    weights = images(1)
    result = slope(bpda(coarse, torch.sin), images(), weights)
    assert torch.allclose(result, weights * images().cos())


def test_what_follows_is_differentiated_at_the_values_of_forward() -> None:
    result = slope(lambda x: bpda(coarse)(x) ** 2, images(), torch.ones_like(images()))
    assert torch.equal(result, 2 * coarse(images()))


def test_same_function_twice_has_its_own_derivative() -> None:
    step = bpda(torch.tanh, torch.tanh)
    assert torch.autograd.gradcheck(step, (images().requires_grad_(),))


def test_backward_is_not_run_where_no_gradient_is_wanted() -> None:
    def refuse(_: Tensor) -> Tensor:
        raise AssertionError

    step = bpda(coarse, refuse)
    step(images())
    with torch.no_grad():
        step(images().requires_grad_())
    with pytest.raises(AssertionError):
        step(images().requires_grad_())


def test_forward_is_given_images_without_gradient() -> None:
    seen = []

    def look(inputs: Tensor) -> Tensor:
        with torch.enable_grad():
            seen.append((2 * inputs).requires_grad)
        return inputs

    bpda(look)(images().requires_grad_())
    assert seen == [False]


def test_shape_may_change_when_backward_changes_it_likewise() -> None:
    inputs = images().requires_grad_()

    def halve(pixels: Tensor) -> Tensor:
        return coarse(pixels[:, :, ::2])

    assert bpda(halve, lambda x: x[:, :, ::2])(inputs).shape == (3, 2, 2, 5)
    with pytest.raises(BrokenContract, match=r"into \(3, 2, 2, 5\).*into \(3, 2, 4, 5\): give a"):
        bpda(halve)(inputs)


def test_forward_may_answer_in_another_precision() -> None:
    inputs = images().float().requires_grad_()
    result = bpda(lambda x: coarse(x.double()))(inputs)
    (value,) = torch.autograd.grad(result.sum(), inputs)
    assert result.dtype == torch.float64
    assert value.dtype == torch.float32
    assert (value == 1).all()


def test_plain_pgd_stands_still_where_pgd_through_bpda_wins() -> None:
    model, inputs, labels = linear_problem(0, 2)

    def rounded(x: Tensor) -> Tensor:
        return (x * 63).round() / 63

    inputs = rounded(inputs)  # the middle of a grey: small steps are rounded away
    labels = model(inputs).argmax(1)
    eps = 1.3 * float(model.distance(inputs, labels, "linf").max()) + 1 / 63
    robust = []
    for step in (rounded, bpda(rounded)):
        adversarial = pgd(
            nn.Sequential(_Lambda(step), model), inputs, labels, eps=eps, random_start=False
        )
        robust.append(int((model(rounded(adversarial)).argmax(1) == labels).sum()))
    assert robust == [len(labels), 0]


class _Lambda(nn.Module):
    def __init__(self, step: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.step = step

    def forward(self, inputs: Tensor) -> Tensor:
        return self.step(inputs)
