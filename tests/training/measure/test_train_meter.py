"""What is counted and compared while a model runs."""

import pytest
import torch
from torch import nn

from epsball.training.measure.meter import Meter


def test_the_meter_judges_only_the_first_pass_of_a_step() -> None:
    model = nn.Identity()
    right, wrong = torch.eye(3), torch.eye(3).flip(1)
    with Meter(model) as meter:
        for first in (right, wrong):
            meter.expect(torch.arange(3))
            with meter.aside():
                model(right)
            model(first)
            model(right)
    model(right)
    assert meter.accuracy == pytest.approx(4 / 6)  # the middle class is right when flipped, too


def test_the_meter_waits_for_the_images_it_is_told_of() -> None:
    model, right = nn.Identity(), torch.eye(3)
    with Meter(model) as meter:
        meter.expect(torch.arange(3), right)
        model(right.flip(1))
        assert meter.waits
        model(right)
        assert not meter.waits
    assert meter.accuracy == 1


def test_the_meter_counts_what_goes_back_and_not_what_only_could() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    images = torch.rand(5, 1, 2, 2, requires_grad=True)
    with Meter(model) as meter:
        model(images)
        with torch.no_grad():
            model(images)
        assert meter.gradient_evaluations == 0
        torch.autograd.backward(model(images).sum())
        assert meter.gradient_evaluations == 5
        loss = model(images).square().sum()
        (slope,) = torch.autograd.grad(loss, images, create_graph=True)
        torch.autograd.backward(slope.square().sum())
    assert meter.gradient_evaluations == 5 + 2 * 5
