"""Square patches: what they reach, and what they leave alone."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.attacks.patched import Planes, corner_reader, images, seeded
from torch import Tensor, nn

from epsball.attacks.unrestricted.patch.patch import patch
from epsball.attacks.unrestricted.patch.place import patch_side
from epsball.errors import InvalidInput
from epsball.objectives import is_adversarial, margin
from epsball.randomness import ImageStreams
from epsball.testing.problems import ROWS, SHAPE, Linear, Problem, Wavy
from epsball.types import ModelInfo, Search

STEPS = 12


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 99),
    share=st.floats(0.01, 1),
    samples=st.integers(1, 3),
    targeted=st.booleans(),
    universal=st.booleans(),
)
def test_only_a_square_changes(
    seed: int, share: float, samples: int, targeted: bool, universal: bool
) -> None:
    p = Problem(seed)
    adversarial = patch(
        p.model,
        p.inputs,
        p.labels,
        share=share,
        steps=3,
        samples=samples,
        universal=universal,
        targets=p.targets if targeted else None,
        generator=seeded(),
    )
    assert adversarial.shape == p.inputs.shape
    assert adversarial.min() >= 0
    assert adversarial.max() <= 1
    assert not adversarial.requires_grad
    side = patch_side(p.inputs, share)
    for row in (adversarial != p.inputs).any(1):
        rows, columns = row.any(1).nonzero(), row.any(0).nonzero()
        assert int(rows.max() - rows.min()) < side
        assert int(columns.max() - columns.min()) < side


def test_a_position_is_kept() -> None:
    p = Problem(0)
    adversarial = patch(p.model, p.inputs, p.labels, share=0.3, position=(1, 2), steps=3)
    changed = (adversarial != p.inputs).any(1).any(0)
    assert changed.nonzero().tolist() == [[1, 2], [1, 3], [2, 2], [2, 3]]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("samples", [1, 4])
def test_a_linear_model_meets_its_worst_patch(seed: int, samples: int) -> None:
    model = Linear(seed, 2)
    inputs = images(6, *SHAPE, seed=seed)
    labels = model(inputs).argmax(1)
    # views that do not turn are the patch itself, so every number of them has the same optimum
    adversarial = patch(
        model,
        inputs,
        labels,
        share=0.34,
        position=(1, 1),
        steps=STEPS,
        samples=samples,
        rotation=0,
        scale=0,
        generator=seeded(seed),
    )
    away = (model.weight[1 - labels] - model.weight[labels]).detach().view(inputs.shape)
    best = inputs.clone()
    best[:, :, 1:3, 1:3] = (away > 0).float()[:, :, 1:3, 1:3]
    torch.testing.assert_close(adversarial, best)


def test_a_model_that_reads_a_corner_falls_to_a_patch_there_only() -> None:
    x, labels = 0.2 * images(3, 1, 10, 10), torch.zeros(3, dtype=torch.int64)
    there = patch(corner_reader, x, labels, share=0.09, position=(0, 0), steps=STEPS)
    assert is_adversarial(corner_reader(there), labels).all()
    assert there[:, :, :3, :3].min() > 0.9
    elsewhere = patch(corner_reader, x, labels, share=0.09, position=(5, 5), steps=STEPS)
    assert not is_adversarial(corner_reader(elsewhere), labels).any()
    assert torch.equal(elsewhere[:, :, :5, :5], x[:, :, :5, :5])


def test_targets_are_reached() -> None:
    model, x = Planes(3, 108), images(6, 3, 6, 6)
    labels = model(x).argmax(1)
    for shift in (1, 2):
        targets = (labels + shift) % 3
        adversarial = patch(
            model, x, labels, share=0.8, steps=STEPS, targets=targets, generator=seeded()
        )
        assert (model(adversarial).argmax(1) == targets).all()


@pytest.mark.parametrize("targeted", [False, True])
def test_returns_the_strongest_patch_it_saw(targeted: bool) -> None:
    p, model = Problem(3), Wavy(3)
    targets = p.targets if targeted else None
    adversarial = patch(
        model,
        p.inputs,
        p.labels,
        share=0.4,
        steps=8,
        samples=1,
        targets=targets,
        generator=seeded(),
    )
    shown = list(model.queried)
    assert len(shown) == 9

    def rank(points: Tensor) -> Tensor:
        logits = model(points).detach()
        value = margin(logits, p.labels) if targets is None else -margin(logits, targets)
        return 1e3 * is_adversarial(logits, p.labels, targets) + value

    assert torch.equal(rank(adversarial), torch.stack([rank(points) for points in shown]).amax(0))


@pytest.mark.parametrize("universal", [False, True])
def test_same_seed_same_result_in_any_grad_mode_and_nothing_is_changed(universal: bool) -> None:
    p = Problem(0)
    before, inputs = p.state(), p.inputs.clone()

    def run() -> Tensor:
        return patch(
            p.model,
            p.inputs,
            p.labels,
            share=0.3,
            steps=4,
            universal=universal,
            generator=seeded(),
        )

    first = run()
    assert torch.equal(first, run())
    with torch.no_grad():
        assert torch.equal(first, run())
    assert torch.equal(p.inputs, inputs)
    after = p.state()
    assert all(torch.equal(a, b) for a, b in zip(before[0], after[0], strict=True))
    assert before[1:] == after[1:]


@pytest.mark.parametrize("search", [None, Search(), Search(retire=False, micro_batch=5)])
def test_rows_do_not_see_their_batch(search: Search | None) -> None:
    p = Problem(2)

    def run(rows: slice) -> Tensor:
        streams = ImageStreams.of(range(ROWS)[rows], seed=0, purpose="patch")
        return patch(
            p.model,
            p.inputs[rows],
            p.labels[rows],
            share=0.3,
            steps=6,
            generator=streams,
            search=search,
        )

    torch.testing.assert_close(run(slice(None))[4:7], run(slice(4, 7)), atol=1e-4, rtol=0)


def test_a_fooled_image_leaves_where_that_is_allowed() -> None:
    p = Problem(1)
    calls: list[int] = []

    def model(inputs: Tensor) -> Tensor:
        calls.append(len(inputs))
        scores: Tensor = p.model(inputs)
        return scores

    knobs: dict[str, Any] = {"share": 0.8, "steps": 10, "samples": 2}
    whole = patch(model, p.inputs, p.labels, generator=seeded(), **knobs)
    assert sum(calls) == 21 * ROWS
    calls.clear()
    adversarial = patch(model, p.inputs, p.labels, generator=seeded(), search=Search(), **knobs)
    assert sum(calls) < 21 * ROWS
    won = [is_adversarial(p.model(points), p.labels) for points in (adversarial, whole)]
    assert torch.equal(won[0], won[1])


def test_a_cheap_models_wins_are_confirmed() -> None:
    x, labels = 0.2 * images(3, 1, 10, 10), torch.zeros(3, dtype=torch.int64)

    def gullible(inputs: Tensor) -> Tensor:
        return corner_reader(inputs) + torch.tensor([0.0, 2.0])

    adversarial = patch(
        gullible,
        x,
        labels,
        share=0.09,
        position=(0, 0),
        steps=STEPS,
        search=Search(confirm=corner_reader),
    )
    assert is_adversarial(corner_reader(adversarial), labels).all()


def test_being_rejected_is_no_success() -> None:
    class Wary(nn.Module):
        info = ModelInfo(classes=2, rejects=True)

        def forward(self, inputs: Tensor) -> Tensor:
            scores = corner_reader(inputs)
            strange = inputs[:, :, 3:, 3:].mean((1, 2, 3))
            return torch.cat((scores, (2 * strange)[:, None]), 1)

    x, labels = 0.2 * images(3, 1, 10, 10), torch.zeros(3, dtype=torch.int64)
    model = Wary()
    adversarial = patch(model, x, labels, share=0.09, position=(0, 0), steps=STEPS)
    assert (model(adversarial).argmax(1) == 1).all()


@pytest.mark.parametrize(
    ("knobs", "named"),
    [
        ({"share": 0.0}, "share"),
        ({"share": 1.5}, "share"),
        ({"share": math.nan}, "share"),
        ({"steps": 0}, "steps"),
        ({"step_size": -1.0}, "step_size"),
        ({"samples": 0}, "samples"),
        ({"rotation": -1.0}, "rotation"),
        ({"scale": 1.0}, "scale"),
        ({"position": (0, 9)}, "position"),
        ({"position": (-1, 0)}, "position"),
        ({"objective": "greed"}, "objective"),
    ],
)
def test_bad_settings_are_named(knobs: dict[str, Any], named: str) -> None:
    p = Problem(0)
    with pytest.raises(InvalidInput, match=named):
        patch(p.model, p.inputs, p.labels, **knobs)


def test_a_model_without_gradient_is_refused() -> None:
    p = Problem(0)
    with pytest.raises(InvalidInput, match="gradient"):
        patch(lambda inputs: p.model(inputs).detach(), p.inputs, p.labels)
