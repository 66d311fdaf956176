"""HopSkipJump: what it asks, how near it comes, and where it begins."""

from typing import Any

import pytest
import torch
from tests.attacks.asked import (
    Asked,
    Blind,
    Never,
    Rounded,
    many_classes,
    rejecting,
    seeded,
    streams,
)
from torch import Tensor, nn

from epsball.attacks.black_box import sampling as _sampling
from epsball.attacks.black_box.hopskipjump import NORMS, hopskipjump
from epsball.errors import InvalidInput, UnsupportedNorm
from epsball.geometry import size
from epsball.testing.problems import ROWS, SHAPE, Problem, linear_problem
from epsball.types import Norm

BUDGETS = [1, 2, 7, 30, 100, 333]


def _right(seed: int = 0) -> tuple[nn.Module, Tensor, Tensor]:
    p = Problem(seed)
    return p.model, p.inputs, p.model(p.inputs).argmax(1)


def _is_clear(scores: Tensor) -> Tensor:
    first, second = scores.topk(2).values.unbind(1)
    return first - second > 1e-5 * scores.abs().amax(1)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("queries", BUDGETS)
@pytest.mark.parametrize("targeted", [False, True])
def test_query_budget_holds(norm: Norm, queries: int, targeted: bool) -> None:
    plain, inputs, labels = _right()
    model = Asked(plain, ROWS)
    targets = (labels + 1) % 3 if targeted else None
    adversarial = hopskipjump(
        model, inputs, labels, norm=norm, queries=queries, targets=targets, generator=seeded()
    )
    assert (model.asked <= queries).all()
    # what is left over would not have made a jump and brought it to the border
    assert (model.asked >= queries - 12).all()
    answer = plain(adversarial).argmax(1)
    fooled = answer != labels if targets is None else answer == targets
    assert (fooled | (adversarial == inputs).flatten(1).all(1)).all()
    assert queries < 100 or fooled.any()
    assert queries > 1 or not fooled.any()


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("seed", range(3))
def test_linear_oracle(norm: Norm, seed: int) -> None:
    model, inputs, labels = linear_problem(seed, classes=2)
    adversarial = hopskipjump(model, inputs, labels, norm=norm, queries=2000, generator=seeded())
    assert (model(adversarial).argmax(1) != labels).all()
    ratio = size(adversarial - inputs, norm) / model.distance(inputs, labels, norm)
    assert ratio.min() >= 1 - 1e-4
    assert ratio.max() <= (1.05 if norm == "l2" else 1.15)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("classes", [2, 3, 1000])
def test_any_number_of_classes(norm: Norm, classes: int) -> None:
    model, inputs, labels = many_classes(classes)
    adversarial = hopskipjump(model, inputs, labels, norm=norm, queries=400, generator=seeded())
    assert (model(adversarial).argmax(1) != labels).all()
    # noise seldom is of the very class; an image of it is a start
    targets = (labels + 1) % classes
    starts = (0.5 + model.weight.detach()[targets].view_as(inputs)).clamp(0, 1)
    assert (model(starts).argmax(1) == targets).all()
    adversarial = hopskipjump(
        model,
        inputs,
        labels,
        norm=norm,
        queries=400,
        targets=targets,
        starts=starts,
        generator=seeded(),
    )
    assert (model(adversarial).argmax(1) == targets).all()
    assert (size(adversarial - inputs, norm) < 0.9 * size(starts - inputs, norm)).all()


@pytest.mark.parametrize("norm", NORMS)
def test_returns_the_nearest_point_seen(norm: Norm) -> None:
    plain, inputs, labels = _right()
    model = Asked(plain, ROWS)
    adversarial = hopskipjump(model, inputs, labels, norm=norm, queries=300, generator=seeded())
    for row in range(ROWS):
        shown = torch.cat([points[rows == row] for rows, points in model.shown])
        fooled = (plain(shown).argmax(1) != labels[row]) & _is_clear(plain(shown))
        nearest = size(shown[fooled] - inputs[row], norm).min()
        assert size(adversarial - inputs, norm)[row] == nearest
    assert _is_clear(plain(adversarial)).all()  # another batch finds it as well


def test_more_queries_come_nearer() -> None:
    model, inputs, labels = linear_problem(0, classes=3)
    far = [
        float(
            size(
                hopskipjump(model, inputs, labels, queries=q, generator=seeded()) - inputs, "l2"
            ).mean()
        )
        for q in (20, 200, 2000)
    ]
    assert far[0] > 1.1 * far[1] > 1.1 * far[2]


@pytest.mark.parametrize("norm", NORMS)
def test_only_the_class_is_read(norm: Norm) -> None:
    plain, inputs, labels = _right()

    def named(points: Tensor) -> Tensor:
        return torch.nn.functional.one_hot(plain(points).argmax(1), 3).float()

    def run(model: Any) -> Tensor:
        return hopskipjump(model, inputs, labels, norm=norm, queries=150, generator=seeded())

    assert torch.equal(run(plain), run(named))


@pytest.mark.parametrize("norm", NORMS)
def test_needs_no_gradient(norm: Norm) -> None:
    model, inputs, labels = linear_problem(0, classes=3)
    blind = Blind(model)
    adversarial = hopskipjump(blind, inputs, labels, norm=norm, queries=300, generator=seeded())
    assert (blind(adversarial).argmax(1) != labels).all()


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("shades", [16, 255])
def test_beats_a_model_that_rounds_its_input(norm: Norm, shades: int) -> None:
    model, inputs, labels = linear_problem(0, classes=2)
    masked = Rounded(model, shades)
    labels = masked(inputs).argmax(1)
    adversarial = hopskipjump(masked, inputs, labels, norm=norm, queries=2000, generator=seeded())
    assert (masked(adversarial).argmax(1) != labels).all()
    # half a shade a pixel is what rounding may cost
    hidden = 0.5 / shades * (24**0.5 if norm == "l2" else 1)
    assert (
        size(adversarial - inputs, norm) <= 1.3 * model.distance(inputs, labels, norm) + hidden
    ).all()


def test_wrong_images_cost_one_query_and_stay() -> None:
    plain, inputs, labels = _right()
    labels[:3] = (labels[:3] + 1) % 3
    model = Asked(plain, ROWS)
    adversarial = hopskipjump(model, inputs, labels, queries=100, generator=seeded())
    assert model.asked[:3].tolist() == [1, 1, 1]
    assert torch.equal(adversarial[:3], inputs[:3])
    assert (adversarial[3:] != inputs[3:]).flatten(1).any(1).all()


def test_a_model_that_cannot_be_fooled_costs_the_budget() -> None:
    p, model = Problem(0), Asked(Never(), ROWS)
    labels = torch.zeros(ROWS, dtype=torch.int64)
    adversarial = hopskipjump(model, p.inputs, labels, queries=50, generator=seeded())
    assert torch.equal(adversarial, p.inputs)
    assert (model.asked == 50).all()


def test_being_rejected_is_no_success() -> None:
    model, inputs, labels = rejecting()
    adversarial = hopskipjump(model, inputs, labels, queries=300, generator=seeded())
    assert (model(adversarial).argmax(1) == 1 - labels).all()


def test_probes_grow_in_number() -> None:
    plain, inputs, labels = linear_problem(0, classes=2)
    model = Asked(plain, 1)
    hopskipjump(model, inputs[:1], labels[:1], queries=600, samples=50, generator=seeded())
    queries = [len(points) for _, points in model.shown if len(points) > 1]
    assert queries[:4] == [50, 70, 86, 100]  # 50 times the root of 1, 2, 3, 4


@pytest.mark.parametrize("norm", NORMS)
def test_an_image_draws_its_own_numbers(norm: Norm) -> None:
    p = Problem(0)
    model, inputs = p.model.double(), p.inputs.double()
    labels = model(inputs).argmax(1)

    def run(rows: slice) -> Tensor:
        own = streams(ROWS).rows(torch.arange(ROWS)[rows])
        return hopskipjump(model, inputs[rows], labels[rows], norm=norm, queries=400, generator=own)

    whole = run(slice(None))
    for first in (0, 5, 9):
        assert torch.allclose(whole[first : first + 3], run(slice(first, first + 3)), atol=1e-9)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, inputs, labels = _right()
    model = Asked(plain, ROWS)

    def run() -> Tensor:
        return hopskipjump(model, inputs, labels, queries=300, generator=streams(ROWS))

    before = run()
    assert max(len(points) for _, points in model.shown) > ROWS
    model.shown.clear()
    monkeypatch.setattr(_sampling, "_ASKED", 1)
    assert torch.allclose(run(), before, atol=1e-5)
    assert max(len(points) for _, points in model.shown) == ROWS
    model.shown.clear()
    monkeypatch.setattr(_sampling, "_ASKED", 2**20)
    monkeypatch.setattr(_sampling, "_DRAWN", 24 * 7)
    run()
    assert max(len(points) for _, points in model.shown) == 7 * ROWS


@pytest.mark.parametrize(
    ("error", "named", "given"),
    [
        (InvalidInput, "queries", {"queries": 0}),
        (InvalidInput, "samples", {"samples": 0}),
        (InvalidInput, "starts", {"starts": torch.zeros(5, *SHAPE)}),
        (InvalidInput, "starts", {"starts": torch.zeros(6, *SHAPE, dtype=torch.float64)}),
        (
            InvalidInput,
            r"starts .* got 0 to 255; divide",
            {"starts": 255 * torch.eye(144)[:, :1].view(6, *SHAPE)},
        ),
        (UnsupportedNorm, "l1", {"norm": "l1"}),
        (InvalidInput, "targets", {"targets": torch.zeros(6, dtype=torch.int64)}),
    ],
)
def test_bad_input(error: type[Exception], named: str, given: dict[str, Any]) -> None:
    model, inputs, _ = linear_problem(0, classes=2)
    labels = torch.zeros(6, dtype=torch.int64)
    with pytest.raises(error, match=f"hopskipjump: .*{named}"):
        hopskipjump(model, inputs, labels, **given)


@pytest.mark.parametrize("norm", NORMS)
def test_no_images(norm: Norm) -> None:
    model, inputs, labels = linear_problem(0, classes=2)
    assert hopskipjump(model, inputs[:0], labels[:0], norm=norm).shape == (0, *SHAPE)
