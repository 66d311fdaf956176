"""FMN on models whose nearest borders are known."""

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.attacks import sparsest
from tests.attacks.borders import ROUNDING, QueryCounter, curved, held_by_the_box, nearest_border
from tests.attacks.sparsest import changed, far_problem, fewest
from torch import Tensor, nn

from epsball.attacks.nearest.border import LeadGoal
from epsball.attacks.nearest.chase import LogOdds
from epsball.attacks.nearest.fmn import NORMS, fmn
from epsball.attacks.nearest.hyperplane import step_to_plane
from epsball.errors import InvalidInput, UnsupportedNorm
from epsball.geometry import size
from epsball.objectives import is_adversarial
from epsball.testing.problems import SHAPE, Linear, Problem, Wavy, linear_problem
from epsball.types import Norm

SMOOTH: tuple[Norm, ...] = ("linf", "l2", "l1")
short = partial(fmn, steps=40)


@pytest.mark.parametrize("norm", SMOOTH)
@pytest.mark.parametrize("seed", range(4))
def test_finds_the_border_of_a_linear_model(norm: Norm, seed: int) -> None:
    model, inputs, labels = linear_problem(seed, 2)
    adversarial = fmn(model, inputs, labels, norm=norm)
    assert (model(adversarial).argmax(1) != labels).all()
    result, true = size(adversarial - inputs, norm), nearest_border(model, inputs, labels, norm)
    assert (result > 0.9999 * true).all()
    assert (result <= 1.02 * true + ROUNDING).all()


@pytest.mark.parametrize("norm", SMOOTH)
@pytest.mark.parametrize(
    "classes",
    [3, pytest.param(10, marks=pytest.mark.slow), pytest.param(1000, marks=pytest.mark.slow)],
)
def test_finds_the_nearest_of_many_borders_mostly(norm: Norm, classes: int) -> None:
    """Which of several borders is nearest cannot be seen from one gradient."""
    ratios = []
    for seed in range(3):
        model, inputs, labels = linear_problem(seed, classes)
        adversarial = fmn(model, inputs, labels, norm=norm)
        assert (model(adversarial).argmax(1) != labels).all()
        true = nearest_border(model, inputs, labels, norm)
        ratios.append((size(adversarial - inputs, norm) - ROUNDING) / true)
    assert torch.cat(ratios).quantile(0.8) <= 1.02
    assert torch.cat(ratios).max() < 1.5


def box_distance(norm: Norm, seed: int) -> tuple[Tensor, Tensor]:
    """Return what is found where the walls of the box are met, and the true distance."""
    model, inputs, labels = far_problem(seed)
    planes, logits = model.weight.detach(), model(inputs).detach()
    slope = (planes[1 - labels] - planes[labels]).view_as(inputs)
    gap = logits.gather(1, labels[:, None]) - logits.gather(1, 1 - labels[:, None])
    adversarial = fmn(model, inputs, labels, norm=norm)
    assert (model(adversarial).argmax(1) != labels).all()
    assert adversarial.min() >= 0
    assert adversarial.max() <= 1
    return size(adversarial - inputs, norm), size(
        step_to_plane(inputs, slope, gap[:, 0], norm), norm
    )


@pytest.mark.parametrize("norm", SMOOTH)
@pytest.mark.parametrize("seed", range(3))
def test_walls_of_the_box(norm: Norm, seed: int) -> None:
    result, true = box_distance(norm, seed)
    assert (result > 0.9999 * true).all()
    assert (result <= 1.02 * true).all()


@pytest.mark.parametrize("norm", SMOOTH)
def test_images_held_by_the_box(norm: Norm) -> None:
    """Most pixels cannot go where the gradient points: the border is beyond the linear guess."""
    model, inputs, labels = held_by_the_box()
    adversarial = fmn(model, inputs, labels, norm=norm)
    assert (model(adversarial).argmax(1) != labels).all()
    assert (size(adversarial - inputs, norm) <= 1.02 * model.distance(inputs, labels, norm)).all()


@pytest.mark.parametrize("seed", range(4))
def test_needs_hardly_more_entries_than_needed(seed: int) -> None:
    model, inputs, labels = far_problem(seed)
    adversarial = fmn(model, inputs, labels, norm="l0")
    assert (model(adversarial).argmax(1) != labels).all()
    best, result = fewest(model, inputs, labels), changed(adversarial, inputs)
    assert (result >= best).all()
    assert (result <= best + 1).all()


def test_entries_that_are_worth_the_same() -> None:
    """Where all entries are alike, as many are changed as are needed, not all or none."""

    def mean(inputs: Tensor) -> Tensor:
        total = inputs.flatten(1).sum(1)
        return torch.stack((2.5 + 0 * total, total), 1)

    inputs = torch.zeros(1, 1, 4, 4)
    adversarial = fmn(mean, inputs, torch.tensor([0]), norm="l0")
    assert changed(adversarial, inputs).item() == 3


class Bowl(nn.Module):
    """The other class is what lies farther from the grey image than a radius, in l2."""

    def forward(self, inputs: Tensor) -> Tensor:
        far = (inputs - 0.5).flatten(1).square().sum(1)
        return torch.stack((torch.full_like(far, 0.25), far), 1)


def test_a_curved_border() -> None:
    """From an image inside a sphere the nearest point of the sphere lies straight outward."""
    generator = torch.Generator().manual_seed(0)
    inputs = 0.5 + 0.05 * torch.randn((6, 1, 4, 4), generator=generator)
    labels = torch.zeros(6, dtype=torch.int64)
    adversarial = fmn(Bowl(), inputs, labels, norm="l2")
    true = 0.5 - (inputs - 0.5).flatten(1).norm(dim=1)
    result = size(adversarial - inputs, "l2")
    assert (result >= true - 1e-6).all()
    assert (result <= 1.002 * true).all()


@pytest.mark.parametrize("norm", NORMS)
def test_more_steps_come_nearer(norm: Norm) -> None:
    p, labels, wrong = curved(0)
    rough, fine = (fmn(p.model, p.inputs, labels, norm=norm, steps=steps) for steps in (5, 100))
    for result in (rough, fine):
        assert (p.model(result).argmax(1) != labels).all()
        assert torch.equal(result[wrong], p.inputs[wrong])
    assert size(fine - p.inputs, norm).sum() < 0.99 * size(rough - p.inputs, norm).sum()


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_one_step_is_enough_for_a_linear_model(norm: Norm) -> None:
    """The last point is scored, and the first one moves across the border."""
    model, inputs, labels = linear_problem(1, 2)
    adversarial = fmn(model, inputs, labels, norm=norm, steps=1)
    assert (model(adversarial).argmax(1) != labels).all()


@pytest.mark.parametrize("norm", NORMS)
def test_passes_are_what_the_knobs_say(norm: Norm) -> None:
    p = Problem(0)
    counting = QueryCounter(p.model, len(p.inputs))
    fmn(counting, p.inputs, p.model(p.inputs).argmax(1), norm=norm, steps=10)
    assert (counting.forwards == 10 + 1).all()


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1000), factor=st.sampled_from([1e-6, 1.0, 1e6]), targeted=st.booleans())
def test_log_odds_climb_like_the_cross_entropy(seed: int, factor: float, targeted: bool) -> None:
    """Their gradients are parallel, and scores times a factor change nothing."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn((4, 5), generator=generator, dtype=torch.float64)
    labels = scores.argmax(1)
    targets = (labels + 1) % 5 if targeted else None
    goal = LeadGoal(lambda x: x, labels, targets)
    unit = goal.value(scores).abs() / 10
    scaled = (scores / unit[:, None]).requires_grad_()
    followed, sign = (labels, 1) if targets is None else (targets, -1)
    loss = sign * nn.functional.cross_entropy(scaled, followed, reduction="sum")
    (known,) = torch.autograd.grad(loss, scaled)
    large = (factor * scores).requires_grad_()
    (slope,) = torch.autograd.grad(LogOdds(goal).value(large).sum(), large)
    assert torch.cosine_similarity(slope, known, dim=1).min() > 1 - 1e-9
    # in units of the lead: the slope along the best class stays about one
    assert slope.norm(dim=1).max() < 2
    assert slope.norm(dim=1).min() > 0.5


@pytest.mark.parametrize("norm", NORMS)
def test_scores_times_a_factor_change_nothing(norm: Norm) -> None:
    p, labels, _ = curved(0)
    plain = short(p.model, p.inputs, labels, norm=norm)
    sure = short(lambda x: 4096 * p.model(x), p.inputs, labels, norm=norm)
    assert torch.allclose(plain, sure, atol=1e-5)


@pytest.mark.parametrize("value", [0.0, torch.nan])
@pytest.mark.parametrize("norm", NORMS)
def test_without_slope_the_clean_image_comes_back(norm: Norm, value: float) -> None:
    def flat(inputs: Tensor) -> Tensor:
        return (value * inputs.flatten(1))[:, :3] + torch.tensor([1.0, 0.0, 0.0])

    inputs = torch.rand((2, 1, 3, 4), generator=torch.Generator().manual_seed(0))
    assert torch.equal(fmn(flat, inputs, torch.tensor([0, 0]), norm=norm, steps=5), inputs)


@pytest.mark.slow
@pytest.mark.parametrize("norm", NORMS)
def test_a_thousand_classes(norm: Norm) -> None:
    sparsest.check_a_thousand_classes(partial(short, norm=norm))


@pytest.mark.parametrize("norm", NORMS)
def test_being_rejected_is_no_success(norm: Norm) -> None:
    sparsest.check_rejected_is_no_success(partial(short, norm=norm))


def test_wrong_ones_cost_one_pass() -> None:
    sparsest.check_wrong_ones_cost_one_pass(short)


def test_nothing_is_asked_where_all_are_wrong() -> None:
    model, inputs, labels = linear_problem(0, 2)
    counting = QueryCounter(model, len(inputs))
    assert torch.equal(fmn(counting, inputs, 1 - labels), inputs)
    assert (counting.forwards == 1).all()


@pytest.mark.parametrize("norm", NORMS)
def test_clean_where_nothing_is_found(norm: Norm) -> None:
    sparsest.check_clean_where_nothing_is_found(partial(short, norm=norm))


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("targeted", [False, True])
def test_nearest_of_all_seen(norm: Norm, targeted: bool) -> None:
    """Of all points shown the nearest that fools by more than rounding comes back."""
    for seed in range(4):
        p, model = Problem(seed), Wavy(seed)
        row = slice(seed, seed + 1)
        labels = model(p.inputs[row]).argmax(1)
        targets = (labels + 1) % 3 if targeted else None
        adversarial = fmn(model, p.inputs[row], labels, norm=norm, steps=20, targets=targets)
        shown = torch.cat(model.queried[1:])
        many = labels.expand(len(shown))
        scores = model(shown)
        won = is_adversarial(scores, many, None if targets is None else targets.expand(len(shown)))
        first, second = scores.topk(2, dim=1).values.unbind(1)
        firmly = won & (first - second > ROUNDING * scores.abs().amax(1))
        assert firmly.any()
        nearest = size(shown - p.inputs[row], norm)[firmly].min()
        assert size(adversarial - p.inputs[row], norm) <= (1 + 1e-6) * nearest


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"eps": 0.1}, "fmn: takes no eps, got 0.1"),
        ({"steps": 0}, "fmn: steps must be >= 1, got 0"),
        ({"step_size": 0.0}, "fmn: step_size must be > 0, got 0.0"),
        ({"gamma": 0.0}, r"fmn: gamma must be in \(0, 1\), got 0.0"),
        ({"gamma": 1.0}, r"fmn: gamma must be in \(0, 1\), got 1.0"),
    ],
)
def test_bad_input(changes: dict[str, float], message: str) -> None:
    model, inputs, labels = linear_problem(0, 2)
    with pytest.raises(InvalidInput, match=message):
        fmn(model, inputs, labels, **changes)


def test_no_other_norm() -> None:
    model, inputs, labels = linear_problem(0, 2)
    unknown: Norm = "l7"  # type: ignore[assignment]  # what somebody may type
    with pytest.raises(UnsupportedNorm, match="fmn: norm must be one of linf, l2, l1, l0"):
        fmn(model, inputs, labels, norm=unknown)


@pytest.mark.parametrize("norm", SMOOTH)
def test_a_tie_is_left(norm: Norm) -> None:
    model, inputs = Linear(0, 3), torch.full((1, *SHAPE), 0.5)
    labels = torch.tensor([0])
    result = short(model, inputs, labels, norm=norm)
    assert (model(result).argmax(1) != labels).all()
    assert size(result - inputs, norm) < 1e-3
