"""SPSA: what it asks, what it finds, and whether its slopes are slopes."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.attacks.asked import (
    Asked,
    Never,
    rejecting,
    seeded,
    streams,
)
from torch import Tensor

from epsball.attacks.black_box import sampling as _sampling
from epsball.attacks.black_box import spsa as _spsa
from epsball.attacks.black_box.spsa import NORMS, spsa
from epsball.attacks.core.ascent import BestSeen
from epsball.attacks.gradient.pgd import Mislead
from epsball.errors import InvalidInput, UnsupportedNorm
from epsball.geometry import project_into_box
from epsball.objectives import margin
from epsball.testing.problems import ROWS, SHAPE, Linear, Problem, linear_problem
from epsball.types import Norm

BUDGETS = [1, 2, 3, 4, 7, 100]


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("queries", BUDGETS)
def test_query_budget_holds(norm: Norm, queries: int) -> None:
    p = Problem(0)
    labels = torch.zeros(ROWS, dtype=torch.int64)
    for samples in (None, 1, 1000):
        model = Asked(Never(), ROWS)
        spsa(model, p.inputs, labels, eps=0.1, norm=norm, queries=queries, samples=samples)
        assert (model.asked <= queries).all()
        # a step needs three: what is left is less than that
        assert (model.asked >= queries - 2).all()


@pytest.mark.parametrize("norm", NORMS)
def test_fooled_images_are_left_alone(norm: Norm) -> None:
    p = Problem(0)
    labels = p.model(p.inputs).argmax(1)
    labels[:3] = (labels[:3] + 1) % 3  # wrong from the start
    model = Asked(p.model, ROWS)
    adversarial = spsa(
        model, p.inputs, labels, eps=0.2, norm=norm, queries=400, samples=4, generator=seeded()
    )
    assert torch.equal(model.asked[:3], torch.ones(3, dtype=torch.int64))
    assert torch.equal(adversarial[:3], p.inputs[:3])
    gone: set[int] = set()
    for rows, points in model.shown:
        assert gone.isdisjoint(rows.tolist())
        gone.update(rows[p.model(points).argmax(1) != labels[rows]].tolist())
    assert 3 < len(gone) < ROWS
    fooled = (p.model(adversarial).argmax(1) != labels).nonzero()[:, 0]
    assert gone == set(fooled.tolist())


@pytest.mark.parametrize("norm", NORMS)
def test_an_image_draws_its_own_directions(norm: Norm) -> None:
    p = Problem(0)
    model, inputs = p.model.double(), p.inputs.double()
    labels = model(inputs).argmax(1)

    def run(rows: slice) -> Tensor:
        own = streams(ROWS).rows(torch.arange(ROWS)[rows])
        return spsa(
            model, inputs[rows], labels[rows], eps=0.1, norm=norm, queries=150, generator=own
        )

    whole = run(slice(None))
    assert torch.allclose(whole[5:8], run(slice(5, 8)), atol=1e-9)
    assert not torch.equal((whole - inputs).sign()[0], (whole - inputs).sign()[1])


@pytest.mark.parametrize("norm", NORMS)
def test_the_scale_of_scores_does_not_matter(norm: Norm) -> None:
    p = Problem(0)
    labels = p.model(p.inputs).argmax(1)

    def run(scale: float) -> Tensor:
        return spsa(
            lambda inputs: p.model(inputs) * scale,
            p.inputs,
            labels,
            eps=0.05,
            norm=norm,
            queries=200,
            generator=seeded(),
        )

    assert torch.equal(run(1.0), run(2.0**-40))


@pytest.mark.parametrize("norm", NORMS)
def test_being_rejected_is_no_success(norm: Norm) -> None:
    model, inputs, labels = rejecting()
    counting = Asked(model, len(inputs))
    eps = 0.2 if norm == "linf" else 0.8
    adversarial = spsa(
        counting, inputs, labels, eps=eps, norm=norm, queries=100, generator=seeded()
    )
    fooled = model(adversarial).argmax(1) == 1 - labels
    assert int(fooled.sum()) > len(labels) / 2
    for rows, points in counting.shown:
        answer = model(points).argmax(1)
        assert fooled[rows[answer == 1 - labels[rows]]].all()
    assert any((model(points).argmax(1) == 2).any() for _, points in counting.shown)


def _visited(model: Asked, count: int) -> Tensor:
    """Return the points of the walk, without the probes around them."""
    return torch.stack([points for _, points in model.shown if len(points) == count])


class Sure(Linear):
    """Cannot be fooled, though it has a slope."""

    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs) + torch.tensor([100.0, 0.0])


@pytest.mark.parametrize(("norm", "spread"), [("linf", 1.0), ("l2", 24**0.5)])
def test_steps_are_adams(norm: Norm, spread: float) -> None:
    """The first goes as far in every pixel; by default they begin with eps and shrink to none."""
    inputs, labels = torch.full((2, *SHAPE), 0.5), torch.zeros(2, dtype=torch.int64)
    model = Asked(Sure(0, 2), 2)
    spsa(model, inputs, labels, eps=0.3, norm=norm, queries=201, samples=4, step_size=0.01)
    first = (_visited(model, 2)[1] - inputs).abs()
    assert torch.allclose(first, torch.full_like(first, 0.01 / spread), rtol=1e-3)
    model.shown.clear()
    spsa(model, inputs, labels, eps=0.3, norm=norm, queries=201, samples=4)
    steps = _visited(model, 2).diff(dim=0).abs().flatten(1).amax(1)
    assert steps[0] == pytest.approx(0.3 / spread, rel=1e-3)
    assert steps[-3:].max() < 0.3 * steps[0]


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    p, model = Problem(0), Asked(Never(), ROWS)
    labels = torch.zeros(ROWS, dtype=torch.int64)

    def run() -> Tensor:
        return spsa(
            model, p.inputs, labels, eps=0.1, queries=202, samples=50, generator=streams(ROWS)
        )

    plain = run()
    assert max(len(points) for _, points in model.shown) > ROWS
    model.shown.clear()
    monkeypatch.setattr(_sampling, "_ASKED", 1)
    assert torch.allclose(run(), plain)
    assert max(len(points) for _, points in model.shown) == ROWS
    model.shown.clear()
    monkeypatch.setattr(_sampling, "_ASKED", 2**20)
    monkeypatch.setattr(_sampling, "_DRAWN", 24 * 7)
    run()
    # 50 pairs in sevens, the last one alone, and the image itself
    assert {len(points) // ROWS for _, points in model.shown} == {2 * 7, 2, 1}


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999), norm=st.sampled_from(NORMS), border=st.booleans())
def test_slopes_point_uphill(seed: int, norm: Norm, border: bool) -> None:
    """Of a linear goal, wherever in ball and box: pixels at a border are probed one way only."""
    model, inputs, labels = linear_problem(seed, classes=2)
    inputs = inputs[:1].round() if border else inputs[:1]
    goal, zero = Mislead(model, margin, labels[:1], None), torch.zeros_like(inputs)
    point = project_into_box(
        inputs + 0.1 * torch.randn(inputs.shape, generator=seeded(seed)), inputs, 0.1, norm
    )
    walk = _spsa._Walk(torch.zeros(1, dtype=torch.int64), inputs, point, zero, zero, goal, seeded())
    prober = _spsa._Prober(model, BestSeen(inputs), 10_000, 0.1, norm)
    guessed, _ = prober.slope(walk, 2000, 0.01)
    across = (model.weight[1 - labels[0]] - model.weight[labels[0]]).detach()
    if norm == "l2":  # what leads out of the ball is cut off
        out = torch.nn.functional.normalize((point - inputs).flatten(), dim=0)
        guessed, across = (v.flatten() - v.flatten() @ out * out for v in (guessed, across))
    assert torch.cosine_similarity(guessed.flatten(), across, dim=0) > 0.95
    assert 0.75 < guessed.norm() / across.norm() < 1.25


@pytest.mark.parametrize(
    ("error", "named", "given"),
    [
        (InvalidInput, "queries", {"queries": 0}),
        (InvalidInput, "samples", {"samples": 0}),
        (InvalidInput, "probe_size", {"probe_size": 0.0}),
        (InvalidInput, "step_size", {"step_size": -1.0}),
        (InvalidInput, "eps", {"eps": -1.0}),
        (UnsupportedNorm, "l1", {"norm": "l1"}),
        (InvalidInput, "targets", {"targets": torch.zeros(6, dtype=torch.int64)}),
    ],
)
def test_bad_input(error: type[Exception], named: str, given: dict[str, Any]) -> None:
    model, inputs, _ = linear_problem(0, classes=2)
    labels = torch.zeros(6, dtype=torch.int64)
    with pytest.raises(error, match=f"spsa: .*{named}"):
        spsa(model, inputs, labels, **{"eps": 0.1} | given)


@pytest.mark.parametrize("norm", NORMS)
def test_no_images(norm: Norm) -> None:
    model, inputs, labels = linear_problem(0, classes=2)
    assert spsa(model, inputs[:0], labels[:0], eps=0.1, norm=norm).shape == (0, *SHAPE)
