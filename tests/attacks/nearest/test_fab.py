"""FAB on models whose nearest borders are known."""

from typing import Any

import pytest
import torch
from tests.attacks.borders import (
    ROUNDING,
    QueryCounter,
    Rejecting,
    curved,
    held_by_the_box,
    nearest_border,
)
from torch import Tensor

from epsball.attacks.nearest.deepfool import deepfool
from epsball.attacks.nearest.fab import NORMS, fab
from epsball.attacks.nearest.hyperplane import step_to_plane
from epsball.errors import BrokenContract, InvalidInput, UnsupportedNorm
from epsball.geometry import size
from epsball.randomness import ImageStreams
from epsball.testing.problems import SHAPE, Linear, Wavy, linear_problem
from epsball.types import Norm


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(
    "classes",
    [pytest.param(2, marks=pytest.mark.slow), 3, pytest.param(10, marks=pytest.mark.slow)],
)
@pytest.mark.parametrize("shrink", [0, 5])
def test_finds_the_nearest_border_of_linear_classes(norm: Norm, classes: int, shrink: int) -> None:
    for seed in range(3):
        model, inputs, labels = linear_problem(seed, classes)
        adversarial = fab(model, inputs, labels, norm=norm, steps=30, shrink=shrink)
        assert (model(adversarial).argmax(1) != labels).all()
        result, true = size(adversarial - inputs, norm), nearest_border(model, inputs, labels, norm)
        assert (result > 0.9999 * true).all()
        assert (result <= 1.01 * true + ROUNDING).all()


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("seed", range(2))
def test_finds_the_nearest_border_within_the_box(norm: Norm, seed: int) -> None:
    """Images from all over the box, whose ways to the border it cuts."""
    model = Linear(seed, 2)
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.rand((12, *SHAPE), generator=generator).round()
    logits = model(inputs).detach()
    labels = logits.argmax(1)
    across = (model.weight[1] - model.weight[0]).detach().expand(12, -1).reshape(inputs.shape)
    shortest = step_to_plane(inputs, across, logits[:, 0] - logits[:, 1], norm)
    adversarial = fab(model, inputs, labels, norm=norm, steps=50)
    assert (model(adversarial).argmax(1) != labels).all()
    assert (size(adversarial - inputs, norm) <= 1.01 * size(shortest, norm) + ROUNDING).all()


@pytest.mark.parametrize("norm", NORMS)
def test_images_held_by_the_box(norm: Norm) -> None:
    model, inputs, labels = held_by_the_box()
    adversarial = fab(model, inputs, labels, norm=norm)
    assert (model(adversarial).argmax(1) != labels).all()
    assert (size(adversarial - inputs, norm) <= 1.01 * model.distance(inputs, labels, norm)).all()


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(
    "classes",
    [pytest.param(2, marks=pytest.mark.slow), 3, pytest.param(10, marks=pytest.mark.slow)],
)
def test_reaches_targets(norm: Norm, classes: int) -> None:
    for shift in range(1, min(classes, 4)):
        model, inputs, labels = linear_problem(shift, classes)
        targets = (labels + shift) % classes
        adversarial = fab(model, inputs, labels, norm=norm, targets=targets, steps=30)
        assert (model(adversarial).argmax(1) == targets).all()
        if classes == 2:
            result, true = (
                size(adversarial - inputs, norm),
                nearest_border(model, inputs, labels, norm),
            )
            assert (result <= 1.01 * true + ROUNDING).all()


def test_one_target_costs_one_backward_pass() -> None:
    """The scores of all other classes may be as steep as they like; only one border counts."""
    seen: list[int] = []

    def count(gradient: Tensor) -> None:
        seen.append(len(gradient))

    class Watched(Linear):
        def forward(self, inputs: Tensor) -> Any:
            scores: Any = super().forward(inputs)
            if scores.requires_grad and torch.is_grad_enabled():
                scores.register_hook(count)
            return scores

    _, inputs, labels = linear_problem(0, 10)
    for targets, each in (((labels + 1) % 10, 1), (None, 4)):
        seen.clear()
        fab(Watched(0, 10), inputs, labels, steps=3, candidates=4, targets=targets)
        assert len(seen) == 3 * each


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("seed", range(3))
def test_curved_borders(norm: Norm, seed: int) -> None:
    """Each comes back fooled, those that are wrong as they were; never farther than DeepFool."""
    p, labels, wrong = curved(seed)
    adversarial = fab(p.model, p.inputs, labels, norm=norm, steps=40)
    assert (p.model(adversarial).argmax(1) != labels).all()
    assert adversarial.min() >= 0
    assert adversarial.max() <= 1
    assert torch.equal(adversarial[wrong], p.inputs[wrong])
    assert (adversarial != p.inputs).flatten(1).any(1)[~wrong].all()
    if norm != "l1":
        straight = deepfool(p.model, p.inputs, labels, norm=norm)
        assert (
            size(adversarial - p.inputs, norm).sum() < 0.99 * size(straight - p.inputs, norm).sum()
        )


@pytest.mark.parametrize("norm", ["linf", "l1"])
def test_is_drawn_along_the_border_towards_the_clean_image(norm: Norm) -> None:
    p, labels, _ = curved(0)
    drawn, straight = (
        size(fab(p.model, p.inputs, labels, norm=norm, steps=40, alpha_max=most) - p.inputs, norm)
        for most in (0.1, 0.0)
    )
    assert drawn.sum() < 0.98 * straight.sum()


@pytest.mark.parametrize("norm", NORMS)
def test_returns_the_nearest_of_all_that_it_saw(norm: Norm) -> None:
    model, (_, inputs, _) = Wavy(1), linear_problem(1, 3)
    labels = model(inputs).argmax(1)
    model.queried.clear()
    adversarial = fab(model, inputs, labels, norm=norm, steps=20, random_start=True, shrink=0)
    shown = [points for points in model.queried if len(points) == len(inputs)]
    assert len(shown) == 41
    result = size(adversarial - inputs, norm)
    assert (model(adversarial).argmax(1) != labels).all()
    for points in shown:
        fooled = model(points).argmax(1) != labels
        assert (result[fooled] <= size(points - inputs, norm)[fooled]).all()


@pytest.mark.parametrize("norm", NORMS)
def test_rejection_is_no_success(norm: Norm) -> None:
    for seed in range(3):
        model, (_, inputs, _) = Rejecting(seed, 3), linear_problem(seed, 3)
        labels = model(inputs)[:, :2].argmax(1)
        adversarial = fab(model, inputs, labels, norm=norm, steps=30)
        assert (model(adversarial).argmax(1) == 1 - labels).all()


def test_many_classes_with_few_candidates() -> None:
    model, inputs, labels = linear_problem(0, 1000)
    adversarial = fab(model, inputs, labels, candidates=10, steps=30)
    assert (model(adversarial).argmax(1) != labels).all()
    result, true = size(adversarial - inputs, "linf"), nearest_border(model, inputs, labels, "linf")
    assert (result <= 1.05 * true + ROUNDING).all()


def test_a_tie_is_left() -> None:
    model, inputs = Linear(0, 3), torch.full((1, *SHAPE), 0.5)
    labels = torch.tensor([0])
    adversarial = fab(model, inputs, labels, norm="l2", steps=20)
    assert (model(adversarial).argmax(1) != labels).all()
    assert size(adversarial - inputs, "l2") < 1e-3


def test_spends_nothing_on_images_that_are_wrong_when_clean() -> None:
    p, labels, wrong = curved(0)
    model = QueryCounter(p.model, len(p.inputs))
    fab(model, p.inputs, labels, steps=20, shrink=4)
    assert set(model.forwards[wrong].tolist()) == {1}
    assert set(model.forwards[~wrong].tolist()) == {1 + 2 * 20 + 2 + 4}
    model = QueryCounter(p.model, len(p.inputs))
    adversarial = fab(model, p.inputs, p.model(p.inputs).argmin(1), steps=20)
    assert set(model.forwards.tolist()) == {1}
    assert torch.equal(adversarial, p.inputs)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("radius", [None, 0.01])
def test_random_start(norm: Norm, radius: float | None) -> None:
    """The first point lies at the radius; the generator decides the walk."""
    model, (_, inputs, _) = Wavy(0), linear_problem(0, 3)
    labels = model(inputs).argmax(1)

    def run(seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return fab(
            model,
            inputs,
            labels,
            norm=norm,
            steps=3,
            random_start=True,
            start_radius=radius,
            generator=generator,
        )

    model.queried.clear()
    first = run(0)
    away = size(model.queried[1] - inputs, norm)
    expected = radius or {"linf": 0.15, "l2": 0.5, "l1": 2.5}[norm]
    assert torch.allclose(away, torch.tensor(expected), rtol=0.05)
    assert torch.equal(first, run(0))
    assert not torch.equal(first, run(1))


def test_restarts_find_nearer_borders() -> None:
    """On a model with many hills; each restart of an image draws its own start."""
    model, (_, inputs, _) = Wavy(2), linear_problem(2, 3)
    labels = model(inputs).argmax(1)
    streams = ImageStreams.of(range(len(inputs)), seed=0, purpose="fab")

    def tried(restarts: int) -> Tensor:
        tries = [
            fab(model, inputs, labels, steps=10, random_start=True, generator=streams.restarted(i))
            for i in range(restarts)
        ]
        return torch.stack([size(result - inputs, "linf") for result in tries]).amin(0)

    assert (tried(6) <= tried(1)).all()
    assert tried(6).mean() < tried(1).mean()


@pytest.mark.parametrize("norm", NORMS)
def test_what_cannot_be_fooled_comes_back_clean(norm: Norm) -> None:
    """The box ends before the border."""

    def safe(inputs: Tensor) -> Tensor:
        mean = inputs.flatten(1).mean(1)
        return torch.stack((1.5 + 0 * mean, mean), 1)

    inputs = torch.rand((2, *SHAPE), generator=torch.Generator().manual_seed(0)) / 4
    adversarial = fab(safe, inputs, torch.tensor([0, 0]), norm=norm, steps=5)
    assert torch.equal(adversarial, inputs)


@pytest.mark.parametrize("value", [0.0, torch.nan])
def test_without_slope_the_clean_image_comes_back(value: float) -> None:
    def flat(inputs: Tensor) -> Tensor:
        return (value * inputs.flatten(1))[:, :3] + torch.tensor([1.0, 0.0, 0.0])

    inputs = torch.rand((2, *SHAPE), generator=torch.Generator().manual_seed(0))
    adversarial = fab(flat, inputs, torch.tensor([0, 0]), steps=5)
    assert torch.equal(adversarial, inputs)


def test_a_row_does_not_see_its_batch() -> None:
    p, labels, _ = curved(2)
    streams = ImageStreams.of(range(12), seed=0, purpose="fab")
    whole = fab(p.model, p.inputs, labels, generator=streams, random_start=True, steps=5)
    for i in range(0, 12, 3):
        rows = torch.arange(i, i + 3)
        streams = ImageStreams.of(range(12), seed=0, purpose="fab").rows(rows)
        alone = fab(
            p.model, p.inputs[rows], labels[rows], generator=streams, random_start=True, steps=5
        )
        assert torch.allclose(whole[rows], alone, atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"eps": 0.1}, "takes no eps, got 0.1"),
        ({"steps": 0}, "steps must be >= 1"),
        ({"alpha_max": 1.5}, r"alpha_max must be a number in \[0, 1\], got 1.5"),
        ({"eta": 0.9}, r"eta must be a number in \[1, inf\], got 0.9"),
        ({"beta": torch.nan}, r"beta must be a number in \[0, 1\], got nan"),
        ({"candidates": 0}, "candidates must be a number"),
        ({"shrink": -1}, "shrink must be a number"),
        ({"start_radius": -1.0}, "start_radius must be a number"),
        ({"start_radius": float("inf")}, "start_radius must be a number"),
        ({"targets": torch.tensor([0])}, "target"),
    ],
)
def test_bad_input(changes: dict[str, Any], message: str) -> None:
    model, inputs = Linear(0, 3), torch.full((1, *SHAPE), 0.5)
    with pytest.raises(InvalidInput, match=message):
        fab(model, inputs, torch.tensor([0]), **changes)


def test_no_other_norm() -> None:
    with pytest.raises(UnsupportedNorm, match="fab: norm must be one of linf, l2, l1; got 'l0'"):
        fab(Linear(0, 3), torch.full((1, *SHAPE), 0.5), torch.tensor([0]), norm="l0")


def test_models_that_cannot_be_attacked() -> None:
    inputs, labels = torch.full((1, *SHAPE), 0.5), torch.tensor([0])
    with pytest.raises(BrokenContract, match="names no second class"):
        fab(Linear(0, 1), inputs, labels)
    with pytest.raises(InvalidInput, match="gives no gradient"):
        fab(lambda x: Linear(0, 2)(x.detach()), inputs, labels)
