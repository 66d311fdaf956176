"""The judge of drawn pairs calls wrong what is wrong, and right what is right."""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from benchmarks.drawn_pairs import judging
from benchmarks.drawn_pairs.building import Built
from benchmarks.drawn_pairs.judging import judge
from tests.evaluation.conftest import fit, sample_images
from torch import Tensor, nn

IMAGES, LABELS = sample_images(80)


@pytest.fixture(scope="module")
def net() -> nn.Module:
    torch.manual_seed(0)
    return fit(nn.Sequential(nn.Flatten(), nn.Linear(36, 16), nn.ReLU(), nn.Linear(16, 5)))


def _exact(net: nn.Module) -> Callable[[Tensor], Tensor]:
    double: nn.Module = copy.deepcopy(net).double()
    return lambda points: double(points)


@pytest.fixture
def built(net: nn.Module) -> Built:
    return Built(
        model=net,
        options={},
        data=(IMAGES, LABELS),
        truth=_exact(net),
        images=IMAGES.double() / 255,
        labels=LABELS,
        codes=frozenset(),
        mistaken=False,
        coarse=1e-4,
        held=net,
    )


def test_what_is_right_is_right(built: Built) -> None:
    outcome = judge(built)
    assert (outcome.verdict, outcome.detail) == ("right", "")
    assert outcome.robust == outcome.robust_truth


def test_another_network_than_the_true_one_is_wrong(built: Built) -> None:
    torch.manual_seed(1)
    other = nn.Sequential(nn.Flatten(), nn.Linear(36, 5)).eval()
    assert judge(replace(built, truth=_exact(other))).verdict == "wrong"
    moved = (IMAGES, (LABELS + 1) % 5)
    assert judge(replace(built, data=moved, codes=frozenset())).verdict in ("wrong", "finding")


def test_scores_that_their_type_rounds_are_no_fault_of_the_audit(
    built: Built, net: nn.Module
) -> None:
    """Behind 1,000, bfloat16 has steps of 4: which class wins is that of the rounded scores."""

    def rounded(images: Tensor) -> Tensor:
        exact: Tensor = net(images) + 1000
        return exact + (exact.detach().bfloat16().float() - exact.detach())

    given = replace(built, model=rounded, held=None)
    assert judge(given).verdict == "wrong"
    step = 1000 * torch.finfo(torch.bfloat16).eps
    assert judge(replace(given, rounding=step)).verdict != "wrong"


def test_attacked_images_of_another_gradient_are_wrong(
    built: Built, net: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clean images agree, the attacked ones do not: only the second half of the judge sees."""
    monkeypatch.setattr(judging, "EPS", 0.3)
    exact, clean = _exact(net), IMAGES.double() / 255

    def other(points: Tensor) -> Tensor:
        apart = (points.detach() - clean).abs().flatten(1).amax(1, keepdim=True)
        return exact(points) if float(apart.max()) < 1e-6 else exact(clean + 0 * points)

    assert judge(replace(built, truth=other)).verdict == "wrong"


def test_tracebacks_and_moved_models_are_counted(
    built: Built, net: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raises(*_: Any, **__: Any) -> None:
        raise KeyError("x")

    monkeypatch.setattr(judging, "audit", raises)
    assert judge(built).verdict == "traceback"

    def moves(*_: Any, **__: Any) -> Any:
        with torch.no_grad():
            next(net.parameters()).add_(1.0)
        return type("Report", (), {"findings": [], "blocked": False})()

    monkeypatch.setattr(judging, "audit", moves)
    assert judge(built).verdict == "changed"
