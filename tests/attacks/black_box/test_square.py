"""Square: what it asks and what it finds."""

from typing import Any

import pytest
import torch
from tests.attacks.asked import (
    Asked,
    Never,
    Rounded,
    rejecting,
    seeded,
    streams,
)
from torch import Tensor, nn

from epsball.attacks.black_box.square import NORMS, halvings, square
from epsball.errors import InvalidInput, UnsupportedNorm
from epsball.testing.problems import ROWS, SHAPE, Problem, linear_problem
from epsball.types import Norm, Search

BUDGETS = [1, 2, 7, 100]


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("queries", BUDGETS)
@pytest.mark.parametrize("targeted", [False, True])
def test_query_budget_is_spent_exactly(norm: Norm, queries: int, targeted: bool) -> None:
    p = Problem(0)
    labels = p.model(p.inputs).argmax(1)
    targets = (labels + 1) % 3 if targeted else None
    model = Asked(p.model, ROWS)
    adversarial = square(
        model,
        p.inputs,
        labels,
        eps=0.05,
        norm=norm,
        queries=queries,
        targets=targets,
        generator=seeded(),
    )
    answer = p.model(adversarial).argmax(1)
    fooled = answer != labels if targets is None else answer == targets
    assert model.asked.max() <= queries
    assert (model.asked[~fooled] == queries).all()
    assert (~fooled).any()


@pytest.mark.parametrize("norm", NORMS)
def test_fooled_images_are_left_alone(norm: Norm) -> None:
    p = Problem(0)
    labels = p.model(p.inputs).argmax(1)
    labels[:3] = (labels[:3] + 1) % 3  # wrong from the start
    model = Asked(p.model, ROWS)
    adversarial = square(
        model, p.inputs, labels, eps=0.2, norm=norm, queries=200, generator=seeded()
    )
    assert torch.equal(model.asked[:3], torch.ones(3, dtype=torch.int64))
    assert torch.equal(adversarial[:3], p.inputs[:3])
    for row, one in enumerate(model.asked.tolist()):
        last = [points[rows == row] for rows, points in model.shown if (rows == row).any()][-1]
        if one < 200:
            assert torch.equal(adversarial[row], last[0])
            assert p.model(last).argmax(1) != labels[row]  # and so it was asked about no more
    assert 1 < model.asked[3:].min() < 200


@pytest.mark.parametrize("norm", NORMS)
def test_an_image_draws_its_own_squares(norm: Norm) -> None:
    p = Problem(0)
    model, inputs = p.model.double(), p.inputs.double()
    labels = model(inputs).argmax(1)

    def run(rows: slice) -> Tensor:
        every = streams(ROWS)
        return square(
            model,
            inputs[rows],
            labels[rows],
            eps=0.1,
            norm=norm,
            queries=150,
            generator=every.rows(torch.arange(ROWS)[rows]),
        )

    whole = run(slice(None))
    assert torch.allclose(whole[5:8], run(slice(5, 8)), atol=1e-9)
    changed = (whole - inputs).sign()
    assert not torch.equal(changed[0], changed[1])


class Grey(nn.Module):
    """Is the surer of class 0 the further an image is from grey."""

    def forward(self, inputs: Tensor) -> Tensor:
        scores = torch.zeros(len(inputs), 2)
        scores[:, 0] = 1 + (inputs - 0.5).abs().flatten(1).mean(1)
        return scores


def test_begins_at_the_stripes_even_where_they_are_worse_than_the_image() -> None:
    inputs, labels = torch.full((1, 1, 8, 8), 0.5), torch.zeros(1, dtype=torch.int64)
    model = Asked(Grey(), 1)
    adversarial = square(model, inputs, labels, eps=0.25, queries=20, generator=seeded())
    assert torch.equal(adversarial, inputs)
    for _, points in model.shown[1:]:
        assert ((points - 0.5).abs() == 0.25).all()


@pytest.mark.parametrize("norm", NORMS)
def test_being_rejected_is_no_success(norm: Norm) -> None:
    model, inputs, labels = rejecting()
    adversarial = square(
        model,
        inputs,
        labels,
        eps=0.2 if norm == "linf" else 0.8,
        norm=norm,
        queries=300,
        generator=seeded(),
    )
    assert (model(adversarial).argmax(1) == 1 - labels).all()


class Hasty(Rounded):
    """Claims every second image to be fooled: what a search in low precision might do."""

    def forward(self, inputs: Tensor) -> Tensor:
        scores = super().forward(inputs)
        claims = (inputs.flatten(1).sum(1) * 1e4).long() % 2 == 0
        return torch.where(claims[:, None], scores.flip(1), scores)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("queries", [1, 2, 3, 7, 100, 600])
def test_confirmed_by_the_exact_model_within_the_budget(norm: Norm, queries: int) -> None:
    model, inputs, labels = linear_problem(1, classes=2)
    cheap, exact = Asked(Hasty(model, 256), 6), Asked(model, 6)
    adversarial = square(
        cheap,
        inputs,
        labels,
        eps=0.2 if norm == "linf" else 0.8,
        norm=norm,
        queries=queries,
        generator=seeded(),
        search=Search(confirm=exact, micro_batch=4),
    )
    assert (cheap.asked + exact.asked).max() <= queries
    assert all(len(points) <= 4 for _, points in cheap.shown + exact.shown)
    if queries == 600:
        assert (model(adversarial).argmax(1) != labels).all()


def test_ends_on_the_exact_model() -> None:
    inputs, labels = Problem(0).inputs, torch.zeros(ROWS, dtype=torch.int64)
    cheap, exact = Asked(Never(), ROWS), Asked(Never(), ROWS)
    square(cheap, inputs, labels, eps=0.1, queries=100, search=Search(confirm=exact))
    assert (cheap.asked == 90).all()
    assert (exact.asked == 10).all()


def test_schedule_is_the_references() -> None:
    at = [
        0,
        10,
        11,
        50,
        51,
        200,
        201,
        500,
        501,
        1000,
        1001,
        2000,
        2001,
        4000,
        4001,
        6000,
        6001,
        8000,
        8001,
        9999,
    ]
    assert [halvings(i, 10_000) for i in at] == [i // 2 for i in range(20)]
    # with fewer proposals the same shares of them
    assert [halvings(i // 10, 1000) for i in (0, 1000, 1010, 9990)] == [0, 4, 5, 9]


class Yielding(Never):
    """Likes every image less than the one before, whatever it shows."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def forward(self, inputs: Tensor) -> Tensor:
        self.asked += 1
        return torch.tensor([[2.0 - self.asked / 1000, 0.0]]).expand(len(inputs), 2)


@pytest.mark.parametrize(("rescale", "last"), [(True, 1), (False, 9**2)])
def test_squares_shrink_with_the_budget_unless_told_otherwise(rescale: bool, last: int) -> None:
    inputs, labels = torch.full((1, 1, 20, 20), 0.5), torch.zeros(1, dtype=torch.int64)
    model = Asked(Yielding(), 1)
    square(model, inputs, labels, eps=0.1, queries=60, rescale=rescale, generator=seeded())
    points = torch.cat([points for _, points in model.shown])
    changed = (points[1:] != points[:-1]).flatten(1).sum(1)
    assert 0.3 * 18**2 < changed[1:8].max() <= 18**2
    assert 0.3 * last < changed[-7:].max() <= last


@pytest.mark.parametrize(
    ("error", "named", "given"),
    [
        (InvalidInput, "queries", {"queries": 0}),
        (InvalidInput, "area", {"area": 0.0}),
        (InvalidInput, "area", {"area": 1.5}),
        (InvalidInput, "eps", {"eps": -1.0}),
        (UnsupportedNorm, "l1", {"norm": "l1"}),
        (InvalidInput, "targets", {"targets": torch.zeros(6, dtype=torch.int64)}),
    ],
)
def test_bad_input(error: type[Exception], named: str, given: dict[str, Any]) -> None:
    model, inputs, _ = linear_problem(0, classes=2)
    labels = torch.zeros(6, dtype=torch.int64)
    with pytest.raises(error, match=f"square: .*{named}"):
        square(model, inputs, labels, **{"eps": 0.1} | given)


def test_no_images() -> None:
    model, inputs, labels = linear_problem(0, classes=2)
    assert square(model, inputs[:0], labels[:0], eps=0.1).shape == (0, *SHAPE)
