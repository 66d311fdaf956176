"""What a border is, which one is nearest, and how an image is drawn back to it."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from epsball.attacks.nearest.border import LeadGoal, nearest_plane, pull_back
from epsball.errors import InvalidInput
from epsball.types import ModelInfo

SCORES = torch.tensor([[3.0, 1.0, 2.0, 9.0], [0.0, 5.0, 4.0, -1.0]])
LABELS = torch.tensor([0, 2])


class Scores(nn.Module):
    """Scores W x of an image, each of its own steepness; perhaps with a column for rejection."""

    def __init__(self, weight: list[list[float]], *, rejects: bool = False) -> None:
        super().__init__()
        self.weight = torch.tensor(weight)
        self.info = ModelInfo(len(weight) - rejects, rejects=rejects)

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs.flatten(1) @ self.weight.T


def rows(count: int) -> Tensor:
    return torch.arange(count)


@pytest.mark.parametrize(
    ("rejects", "targets", "expected"),
    [
        (False, None, [6.0, 1.0]),
        (True, None, [2.0 - 9.0, 5.0 - 4.0]),  # the last column stands against the attacker
        (False, [1, 0], [1.0 - 9.0, 0.0 - 5.0]),  # so do all but the target
        (True, [2, 1], [2.0 - 9.0, 5.0 - 4.0]),
    ],
)
def test_lead(rejects: bool, targets: list[int] | None, expected: list[float]) -> None:
    model = Scores([[0.0]] * 4, rejects=rejects)
    goal = LeadGoal(model, LABELS, None if targets is None else torch.tensor(targets))
    assert goal.value(SCORES).tolist() == expected
    assert goal.success(SCORES).tolist() == [value > 0 for value in expected]
    assert goal.rows(torch.tensor([1])).value(SCORES[1:]).tolist() == expected[1:]


def test_one_class_cannot_be_mistaken() -> None:
    with pytest.raises(InvalidInput, match="at least 2 classes apart, got 1"):
        LeadGoal(Scores([[1.0]]), torch.tensor([0]), None).value(torch.zeros(1, 1))


def test_the_nearest_border_is_not_that_of_the_highest_score() -> None:
    """Class 1 is closer in scores, class 2 in images: its score rises four times as fast."""
    model = Scores([[0.0, 0.0], [-0.5, -0.25], [-2.0, 0.0]])
    points = torch.tensor([0.5, 0.25]).view(1, 1, 1, 2)
    goal = LeadGoal(model, torch.tensor([0]), None)
    both, _ = nearest_plane(model, points, rows(1), goal, norm="linf", candidates=2)
    assert both.gap.item() == -0.3125
    assert both.slope.flatten().tolist() == [-0.5, -0.25]
    # 0.3125 / 0.75 is less than 1 / 2, in linf; 0.3125 / 0.5 is more, in l1
    nearer, _ = nearest_plane(model, points, rows(1), goal, norm="l1", candidates=2)
    assert nearer.gap.item() == -1.0
    likeliest, _ = nearest_plane(model, points, rows(1), goal, norm="l1", candidates=1)
    assert likeliest.gap.item() == -0.3125


def test_rejection_is_one_side_of_the_border() -> None:
    model = Scores([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], rejects=True)
    points = torch.tensor([0.25, 0.75]).view(1, 1, 1, 2)
    goal = LeadGoal(model, torch.tensor([0]), None)
    plane, _ = nearest_plane(model, points, rows(1), goal, norm="l2", candidates=9)
    assert plane.gap.item() == -0.5
    assert plane.slope.flatten().tolist() == [1.0, -1.0]


def test_a_class_without_a_finite_slope_has_no_border() -> None:
    # a cliff so steep that its length is infinite would be the nearest of all borders
    model = Scores([[1.0, 0.0], [0.0, 0.25], [3e38, -3e38]])
    points = torch.tensor([0.5, 0.5]).view(1, 1, 1, 2)
    goal = LeadGoal(model, torch.tensor([0]), None)
    plane, _ = nearest_plane(model, points, rows(1), goal, norm="l2", candidates=2)
    assert plane.slope.flatten().tolist() == [-1.0, 0.25]
    nowhere, _ = nearest_plane(
        Scores([[0.0, 0.0], [0.0, 0.0]]), points, rows(1), goal, norm="l2", candidates=1
    )
    assert torch.equal(nowhere.slope, torch.zeros_like(points))


class Cliff(nn.Module):
    """Two classes whose scores say nothing but which side of a border an image is on."""

    def __init__(self, border: float) -> None:
        super().__init__()
        self.border = border

    def forward(self, inputs: Tensor) -> Tensor:
        beyond = (inputs.flatten(1).mean(1) > self.border).float()
        return torch.stack((1 - beyond, beyond), 1)


@pytest.mark.parametrize("border", [0.03, 0.3, 0.77])
def test_pull_back_where_scores_are_a_step(border: float) -> None:
    inputs, result = torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2)
    goal = LeadGoal(Cliff(border), torch.tensor([0]), None)
    drawn = [
        float(pull_back(goal.model, inputs, result, rows(1), goal, steps=steps).mean())
        for steps in (0, 4, 12, 30)
    ]
    assert drawn[0] == 1
    assert drawn == sorted(drawn, reverse=True)
    assert drawn[2] - border < 0.05
    assert border < drawn[3] < border + 1e-3


def test_pull_back_meets_a_plane_at_once_and_stays_clear_of_it() -> None:
    model = Scores([[1.0, 0.0], [0.0, 1.0]])
    inputs = torch.tensor([[0.75, 0.25], [0.5, 0.375]]).view(2, 1, 1, 2)
    result = torch.tensor([[0.25, 0.75], [0.0, 1.0]]).view(2, 1, 1, 2)
    goal = LeadGoal(model, torch.tensor([0, 0]), None)
    for steps in (1, 5):
        drawn = pull_back(model, inputs, result, rows(2), goal, steps=steps)
        lead, lacked = goal.value(model(drawn)), -goal.value(model(inputs))
        assert (lead > 1e-4 * lacked).all()
        assert (lead < 1e-3 * lacked).all()


def test_pull_back_keeps_what_it_cannot_better() -> None:
    """On the way home lies nothing that wins: the border is a thin shell around the end."""

    class Shell(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            near = (inputs.flatten(1).mean(1) > 0.999).float()
            return torch.stack((1 - near, near), 1)

    inputs, result = torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2)
    goal = LeadGoal(Shell(), torch.tensor([0]), None)
    assert torch.equal(pull_back(goal.model, inputs, result, rows(1), goal, steps=5), result)


class Curve(nn.Module):
    """Two classes, and how far the second leads is a function of the mean pixel."""

    def __init__(self, lead: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.lead = lead

    def forward(self, inputs: Tensor) -> Tensor:
        lead = self.lead(inputs.flatten(1).mean(1))
        return torch.stack((torch.zeros_like(lead), lead), 1)


@pytest.mark.parametrize(
    ("lead", "border"),
    [
        (lambda mean: 100 * mean**8 - 0.1, 0.001 ** (1 / 8)),
        (lambda mean: 0.1 - 100 * (1 - mean) ** 8, 1 - 0.001 ** (1 / 8)),
    ],
)
def test_pull_back_follows_a_curve_from_either_side(
    lead: Callable[[Tensor], Tensor], border: float
) -> None:
    """A line between the ends meets the border from the same side again and again."""
    inputs, result = torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2)
    goal = LeadGoal(Curve(lead), torch.tensor([0]), None)
    drawn = pull_back(goal.model, inputs, result, rows(1), goal, steps=14)
    assert border < drawn.mean() < 1.1 * border


def test_pull_back_keeps_the_nearest_though_it_looks_for_a_clearer_one() -> None:
    """Beyond 0.4 the image wins by little, beyond 0.9 by much."""

    def lead(mean: Tensor) -> Tensor:
        return -1 + 1.0001 * (mean > 0.4) + 0.9999 * (mean > 0.9)

    inputs, result = torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2)
    goal = LeadGoal(Curve(lead), torch.tensor([0]), None)
    drawn = pull_back(goal.model, inputs, result, rows(1), goal, steps=6)
    assert drawn.mean() < 0.51


def test_pull_back_survives_scores_that_are_no_numbers() -> None:
    class Hole(Cliff):
        def forward(self, inputs: Tensor) -> Tensor:
            inside = (inputs.flatten(1).mean(1) - 0.5).abs() < 0.1
            return super().forward(inputs).masked_fill(inside[:, None], torch.nan)

    inputs, result = torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2)
    goal = LeadGoal(Hole(0.3), torch.tensor([0]), None)
    drawn = pull_back(goal.model, inputs, result, rows(1), goal, steps=12)
    assert goal.success(goal.model(drawn)).all()
    assert drawn.mean() < 0.7
