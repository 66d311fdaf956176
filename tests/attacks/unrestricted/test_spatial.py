"""Rotations and shifts, and the search among candidates under them."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from epsball.attacks.unrestricted.spatial import spatial, view
from epsball.errors import InvalidInput
from epsball.objectives import is_adversarial, margin
from epsball.randomness import ImageStreams
from epsball.testing.problems import ROWS, Problem, Wavy
from epsball.types import Search

SMALL: dict[str, Any] = {"angles": 5, "shifts": 3}


def seeded(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=seeded(seed))


def pose(degrees: float, down: float, right: float) -> Tensor:
    return torch.tensor([[math.radians(degrees), down, right]])


def halves(inputs: Tensor) -> Tensor:
    """Two classes: the brighter half, left or right."""
    left, right = inputs.sum((1, 2)).chunk(2, dim=1)
    return torch.stack((left.sum(1), right.sum(1)), 1)


class QueryCounter:
    """The model inside, and how many images it was shown."""

    def __init__(self, model: Any) -> None:
        self.model, self.asked = model, 0

    def __call__(self, inputs: Tensor) -> Tensor:
        self.asked += len(inputs)
        scores: Tensor = self.model(inputs)
        return scores


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 99))
def test_nothing_moves_without_room(seed: int) -> None:
    p = Problem(seed)
    adversarial = spatial(p.model, p.inputs, p.labels, degrees=0, shift=0)
    assert torch.equal(adversarial, p.inputs)


def test_view_shifts_by_whole_pixels_and_leaves_black() -> None:
    x = images(1, 3, 4, 5)
    moved = view(x, pose(0, 1 / 4, -2 / 5))  # one down, two to the left
    expected = torch.zeros_like(x)
    expected[:, :, 1:, :3] = x[:, :, :3, 2:]
    torch.testing.assert_close(moved, expected, atol=1e-5, rtol=0)


def test_view_turns_counter_clockwise() -> None:
    x = images(1, 2, 6, 6)
    for quarter in (1, 2, 3):
        turned = view(x, pose(90 * quarter, 0, 0))
        torch.testing.assert_close(turned, x.rot90(quarter, (2, 3)), atol=1e-5, rtol=0)


def test_view_turns_without_stretching_oblong_images() -> None:
    x = torch.zeros(1, 1, 5, 9)
    x[0, 0, 2, 6] = 1  # two pixels to the right of the centre: two above it after a quarter
    turned = view(x, pose(90, 0, 0))
    assert turned[0, 0, 0, 4] == pytest.approx(1, abs=1e-5)
    assert turned.sum() == pytest.approx(1, abs=1e-5)


def test_view_turns_first_and_shifts_then() -> None:
    x = images(1, 1, 6, 6)
    both = view(x, pose(90, 0, 1 / 6))
    torch.testing.assert_close(
        both, view(view(x, pose(90, 0, 0)), pose(0, 0, 1 / 6)), atol=1e-5, rtol=0
    )


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 99),
    degrees=st.floats(0, 180),
    shift=st.floats(0, 1),
    draws=st.none() | st.integers(1, 4),
    targeted=st.booleans(),
)
def test_results_are_images(
    seed: int, degrees: float, shift: float, draws: int | None, targeted: bool
) -> None:
    p = Problem(seed)
    adversarial = spatial(
        p.model,
        p.inputs,
        p.labels,
        degrees=degrees,
        shift=shift,
        draws=draws,
        targets=p.targets if targeted else None,
        generator=seeded(),
        **SMALL,
    )
    assert adversarial.shape == p.inputs.shape
    assert adversarial.dtype == p.inputs.dtype
    assert adversarial.min() >= 0
    assert adversarial.max() <= 1
    assert not adversarial.requires_grad


@pytest.mark.parametrize("draws", [None, 6])
@pytest.mark.parametrize("targeted", [False, True])
def test_returns_the_strongest_view_it_saw(draws: int | None, targeted: bool) -> None:
    p, model = Problem(3), Wavy(3)
    targets = p.targets if targeted else None
    adversarial = spatial(
        model, p.inputs, p.labels, draws=draws, targets=targets, generator=seeded(), **SMALL
    )
    shown = list(model.queried)
    assert len(shown) == (5 * 9 if draws is None else draws + 1)

    def rank(points: Tensor) -> Tensor:
        logits = model(points)
        value = margin(logits, p.labels) if targets is None else -margin(logits, targets)
        return 1e3 * is_adversarial(logits, p.labels, targets) + value

    assert torch.equal(rank(adversarial), torch.stack([rank(points) for points in shown]).amax(0))
    assert torch.equal(shown[0], p.inputs)


def test_same_seed_same_result_in_any_grad_mode_and_nothing_is_changed() -> None:
    p = Problem(0)
    before, inputs = p.state(), p.inputs.clone()

    def run() -> Tensor:
        return spatial(p.model, p.inputs, p.labels, draws=5, generator=seeded())

    first = run()
    assert torch.equal(first, run())
    with torch.no_grad():
        assert torch.equal(first, run())
    assert torch.equal(p.inputs, inputs)
    after = p.state()
    assert all(torch.equal(a, b) for a, b in zip(before[0], after[0], strict=True))
    assert before[1:] == after[1:]


@pytest.mark.parametrize("search", [None, Search()])
@pytest.mark.parametrize("draws", [None, 5])
def test_rows_do_not_see_their_batch(draws: int | None, search: Search | None) -> None:
    p = Problem(2)

    def run(rows: slice) -> Tensor:
        streams = ImageStreams.of(range(ROWS)[rows], seed=0, purpose="spatial")
        return spatial(
            p.model,
            p.inputs[rows],
            p.labels[rows],
            draws=draws,
            generator=streams,
            search=search,
            **SMALL,
        )

    torch.testing.assert_close(run(slice(None))[4:7], run(slice(4, 7)), atol=1e-5, rtol=0)


def test_a_linear_model_falls_to_a_shift() -> None:
    x = torch.zeros(2, 1, 4, 4)
    x[:, :, 1, 1] = 1  # in the left half, one pixel from the right one
    labels = torch.tensor([0, 0])
    assert (halves(x).argmax(1) == labels).all()
    fooled = spatial(halves, x, labels, degrees=0, shift=0.25, shifts=3)
    assert (halves(fooled).argmax(1) == 1).all()
    safe = spatial(halves, x, labels, degrees=0, shift=0.1, shifts=5)
    assert (halves(safe).argmax(1) == 0).all()


def test_a_linear_model_falls_to_a_rotation() -> None:
    x = torch.zeros(1, 1, 4, 4)
    x[:, :, 0, 1] = 1
    fooled = spatial(halves, x, torch.tensor([0]), degrees=90, shift=0, angles=3)
    assert halves(fooled).argmax(1).item() == 1
    safe = spatial(halves, x, torch.tensor([0]), degrees=10, shift=0, angles=3)
    assert halves(safe).argmax(1).item() == 0


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 99), shift=st.floats(0.05, 0.3))
def test_random_views_stay_within_the_limits(seed: int, shift: float) -> None:
    x = torch.zeros(1, 1, 21, 21)
    x[0, 0, 10, 10] = 1
    seen: list[Tensor] = []

    def watch(inputs: Tensor) -> Tensor:
        seen.append(inputs)
        return inputs.flatten(1)

    spatial(watch, x, torch.tensor([0]), degrees=0, shift=shift, draws=3, generator=seeded(seed))
    place = torch.arange(21.0)
    for points in seen[1:]:
        across = (points[0, 0].sum(0) * place).sum() - 10
        assert 0 < abs(float(across)) <= 21 * shift + 1e-3


def test_a_fooled_image_leaves_where_that_is_allowed() -> None:
    p = Problem(1)
    model = QueryCounter(p.model)
    whole = spatial(model, p.inputs, p.labels, **SMALL)
    full, model.asked = model.asked, 0
    adversarial = spatial(model, p.inputs, p.labels, search=Search(), **SMALL)
    assert full == 45 * ROWS
    assert model.asked < full
    assert torch.equal(
        is_adversarial(p.model(adversarial), p.labels), is_adversarial(p.model(whole), p.labels)
    )


def test_a_cheap_models_wins_are_confirmed() -> None:
    x = torch.zeros(2, 1, 4, 4)
    x[:, :, 1, 1] = 1

    def gullible(inputs: Tensor) -> Tensor:
        return torch.tensor([[0.0, 1.0]]).expand(len(inputs), 2)

    adversarial = spatial(
        gullible,
        x,
        torch.tensor([0, 0]),
        degrees=0,
        shift=0.25,
        shifts=3,
        search=Search(confirm=halves),
    )
    assert (halves(adversarial).argmax(1) == 1).all()


@pytest.mark.parametrize(
    ("knobs", "named"),
    [
        ({"degrees": -1.0}, "degrees"),
        ({"degrees": 181.0}, "degrees"),
        ({"degrees": math.nan}, "degrees"),
        ({"shift": 1.5}, "shift"),
        ({"angles": 0}, "angles"),
        ({"shifts": 0}, "shifts"),
        ({"draws": 0}, "draws"),
        ({"targets": torch.zeros(ROWS)}, "targets"),
    ],
)
def test_bad_settings_are_named(knobs: dict[str, Any], named: str) -> None:
    p = Problem(0)
    with pytest.raises(InvalidInput, match=named):
        spatial(p.model, p.inputs, p.labels, **knobs)
