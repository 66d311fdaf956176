"""The attack on models that reject: what it climbs, how it steps, when it stops."""

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from epsball.attacks import pgd, rejection
from epsball.attacks.core.ascent import Visit
from epsball.attacks.gradient.line_search import LineSearch
from epsball.errors import InvalidInput
from epsball.geometry import size
from epsball.objectives import is_adversarial, margin
from epsball.testing.problems import SHAPE, Problem, QueryCounter, ThresholdRejector, band_problem
from epsball.types import ModelInfo, Norm, Search


def seeded(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Machines(nn.Module):
    """Log-odds of three machines, each steep in a direction of its own, and a bar."""

    info = ModelInfo(3, rejects=True, gives="log-odds")

    def __init__(self, steepness: float, bar: float = 2.0) -> None:
        super().__init__()
        self.weight = torch.linalg.qr(torch.randn((24, 3), generator=seeded()))[0]
        self.steepness, self.bar = steepness, bar

    def forward(self, inputs: Tensor) -> Tensor:
        odds = self.steepness * ((inputs - 0.5).flatten(1) @ self.weight)
        return torch.cat((odds, torch.full_like(odds[:, :1], self.bar)), 1)


def rejecting_problem(seed: int, threshold: float = 1.0) -> tuple[Problem, ThresholdRejector]:
    p = Problem(seed)
    return p, ThresholdRejector(p.model, p.classes, threshold).eval()


def lead(model: nn.Module, points: Tensor, labels: Tensor) -> Tensor:
    """How far the best accepted wrong class lies above label and rejection."""
    scores = model(points).detach()
    own = torch.maximum(scores[:, -1], scores.gather(1, labels[:, None])[:, 0])
    others: Tensor = scores[:, :-1].scatter(1, labels[:, None], -torch.inf).amax(1)
    return others - own


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_it_fools_what_the_margin_of_the_classes_alone_does_not(norm: Norm) -> None:
    model, inputs, labels = band_problem(0, tilted=True)
    distance = model.distance(inputs, labels, norm)
    blind = lambda x: model(x)[:, :2]  # noqa: E731 - the same model, its rejection forgotten
    for row in range(len(inputs)):
        at = slice(row, row + 1)
        eps = 1.05 * float(distance[row])
        given: dict[str, Any] = {"eps": eps, "norm": norm, "generator": seeded()}
        unaware = pgd(blind, inputs[at], labels[at], objective=margin, **given)
        knowing = rejection(model, inputs[at], labels[at], **given)
        assert not is_adversarial(model(unaware), labels[at], classes=2).any()
        assert is_adversarial(model(knowing), labels[at], classes=2).all()


def test_without_a_rejection_it_is_a_margin_attack() -> None:
    p = Problem(0)
    adversarial = rejection(p.model, p.inputs, p.labels, eps=0.3, generator=seeded())
    usual = pgd(
        p.model, p.inputs, p.labels, eps=0.3, norm="l2", objective="margin", generator=seeded()
    )
    ours, theirs = margin(p.model(adversarial), p.labels), margin(p.model(usual), p.labels)
    assert (ours > theirs - 0.05 * theirs.abs() - 0.05).all()


def test_targets_are_reached_past_the_rejection() -> None:
    model = Machines(8.0)
    inputs = 0.5 + 0.02 * torch.randn((6, *SHAPE), generator=seeded())
    labels = model(inputs)[:, :3].argmax(1)
    assert (model(inputs).argmax(1) == 3).all()
    for shift in (1, 2):
        targets = (labels + shift) % 3
        for objective in ("reject-margin", "reject-hinge", "reject-hinge-one", "cross-entropy"):
            adversarial = rejection(
                model,
                inputs,
                labels,
                eps=0.5,
                targets=targets,
                objective=objective,
                generator=seeded(),
            )
            assert (model(adversarial).argmax(1) == targets).all(), objective


def test_the_hinge_goes_towards_the_second_class_of_the_clean_image() -> None:
    model = Machines(8.0)
    inputs = 0.5 + 0.05 * torch.randn((8, *SHAPE), generator=seeded())
    ranked = model(inputs)[:, :3].topk(2, dim=1).indices
    labels = ranked[:, 0]
    for objective in ("reject-hinge", "reject-hinge-one"):
        adversarial = rejection(
            model,
            inputs,
            labels,
            eps=2.0,
            objective=objective,
            keep="last",
            step_size=0.05,
            gradient="raw",
            tolerance=1e-6,
            scale="scores",
            generator=seeded(),
        )
        assert (model(adversarial).argmax(1) == ranked[:, 1]).all(), objective
    # the sum also lowers the machines of the other classes, the one machine's hinge does not
    together, alone = (
        rejection(model, inputs, labels, eps=0.5, objective=name, steps=200, generator=seeded())
        for name in ("reject-hinge", "reject-hinge-one")
    )
    own = [
        model(adversarial).gather(1, labels[:, None]).mean() for adversarial in (together, alone)
    ]
    assert own[0] < own[1] - 0.2


def test_probabilities_vanish_where_scores_do_not() -> None:
    model = Machines(4000.0)
    labels = torch.tensor([0, 1, 2])
    sides = 0.5 * torch.eye(3) - 0.2  # its own machine says yes, the others no, all loudly
    inputs = 0.5 + (sides @ model.weight.T).reshape(3, *SHAPE)
    assert (model(inputs)[:, :3].abs() > 100).all()
    given: dict[str, Any] = {"eps": 1.0, "random_start": False, "generator": seeded()}
    won = {
        scale: int(
            is_adversarial(
                model(rejection(model, inputs, labels, scale=scale, **given)), labels, classes=3
            ).sum()
        )
        for scale in ("scores", "probabilities")
    }
    assert won["scores"] > won["probabilities"]


def test_probabilities_of_other_models_are_their_softmax() -> None:
    p, model = rejecting_problem(3, threshold=4.0)
    adversarial = rejection(
        model, p.inputs, p.labels, eps=0.5, scale="probabilities", generator=seeded()
    )
    before = is_adversarial(model(p.inputs), p.labels, classes=3).sum()
    assert is_adversarial(model(adversarial), p.labels, classes=3).sum() > before


def test_a_tolerance_ends_walks() -> None:
    p, model = rejecting_problem(1, threshold=50.0)  # nothing is ever accepted: every walk lasts
    spent = {}
    for tolerance in (0.0, 0.01, 1.0):
        for step_size in (None, 0.01):
            counting = QueryCounter(model, len(p.inputs))
            rejection(
                counting,
                p.inputs,
                p.labels,
                eps=0.3,
                steps=200,
                tolerance=tolerance,
                step_size=step_size,
                generator=seeded(),
            )
            spent[tolerance, step_size] = int(counting.queries.sum())
    for step_size in (None, 0.01):
        assert spent[1.0, step_size] < spent[0.01, step_size] <= spent[0.0, step_size]
    assert spent[0.0, 0.01] == 201 * len(p.inputs)
    assert spent[0.0, None] < spent[0.0, 0.01]  # where no length helps a walk is over


@pytest.mark.parametrize("step_size", [None, 0.02])
def test_last_is_where_the_walk_ends(step_size: float | None) -> None:
    p, model = rejecting_problem(2)
    given: dict[str, Any] = {"eps": 0.4, "steps": 30, "step_size": step_size}
    last = rejection(model, p.inputs, p.labels, keep="last", generator=seeded(), **given)
    best = rejection(model, p.inputs, p.labels, keep="best", generator=seeded(), **given)
    won = [is_adversarial(model(result), p.labels, classes=3) for result in (last, best)]
    assert (won[1] | ~won[0]).all()
    assert (size(last - p.inputs, "l2") <= 0.4 + 1e-6).all()
    if step_size is None:  # a line search only goes up: the last point that it stood at is high
        start = rejection(
            model, p.inputs, p.labels, eps=0.4, steps=1, keep="last", generator=seeded()
        )
        assert (lead(model, last, p.labels) >= lead(model, start, p.labels) - 1e-6).all()


def test_the_line_search_takes_only_what_rises() -> None:
    """On |x|^2 upside down around a hidden top, steps of any first length arrive."""
    inputs = torch.full((3, 1, 1, 2), 0.5)
    top = torch.tensor([[0.6, 0.5], [0.5, 0.7], [0.52, 0.48]]).view(3, 1, 1, 2)
    search = LineSearch(inputs, 0.4, "l2", 0.0)
    point, stood = inputs.clone(), []
    for number in range(60):
        value = -(point - top).flatten(1).square().sum(1)
        point = search(Visit(point, -2 * (point - top), value, number))
        assert search.base is not None
        stood.append(search.base[2])
    assert all((after >= before).all() for before, after in pairwise(stood))
    assert (stood[-1] > -1e-5).all()
    assert search.ended is not None
    assert search.ended.all()


def test_a_density_draws_the_walk_to_where_images_are() -> None:
    p, model = rejecting_problem(0)
    calls = []

    def density(points: Tensor) -> Tensor:
        calls.append(len(points))
        return -(points - p.inputs[:1]).flatten(1).square().sum(1)

    far = {}
    for weight in (0.0, 1.0, 1e4):
        adversarial = rejection(
            model,
            p.inputs,
            p.labels,
            eps=0.5,
            density=density,
            density_weight=weight,
            keep="last",
            generator=seeded(),
        )
        far[weight] = float((adversarial - p.inputs[:1]).flatten(1).norm(dim=1).mean())
        assert bool(calls) == (weight > 0)
    assert far[1e4] < far[1.0] <= far[0.0]
    assert max(calls) <= len(p.inputs)


def test_a_cheaper_model_never_decides() -> None:
    p, model = rejecting_problem(0)

    class Cheaper(nn.Module):
        info = model.info

        def forward(self, inputs: Tensor) -> Tensor:
            scores: Tensor = model((inputs * 16).round() / 16 + inputs - inputs.detach())
            return scores

    search = Search(confirm=model)
    adversarial = rejection(
        Cheaper(), p.inputs, p.labels, eps=0.4, search=search, generator=seeded()
    )
    whole = rejection(model, p.inputs, p.labels, eps=0.4, generator=seeded())
    won = [int(is_adversarial(model(m), p.labels, classes=3).sum()) for m in (adversarial, whole)]
    before = int(is_adversarial(model(p.inputs), p.labels, classes=3).sum())
    assert before < won[0] >= won[1] - 2


def test_a_fooled_image_costs_no_more() -> None:
    p, model = rejecting_problem(4)
    counting = QueryCounter(model, len(p.inputs))
    adversarial = rejection(
        counting, p.inputs, p.labels, eps=0.5, search=Search(), generator=seeded()
    )
    won = is_adversarial(model(adversarial), p.labels, classes=3)
    assert won.any()
    assert counting.queries[won].float().mean() < 50


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"scale": "logits"}, "unknown scale 'logits'"),
        ({"keep": "first"}, "unknown keep 'first'"),
        ({"objective": "reject"}, "unknown objective 'reject'"),
        ({"gradient": "raw"}, "give a step_size"),
        ({"gradient": "up", "step_size": 0.1}, "unknown gradient 'up'"),
        ({"tolerance": -1.0}, "tolerance must be >= 0"),
        ({"density": "kde"}, "cannot be given by name"),
        ({"density": len, "density_weight": -1.0}, "density_weight must be >= 0"),
        ({"density": lambda x: x.sum()}, "one log-density an image"),
        ({"density": lambda x: x.detach().flatten(1).sum(1)}, "must have a gradient"),
    ],
)
def test_bad_input(given: dict[str, Any], says: str) -> None:
    p = Problem(0)
    with pytest.raises(InvalidInput, match=says):
        rejection(p.model, p.inputs, p.labels, eps=0.1, **given)


def test_a_hinge_without_a_class_is_refused_elsewhere() -> None:
    p = Problem(0)
    with pytest.raises(InvalidInput, match="use the attack rejection"):
        pgd(p.model, p.inputs, p.labels, eps=0.1, objective="reject-hinge")
    pgd(p.model, p.inputs, p.labels, eps=0.1, objective="reject-hinge", targets=p.targets)
