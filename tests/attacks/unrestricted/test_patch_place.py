"""Where a patch lies, how it looks askew, and what a step learns from that."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.attacks.patched import Planes, images, seeded
from torch import Tensor, nn

from epsball.attacks.gradient.pgd import Mislead
from epsball.attacks.unrestricted.patch.patch import patch
from epsball.attacks.unrestricted.patch.place import Place, View, patch_side, random_corners
from epsball.attacks.unrestricted.patch.walk import Walk
from epsball.objectives import margin
from epsball.types import Search


def place(inputs: Tensor, side: int, corner: tuple[int, int], **knobs: Any) -> Place:
    settings_ = {"rotation": 30.0, "scale": 0.2, "wanders": False} | knobs
    return Place.of(inputs, side, corner, None, **settings_)


def walk_of(model: nn.Module, whole: Place, labels: Tensor, samples: int) -> Walk:
    goal = Mislead(model, margin, labels, None)
    return Walk(model, whole, goal, Search(retire=False), 5, 0.3, samples, seeded(3))


@given(share=st.floats(0.001, 1), height=st.integers(1, 40), width=st.integers(1, 40))
def test_the_square_covers_its_share(share: float, height: int, width: int) -> None:
    side = patch_side(torch.zeros(1, 1, height, width), share)
    assert 1 <= side <= min(height, width)
    if 1 < side < min(height, width):
        assert abs(math.sqrt(share * height * width) - side) <= 0.5


@given(seed=st.integers(0, 99))
def test_random_places_hold_the_whole_square_and_reach_every_border(seed: int) -> None:
    corners = random_corners(torch.zeros(200, 1, 5, 7), 3, seeded(seed))
    assert corners.amin(0).tolist() == [0, 0]
    assert corners.amax(0).tolist() == [2, 4]


def test_an_upright_patch_is_worn_exactly() -> None:
    x, colours = images(3, 2, 7, 9), images(3, 2, 4, 4, seed=1)
    worn = place(x, 4, (2, 3)).wear(colours, torch.arange(3))
    expected = x.clone()
    expected[:, :, 2:6, 3:7] = colours
    assert torch.equal(worn, expected)


def test_a_patch_on_its_side_is_turned_counter_clockwise() -> None:
    x, colours = images(2, 1, 7, 9), images(2, 1, 3, 3, seed=1)
    whole = place(x, 3, (2, 3))
    lying = View(whole.corners, torch.full((2,), math.pi / 2), torch.ones(2))
    worn = whole.wear(colours, torch.arange(2), lying)
    torch.testing.assert_close(worn[:, :, 2:5, 3:6], colours.rot90(1, (2, 3)), atol=1e-5, rtol=0)


def test_a_smaller_patch_covers_less() -> None:
    x = torch.zeros(2, 1, 12, 12)
    whole = place(x, 6, (3, 3))
    sizes = torch.tensor([0.5, 1.5])
    worn = whole.wear(
        torch.ones(2, 1, 6, 6), torch.arange(2), View(whole.corners, torch.zeros(2), sizes)
    )
    covered = worn.sum((1, 2, 3))
    assert covered.tolist() == pytest.approx([9, 81], rel=0.15)


def test_the_gradient_of_a_view_is_the_gradient_of_what_is_seen() -> None:
    x, colours = images(2, 1, 6, 6).double(), images(2, 1, 3, 3, seed=1).double()
    whole = place(x, 3, (1, 2))
    view = list(whole.views(2, seeded()))[1]
    assert torch.autograd.gradcheck(
        lambda held: whole.wear(held, torch.arange(2), view), (colours.requires_grad_(),)
    )


def test_views_stay_in_their_limits_and_wander_when_told() -> None:
    x = torch.zeros(50, 1, 12, 12)
    for wanders in (False, True):
        _, view = place(x, 4, (5, 5), wanders=wanders).views(2, seeded())
        assert view.turn.abs().max() <= math.radians(30)
        assert (view.size - 1).abs().max() <= 0.2
        assert view.turn.std() > 0
        assert bool((view.corners != 5).any()) == wanders


def test_a_step_sums_the_gradients_of_its_views_and_stays_in_the_box() -> None:
    model, x = Planes(2, 72), images(3, 2, 6, 6)
    labels, rows = torch.tensor([0, 1, 0]), torch.arange(3)
    colours = images(3, 2, 3, 3, seed=1)
    walk = walk_of(model, place(x, 3, (1, 2)), labels, 3)
    seen = walk.see(colours, rows, walk.goal, exact=True)
    stored = colours.clone().requires_grad_()
    views = list(walk.place.views(3, seeded(3)))
    total = torch.stack([margin(model(walk.place.wear(stored, rows, v)), labels) for v in views])
    torch.testing.assert_close(seen.slope, torch.autograd.grad(total.sum(), stored)[0])
    torch.testing.assert_close(seen.value, total[0].detach())
    moved = walk.stepped(colours, seen.slope, 0)
    torch.testing.assert_close(moved, (colours + 0.3 * seen.slope.sign()).clamp(0, 1))


def test_views_make_a_patch_that_bears_being_askew() -> None:
    model, x = Planes(2, 300), torch.full((12, 3, 10, 10), 0.5)
    labels = torch.zeros(12, dtype=torch.int64)
    knobs: dict[str, Any] = {"share": 0.36, "position": (2, 2), "rotation": 40.0, "scale": 0.2}
    gained = []
    for samples in (1, 12):
        adversarial = patch(
            model, x, labels, samples=samples, steps=24, generator=seeded(), **knobs
        )
        square = place(x, 6, (2, 2), rotation=40.0)
        rows, worn = torch.arange(12), adversarial[:, :, 2:8, 2:8]
        askew = [square.wear(worn, rows, view) for view in square.views(60, seeded(5))][1:]
        gained.append(float(torch.stack([margin(model(v), labels) for v in askew]).detach().mean()))
    assert gained[1] > 1.1 * gained[0]
