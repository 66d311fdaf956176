"""On linear models the best image of a class is known: its positive weights white, others black."""

import pytest
import torch
from torch import Tensor

from epsball.errors import InvalidInput
from epsball.fooling import evolution
from epsball.fooling.contact_sheet import contact_sheet
from epsball.fooling.encodings import ENCODINGS, Cppn, Direct
from epsball.fooling.evolution import evolve
from epsball.fooling.gradient import ascend_class
from epsball.fooling.result import target_confidence, to_levels

SHAPE = (1, 6, 6)
WEIGHTS = torch.randn(4, 36, generator=torch.Generator().manual_seed(0))
TARGETS = torch.arange(4)


def model(images: Tensor) -> Tensor:
    return 3 * images.flatten(1) @ WEIGHTS.T


def test_the_gradient_reaches_every_class_from_black() -> None:
    fooling = ascend_class(model, torch.zeros(4, *SHAPE), TARGETS, confidence=0.999)
    assert fooling.reached(0.999) == 4
    assert torch.equal(fooling.images, to_levels(fooling.images))
    assert torch.allclose(fooling.confidence, target_confidence(model, fooling.images, TARGETS))
    assert (fooling.queries > 0).all()


def test_an_image_that_is_done_with_costs_no_more() -> None:
    start = torch.zeros(2, *SHAPE)
    start[0] = (WEIGHTS[1] > 0).float().view(SHAPE)
    fooling = ascend_class(model, start, torch.tensor([1, 2]), confidence=0.9)
    assert fooling.queries[0] < fooling.queries[1]
    assert torch.equal(fooling.images[0], start[0])


def test_regularised_ascent_approaches_the_image_that_the_class_means() -> None:
    best = (WEIGHTS[0] > 0).float().view(SHAPE)
    generator = torch.Generator().manual_seed(0)
    start, target = torch.full((1, *SHAPE), 0.5), TARGETS[:1]
    fooling = ascend_class(
        model, start, target, steps=60, step_size=0.05, regularised=True, generator=generator
    )
    plain = ascend_class(model, start, target, steps=60, step_size=0.05, confidence=0.9)

    def roughness(image: Tensor) -> float:
        return float(image.diff(dim=-1).abs().mean() + image.diff(dim=-2).abs().mean())

    assert float(((fooling.images[0] - 0.5) * (best - 0.5)).mean()) > 0.05
    assert fooling.queries[0] == 121
    assert plain.queries[0] < fooling.queries[0]
    assert roughness(fooling.images) < roughness(best[None])


def test_without_a_gradient_the_search_moves_all_the_same() -> None:
    def dead_when_black(images: Tensor) -> Tensor:
        return 300 * (images - 0.02).relu().flatten(1) @ WEIGHTS.T

    fooling = ascend_class(dead_when_black, torch.zeros(1, *SHAPE), TARGETS[:1])
    assert fooling.reached(0.99) == 1


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_evolution_reaches_every_class(encoding: str) -> None:
    fooling = evolve(
        model, TARGETS, classes=4, shape=SHAPE, encoding=encoding, confidence=0.95,
        evaluations=6400,
    )  # fmt: skip
    assert fooling.reached(0.95) == 4
    assert torch.allclose(fooling.confidence, target_confidence(model, fooling.images, TARGETS))
    assert int(fooling.queries[0]) % 64 == 0
    assert int(fooling.queries[0]) <= 6400


def test_evolution_shows_no_more_images_than_it_may() -> None:
    shown = []

    def counting(images: Tensor) -> Tensor:
        shown.append(len(images))
        return torch.zeros(len(images), 4)

    fooling = evolve(counting, TARGETS, classes=4, shape=SHAPE, evaluations=200)
    assert sum(shown) == int(fooling.queries[0]) == 192
    assert torch.allclose(fooling.confidence, torch.full((4,), 0.25, dtype=torch.float64))


def test_the_same_seed_gives_the_same_images() -> None:
    one, other, third = (
        evolve(model, TARGETS, classes=4, shape=SHAPE, evaluations=320, confidence=0.9999, seed=s)
        for s in (1, 1, 2)
    )
    assert torch.equal(one.images, other.images)
    assert not torch.equal(one.images, third.images)


def test_a_batch_of_networks_draws_what_each_draws_alone() -> None:
    coding = Cppn((3, 5, 7))
    genomes = coding.first(4, torch.Generator().manual_seed(0))
    together = coding.images(genomes)
    assert together.shape == (4, 3, 5, 7)
    assert torch.allclose(together[2:3], coding.images(genomes[2:3]), atol=1e-6)
    assert together.min() >= 0
    assert together.max() <= 1


def test_children_differ_from_their_parents_in_some_genes() -> None:
    generator = torch.Generator().manual_seed(0)
    coding = Direct((1, 30, 30))
    parents = coding.first(2, generator)
    changed = (coding.mutated(parents, generator) != parents).double().mean()
    assert 0.05 < float(changed) < 0.15


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"confidence": 1.0}, "confidence must lie between 0 and 1"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"step_size": 0.0}, "step_size must be above 0"),
    ],
)
def test_bad_settings_are_refused(given: dict[str, float], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        ascend_class(model, torch.zeros(1, *SHAPE), TARGETS[:1], **given)  # type: ignore[arg-type]  # that is the test


def test_evolution_refuses_what_it_cannot_do() -> None:
    with pytest.raises(InvalidInput, match="encoding must be cppn or direct"):
        evolve(model, TARGETS, classes=4, shape=SHAPE, encoding="neat")
    with pytest.raises(InvalidInput, match="evaluations must be at least population"):
        evolve(model, TARGETS, classes=4, shape=SHAPE, evaluations=10)


def test_the_sheet_shows_each_image_in_its_place() -> None:
    images = torch.zeros(3, 1, 4, 4, dtype=torch.uint8)
    images[2] = 255
    sheet = contact_sheet(images.numpy(), ["a", "b", "a very long name indeed"], ["1 %"] * 3)
    assert sheet.getpixel((20, 20)) == (0, 0, 0)
    assert sheet.getpixel((20, 8 + 150 + 20)) == (255, 255, 255)


def test_climbing_alone_gets_further_than_the_common_search(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shape = (3, 12, 12)
    patterns = torch.rand((40, 3 * 12 * 12), generator=torch.Generator().manual_seed(3))

    def near(images: Tensor) -> Tensor:
        return -0.05 * torch.cdist(images.flatten(1), patterns).square()

    def reach() -> Tensor:
        evolved = evolve(
            near, torch.tensor([0, 17]), classes=40, shape=shape, encoding="direct",
            confidence=1 - 1e-9, evaluations=4800,
        )  # fmt: skip
        return evolved.confidence

    climbed = reach()
    monkeypatch.setattr(evolution, "_ALONE_GENES", 0)
    assert (climbed > 3 * reach()).all()
