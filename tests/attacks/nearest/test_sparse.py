"""What is given back when more was changed than needed."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.attacks.borders import QueryCounter
from tests.attacks.sparsest import changed, far_problem
from torch import Tensor, nn

from epsball.attacks.nearest.border import LeadGoal
from epsball.attacks.nearest.sparse import NearestSearch, prune


class Sum(nn.Module):
    """The second class wins where weighted entries sum to more than a bar."""

    def __init__(self, weights: Tensor, bar: float) -> None:
        super().__init__()
        self.weights, self.bar = weights, bar

    def forward(self, inputs: Tensor) -> Tensor:
        total = inputs.flatten(1) @ self.weights
        return torch.stack((torch.full_like(total, self.bar), total), dim=1)


def pruned(model: nn.Module, point: Tensor, *, saturate: bool) -> Tensor:
    """Prune a point that was found from black."""
    goal = LeadGoal(model, torch.zeros(len(point), dtype=torch.int64), None)
    nearest = NearestSearch(model, goal, torch.zeros_like(point), torch.arange(len(point)), "l0")
    nearest.read(point)
    prune(nearest, saturate=saturate)
    return nearest.points


@given(entries=st.integers(1, 40), needed=st.integers(1, 40))
@settings(deadline=None, max_examples=60)
def test_the_shortest_list_that_fools_is_found(entries: int, needed: int) -> None:
    needed = min(needed, entries)
    model, point = Sum(torch.ones(entries), needed - 0.5), torch.ones(1, 1, 1, entries)
    assert pruned(model, point, saturate=False).sum().item() == needed


def test_those_that_count_most_stay() -> None:
    model, point = Sum(torch.tensor([1.0, 4.0, -2.0, 3.0]), 6.5), torch.ones(1, 1, 1, 4)
    assert not pruned(model, point, saturate=False).any()  # 6 does not fool: nothing was found
    model.bar = 5.5
    kept = pruned(model, point, saturate=False).flatten()
    assert kept.tolist() == [0, 1, 0, 1]


def test_changes_go_to_the_end_of_their_range_where_that_needs_fewer() -> None:
    model, point = Sum(torch.tensor([1.0, 1.0, 1.0]), 0.75), torch.full((1, 1, 1, 3), 0.375)
    assert changed(pruned(model, point, saturate=False), torch.zeros_like(point)).item() == 3
    assert pruned(model, point, saturate=True).sum().item() == 1


class Ridge(nn.Module):
    """Fooled only where entries are neither dark nor bright."""

    def forward(self, inputs: Tensor) -> Tensor:
        total = (inputs * (1 - inputs)).flatten(1).sum(1)
        return torch.stack((torch.full_like(total, 0.4), total), dim=1)


def test_where_the_ends_do_not_fool_the_values_stay() -> None:
    point = torch.full((1, 1, 1, 3), 0.375)
    kept = pruned(Ridge(), point, saturate=True).flatten()
    assert sorted(kept.tolist()) == [0, 0.375, 0.375]


def test_rows_without_a_result_are_not_asked() -> None:
    model, inputs, labels = far_problem(0)
    counting = QueryCounter(model, len(labels))
    nearest = NearestSearch(
        counting, LeadGoal(counting, labels, None), inputs, torch.arange(8), "l0"
    )
    nearest.read(torch.where(torch.arange(8)[:, None, None, None] < 2, 1 - inputs, inputs))
    result = nearest.distance.isfinite()
    assert result.tolist() == [True, True] + 6 * [False]
    before = counting.forwards.clone()
    prune(nearest, saturate=False)
    assert ((counting.forwards > before) == result).all()
    prune(
        NearestSearch(counting, LeadGoal(counting, labels, None), inputs, torch.arange(8), "l0"),
        saturate=True,
    )
