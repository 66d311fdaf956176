"""The attack that picks the worst of the common corruptions."""

import itertools
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from epsball.attacks.unrestricted.corruptions.corruptions import CORRUPTIONS, corrupt, corruptions
from epsball.errors import InvalidInput
from epsball.objectives import is_adversarial, margin
from epsball.randomness import ImageStreams
from epsball.testing.problems import ROWS, Problem, Wavy
from epsball.types import Search


def seeded(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_there_are_fifteen() -> None:
    assert len(CORRUPTIONS) == 15


@pytest.mark.parametrize("search", [None, Search()])
def test_one_kind_gives_that_kind(search: Search | None) -> None:
    p = Problem(0)
    adversarial = corruptions(
        p.model, p.inputs, p.labels, kind="contrast", severity=2, search=search
    )
    assert torch.equal(adversarial, corrupt(p.inputs, "contrast", 2))


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 99), severity=st.integers(1, 5), targeted=st.booleans())
def test_all_gives_the_worst_of_fifteen(seed: int, severity: int, targeted: bool) -> None:
    p, model = Problem(seed), Wavy(seed)
    targets = p.targets if targeted else None
    adversarial = corruptions(
        model, p.inputs, p.labels, severity=severity, targets=targets, generator=seeded()
    )
    shown = list(model.queried)
    assert len(shown) == 15

    def rank(points: Tensor) -> Tensor:
        logits = model(points)
        value = margin(logits, p.labels) if targets is None else -margin(logits, targets)
        return 1e3 * is_adversarial(logits, p.labels, targets) + value

    assert torch.equal(rank(adversarial), torch.stack([rank(points) for points in shown]).amax(0))
    assert not adversarial.requires_grad


def test_a_model_afraid_of_light_falls_to_brightness_alone() -> None:
    x = torch.full((2, 1, 8, 8), 0.5)

    def afraid(inputs: Tensor) -> Tensor:
        light = inputs.flatten(1).amin(1)
        return torch.stack((torch.full_like(light, 0.6), light), 1)

    labels = torch.tensor([0, 0])
    adversarial = corruptions(afraid, x, labels, severity=3, generator=seeded())
    torch.testing.assert_close(adversarial, torch.full_like(x, 0.65))
    assert is_adversarial(afraid(adversarial), labels).all()


@pytest.mark.parametrize("search", [None, Search()])
def test_a_image_gets_the_same_in_any_batch_and_beside_any_kind(search: Search | None) -> None:
    p = Problem(2)

    def run(rows: slice, **knobs: Any) -> Tensor:
        streams = ImageStreams.of(range(ROWS)[rows], seed=0, purpose="corruptions")
        return corruptions(
            p.model, p.inputs[rows], p.labels[rows], generator=streams, search=search, **knobs
        )

    whole = run(slice(None))
    torch.testing.assert_close(whole[4:7], run(slice(4, 7)), atol=1e-4, rtol=0)
    alone = [run(slice(None), kind=kind) for kind in CORRUPTIONS]
    near = torch.stack([(whole - result).abs().flatten(1).amax(1) for result in alone]).amin(0)
    assert (near < 1e-4).all()


def test_a_fooled_image_leaves_where_that_is_allowed() -> None:
    p = Problem(1)
    calls: list[int] = []

    def model(inputs: Tensor) -> Tensor:
        calls.append(len(inputs))
        scores: Tensor = p.model(inputs)
        return scores

    corruptions(model, p.inputs, p.labels, generator=seeded(), search=Search())
    assert calls[0] == ROWS
    assert all(late <= early for early, late in itertools.pairwise(calls))
    assert calls[-1] < ROWS


@pytest.mark.parametrize(
    ("knobs", "named"),
    [
        ({"kind": "fogg"}, "did you mean 'fog'"),
        ({"kind": "everything"}, "known: all"),
        ({"severity": 0}, "severity must be 1 to 5, got 0"),
        ({"severity": 6}, "severity"),
    ],
)
def test_bad_settings_are_named(knobs: dict[str, Any], named: str) -> None:
    p = Problem(0)
    with pytest.raises(InvalidInput, match=named):
        corruptions(p.model, p.inputs, p.labels, **knobs)


def test_corrupt_knows_no_all() -> None:
    with pytest.raises(InvalidInput, match="unknown corruption 'all'"):
        corrupt(torch.zeros(1, 1, 8, 8), "all", 1)
