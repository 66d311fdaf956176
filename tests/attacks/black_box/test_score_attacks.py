"""What square and spsa promise alike: both read scores alone."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.attacks.asked import Asked, Blind, Never, Rounded, many_classes, seeded
from torch import Tensor

from epsball.attacks.black_box.spsa import spsa
from epsball.attacks.black_box.square import square
from epsball.geometry import size
from epsball.testing.problems import ROWS, Problem, linear_problem
from epsball.types import Norm

Attack = Callable[..., Tensor]
# attack, norm, and how far beyond the border of a linear model it reaches it: planes of random
# numbers have nothing of squares; to be as near in l2, every pixel's share of the length would have
# to be its own
CASES: list[tuple[Attack, Norm, float]] = [
    (square, "linf", 1.3),
    (square, "l2", 1.6),
    (spsa, "linf", 1.1),
    (spsa, "l2", 1.1),
]
alike = pytest.mark.parametrize(
    ("attack", "norm"), [pytest.param(a, n, id=f"{a.__name__}-{n}") for a, n, _ in CASES]
)
# a ball in which every image of a small linear model can be fooled
EPS: dict[Norm, float] = {"linf": 0.2, "l2": 0.8}


def run(attack: Attack, *args: Any, norm: Norm, **more: Any) -> Tensor:
    return attack(*args, norm=norm, generator=seeded(), **{"eps": EPS[norm]} | more)


@pytest.mark.parametrize(("attack", "norm", "reach"), CASES)
def test_linear_oracle(attack: Attack, norm: Norm, reach: float) -> None:
    model, inputs, labels = linear_problem(0, classes=2)
    for row, distance in enumerate(model.distance(inputs, labels, norm).tolist()):
        one, label = inputs[row : row + 1], labels[row : row + 1]
        for factor, queries, wins in ((0.98, 200, False), (reach, 1500, True)):
            eps = factor * distance
            attacked = run(attack, model, one, label, norm=norm, eps=eps, queries=queries)
            assert bool(model(attacked).argmax(1) != label) == wins


@alike
@pytest.mark.parametrize("classes", [2, 1000])
def test_any_number_of_classes(attack: Attack, norm: Norm, classes: int) -> None:
    model, inputs, labels = many_classes(classes)
    attacked = run(attack, model, inputs, labels, norm=norm, queries=400)
    assert (model(attacked).argmax(1) != labels).all()
    near = model(inputs).topk(2).indices[:, 1]
    attacked = run(attack, model, inputs, labels, norm=norm, queries=1000, targets=near)
    assert (model(attacked).argmax(1) == near).all()


@alike
def test_needs_no_gradient(attack: Attack, norm: Norm) -> None:
    model, inputs, labels = linear_problem(0, classes=3)
    blind = Blind(model)
    attacked = run(attack, blind, inputs, labels, norm=norm, queries=500)
    assert (blind(attacked).argmax(1) != labels).all()


@alike
def test_beats_a_model_that_rounds_its_input(attack: Attack, norm: Norm) -> None:
    model, inputs, _ = linear_problem(0, classes=2)
    masked = Rounded(model, 16)
    labels = masked(inputs).argmax(1)
    attacked = run(attack, masked, inputs, labels, norm=norm, queries=1000)
    assert (masked(attacked).argmax(1) != labels).all()


@alike
def test_returns_the_strongest_point_seen(attack: Attack, norm: Norm) -> None:
    p, model = Problem(0), Asked(Never(), ROWS)
    labels = torch.zeros(ROWS, dtype=torch.int64)
    attacked = run(attack, model, p.inputs, labels, norm=norm, eps=0.1, queries=60)
    assert (size(attacked - p.inputs, norm) <= 0.1 + 1e-6).all()
    for row in range(ROWS):
        shown = torch.cat([points[rows == row] for rows, points in model.shown])
        # the darker the image, the less sure the model
        assert attacked[row].mean() <= shown.flatten(1).mean(1).min() + 1e-6
        assert attacked[row].mean() < p.inputs[row].mean()
