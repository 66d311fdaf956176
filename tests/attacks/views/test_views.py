"""Views: what they may do to an image, and that each image draws for itself."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from epsball.attacks.views import shuffle as shuffling
from epsball.attacks.views import structure as structures
from epsball.attacks.views.blocks import Cuts, random_cuts
from epsball.attacks.views.resizing import diversity, scale
from epsball.attacks.views.table import VIEWS, named_views
from epsball.errors import InvalidInput
from epsball.randomness import ImageStreams

sides = st.integers(1, 9)


def some(n: int, height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(height * 100 + width)
    return torch.rand((n, 2, height, width), generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("name", VIEWS)
@given(height=sides, width=sides)
@settings(max_examples=15, deadline=None)
def test_an_image_is_changed_in_the_same_way_in_any_batch(
    name: str, height: int, width: int
) -> None:
    images = some(6, height, width)

    def run(rows: slice) -> Tensor:
        streams = ImageStreams.of(range(6)[rows], seed=3, purpose="view")
        return VIEWS[name].view(images[rows], 1, streams)

    whole = run(slice(None))
    assert whole.shape == images.shape
    assert torch.allclose(whole[2:4], run(slice(2, 4)), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", VIEWS)
def test_images_of_a_batch_draw_apart_and_gradients_flow(name: str) -> None:
    images = some(1, 12, 12).expand(30, -1, -1, -1).clone().requires_grad_()
    view = VIEWS[name].view(images, 1, torch.Generator().manual_seed(0))
    if name != "scale":
        assert not torch.equal(view[0], view[1]) or not torch.equal(view[0], view[2])
    (gradient,) = torch.autograd.grad(view.sum(), images)
    assert bool((gradient != 0).any())


@given(height=sides, width=sides, seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_structure_moves_every_pixel_to_one_place(height: int, width: int, seed: int) -> None:
    like = torch.zeros(4, 1, height, width)
    generator = torch.Generator().manual_seed(seed)
    rows = random_cuts(like, 2, 3, generator)
    columns = random_cuts(like, 3, 3, generator)
    shape = (4, rows.start.shape[1], columns.start.shape[1])
    change = structures._per_pixel(torch.randint(7, shape, generator=generator), rows, columns)
    shift = structures._per_pixel(torch.rand(shape, generator=generator), rows, columns)
    y = structures._position(rows, shift, change, axis=0)
    x = structures._position(columns, shift, change, axis=1)
    sources = (y * width + x).flatten(1).sort(1).values
    assert torch.equal(sources, torch.arange(height * width).expand(4, -1))


def test_structure_dims_or_disturbs_and_does_no_more() -> None:
    grey = torch.full((200, 1, 9, 9), 0.5)
    view = structures.structure(grey, 0, torch.Generator().manual_seed(0))
    dimmed = view < 0.5 - 16 / 255 - 1e-6
    assert float(view.max()) <= 0.5 + 16 / 255 + 1e-6
    assert 0.5 < float((view == 0.5).float().mean()) < 0.9  # five of seven changes only move
    assert 0.02 < float(dimmed.float().mean()) < 0.2


def test_shuffle_without_turning_only_moves_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shuffling, "_DEGREES", 0.0)
    images = some(20, 9, 7)
    view = shuffling.shuffle(images, 0, torch.Generator().manual_seed(0))
    assert torch.allclose(view.flatten(2).sort(2).values, images.flatten(2).sort(2).values)
    assert not torch.allclose(view, images)


def test_shuffle_leaves_gaps_where_a_strip_was_turned() -> None:
    white = torch.ones(100, 1, 32, 32)
    view = shuffling.shuffle(white, 0, torch.Generator().manual_seed(0))
    assert bool(((view < 1e-5) | (view > 1 - 1e-5)).float().mean() > 0.95)
    assert 0.6 < float(view.mean()) < 0.98


def test_diversity_keeps_half_and_shrinks_the_rest() -> None:
    white = torch.ones(400, 1, 33, 33)
    view = diversity(white, 0, torch.Generator().manual_seed(0))
    area = view.mean((1, 2, 3))
    kept = torch.isclose(area, torch.ones(()), atol=1e-5)
    assert 0.4 < float(kept.float().mean()) < 0.6
    assert float(area.min()) > (1 / 1.1) ** 2 - 0.02


def test_scale_divides_by_powers_of_two_in_turn() -> None:
    images = some(1, 2, 2)
    copies = [scale(images, number, None) for number in range(6)]
    for copy, divisor in zip(copies, (1, 2, 4, 8, 16, 1), strict=True):
        assert torch.equal(copy * divisor, images)


def test_cuts_cover_an_axis() -> None:
    cuts = random_cuts(torch.zeros(50, 1, 10, 4), 2, 3, torch.Generator().manual_seed(0))
    assert bool((cuts.size >= 1).all())
    assert torch.equal(cuts.size.sum(1), torch.full((50,), 10))
    one = Cuts.from_starts(torch.tensor([[0, 2, 3]]), 5)
    assert one.block.tolist() == [[0, 0, 1, 2, 2]]
    assert one.size.tolist() == [[2, 1, 2]]


def test_named_views_are_combined_in_order() -> None:
    views = named_views("transfer", "scale+diversity", 0)
    assert views.copies == 5
    images = some(3, 8, 8)
    both = views(images, 2, torch.Generator().manual_seed(1))
    assert torch.equal(both, diversity(images / 4, 2, torch.Generator().manual_seed(1)))
    assert named_views("transfer", "none", 0).copies == 1
    assert named_views("transfer", "structure", 7).copies == 7


@pytest.mark.parametrize(
    ("names", "copies", "message"),
    [
        ("structures", 0, "did you mean 'structure'"),
        ("scale+scale", 0, "once"),
        ("none", -1, ">= 0"),
    ],
)
def test_bad_views(names: str, copies: int, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        named_views("transfer", names, copies)
