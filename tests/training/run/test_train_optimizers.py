"""Update rules against the formulas of the sources; learning rates; memory that can be moved."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from epsball.training import TrainSettings
from epsball.training.setup.optimizers import (
    build_optimizer,
    learning_rate,
    optimizer_tensors,
    restore_optimizer,
)
from epsball.training.setup.settings import OptimizerName

GRADIENTS = (0.3, -2.0, 1e-4, 0.7)
EVERY: tuple[OptimizerName, ...] = ("sgd", "rmsprop", "adam")


class OneWeight(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([1.0], dtype=torch.float64))

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs * self.weight


def path(settings: TrainSettings) -> list[float]:
    """The weight after each of four given gradients."""
    model = OneWeight()
    optimizer = build_optimizer(model, settings)
    places = []
    for gradient in GRADIENTS:
        model.weight.grad = torch.tensor([gradient], dtype=torch.float64)
        optimizer.step()
        places.append(model.weight.item())
    return places


def test_rmsprop_is_the_one_the_source_writes_out() -> None:
    weight, mean_square, expected = 1.0, 0.0, []
    for gradient in GRADIENTS:
        mean_square = 0.9 * mean_square + 0.1 * gradient**2
        weight -= 0.01 * gradient / (math.sqrt(mean_square) + 1e-7)
        expected.append(weight)
    assert path(TrainSettings(optimizer="rmsprop", lr=0.01)) == pytest.approx(expected)


def test_sgd_has_keras_momentum() -> None:
    weight, velocity, expected = 1.0, 0.0, []
    for gradient in GRADIENTS:
        velocity = 0.9 * velocity - 0.1 * gradient
        weight += velocity
        expected.append(weight)
    assert path(TrainSettings(optimizer="sgd", lr=0.1, momentum=0.9)) == pytest.approx(expected)


def test_a_frozen_weight_is_left_out() -> None:
    model = nn.Linear(2, 2)
    model.bias.requires_grad_(False)
    groups = build_optimizer(model, TrainSettings()).param_groups
    assert [id(weight) for group in groups for weight in group["params"]] == [id(model.weight)]


@given(update=st.integers(0, 10_000), decay=st.floats(0, 1e-2))
def test_decay_is_keras_per_update(update: int, decay: float) -> None:
    settings = TrainSettings(lr=0.1, decay=decay)
    expected = 0.1 / (1 + decay * update)
    assert learning_rate(settings, update, 10_001) == pytest.approx(expected)


@pytest.mark.parametrize("schedule", ["cosine", "one-cycle"])
def test_schedules_end_near_zero_and_reach_the_full_rate_once(schedule: str) -> None:
    settings = TrainSettings(lr=0.1, schedule=schedule)
    rates = [learning_rate(settings, update, 1000) for update in range(1000)]
    assert max(rates) == pytest.approx(0.1, rel=0.01)
    assert 0 <= rates[-1] < 0.001
    top = rates.index(max(rates))
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert top == {"cosine": 0, "one-cycle": 300}[schedule]


@pytest.mark.parametrize("name", EVERY)
def test_memory_moves_to_a_fresh_optimizer(name: OptimizerName) -> None:
    settings = TrainSettings(optimizer=name, lr=0.1, momentum=0.0 if name == "adam" else 0.9)
    first, second = OneWeight(), OneWeight()
    one, other = build_optimizer(first, settings), build_optimizer(second, settings)
    for gradient in GRADIENTS:
        first.weight.grad = torch.tensor([gradient], dtype=torch.float64)
        one.step()
    second.load_state_dict(first.state_dict())
    restore_optimizer(other, optimizer_tensors(one))
    for model, optimizer in ((first, one), (second, other)):
        model.weight.grad = torch.tensor([0.25], dtype=torch.float64)
        optimizer.step()
    assert first.weight.item() == second.weight.item()
