"""The gradient-sign family on models whose gradients are known by hand."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from epsball.attacks import best_of, bim, fgsm, noise, pgd
from epsball.attacks.gradient.sign_family import reference_class
from epsball.errors import InvalidInput
from epsball.geometry import size
from epsball.objectives import OBJECTIVES, margin

SCORES = torch.tensor([[5.0, 1.0, 4.0, 3.0, 2.0, 0.0, -1.0], [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]])
LABELS = torch.tensor([2, 0])


@pytest.mark.parametrize(
    ("reference", "chosen"),
    [
        ("true", [2, 0]),
        ("predicted", [0, 6]),
        ("second", [2, 5]),
        ("least_likely", [6, 0]),
        ("least_likely_top5", [1, 2]),
        ("given", [3, 3]),
    ],
)
def test_reference_classes(reference: Any, chosen: list[int]) -> None:
    targets = torch.tensor([3, 3])
    assert reference_class(SCORES, LABELS, reference, targets=targets).tolist() == chosen


def test_few_classes_have_no_fifth() -> None:
    assert reference_class(SCORES[:, :3], LABELS, "least_likely_top5").tolist() == [1, 0]


@given(seed=st.integers(0, 50), classes=st.integers(2, 6))
def test_random_is_always_wrong_and_any_wrong_one(seed: int, classes: int) -> None:
    labels = torch.arange(600) % classes
    generator = torch.Generator().manual_seed(seed)
    chosen = reference_class(torch.zeros(600, classes), labels, "random", generator=generator)
    assert (chosen != labels).all()
    assert set(chosen[labels == 0].tolist()) == set(range(1, classes))


class Weights(nn.Module):
    """Scores W x of an image with three pixels: the gradient of each class's loss is known."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(
            torch.tensor([[1.0, -1.0, 0.5], [-0.2, 2.0, 0.1], [0.3, 0.0, -3.0]])
        )

    def forward(self, inputs: Tensor) -> Tensor:
        scores: Tensor = inputs.flatten(1) @ self.weight.T
        return scores


INPUTS = torch.full((1, 1, 1, 3), 0.5)


def slope(reference: int) -> Tensor:
    """Return the gradient of the loss of a class, by hand: W^T (p - e)."""
    model = Weights()
    p = model(INPUTS).softmax(1)[0].detach()
    p[reference] -= 1
    result: Tensor = (model.weight.T @ p).detach()
    return result


@pytest.mark.parametrize(
    ("direction", "reference", "gradient"),
    [  # each reference both ways, each form of the gradient both ways
        ("ascent", "true", "sign"),
        ("descent", "true", "l2"),
        ("ascent", "predicted", "raw"),
        ("descent", "predicted", "sign"),
        ("ascent", "least_likely", "l2"),
        ("descent", "least_likely", "raw"),
        ("ascent", "second", "sign"),
        ("descent", "second", "l2"),
        ("ascent", "given", "raw"),
        ("descent", "given", "sign"),
    ],
)
def test_every_member_steps_where_its_formula_says(
    direction: Any, reference: Any, gradient: Any
) -> None:
    model, label, targets = Weights(), torch.tensor([1]), torch.tensor([2])
    order = model(INPUTS)[0].argsort(descending=True).tolist()
    followed = {
        "true": 1,
        "predicted": order[0],
        "second": order[1],
        "least_likely": order[2],
        "given": 2,
    }[reference]
    g = slope(followed)
    form = {"sign": g.sign(), "l2": g / g.norm(), "raw": g}[gradient]
    expected = 0.5 + (1 if direction == "ascent" else -1) * 0.05 * form
    adversarial = fgsm(
        model,
        INPUTS,
        label,
        eps=0.05,
        norm="linf" if gradient == "sign" else "l2",
        direction=direction,
        reference=reference,
        gradient=gradient,
        targets=targets if reference == "given" else None,
    )
    cut = size((expected - 0.5)[None], "l2").clamp_min(0.05) / 0.05 if gradient == "raw" else 1
    assert torch.allclose(adversarial.flatten(), 0.5 + (expected - 0.5) / cut, atol=1e-6)


def test_targets_alone_mean_descent_towards_them() -> None:
    model, label, targets = Weights(), torch.tensor([1]), torch.tensor([2])
    towards = fgsm(model, INPUTS, label, eps=0.1, targets=targets)
    assert torch.allclose(towards.flatten(), 0.5 - 0.1 * slope(2).sign())


def test_bim_of_one_step_is_fgsm() -> None:
    model, label = Weights(), torch.tensor([1])
    for reference in ("true", "least_likely"):
        one = bim(model, INPUTS, label, eps=0.1, steps=1, step_size=0.1, reference=reference)
        assert torch.equal(one, fgsm(model, INPUTS, label, eps=0.1, reference=reference))


def test_bim_keeps_the_class_it_chose_when_clean() -> None:
    """Towards the runner-up for many steps: it becomes first, and is still followed."""
    model, label = Weights(), torch.tensor([1])
    adversarial = bim(
        model, INPUTS, label, eps=0.5, steps=20, direction="descent", reference="second"
    )
    second = int(model(INPUTS)[0].argsort(descending=True)[1])
    assert int(model(adversarial).argmax()) == second


def test_unclipped_reaches_beyond_the_box() -> None:
    bright = torch.full((1, 1, 1, 3), 0.99)
    clipped = fgsm(Weights(), bright, torch.tensor([1]), eps=0.1)
    free = fgsm(Weights(), bright, torch.tensor([1]), eps=0.1, clip=False)
    assert clipped.max() == 1
    assert free.max() > 1.05


@pytest.mark.parametrize("changes", [{"direction": "up"}, {"reference": "best"}, {"gradient": "x"}])
def test_unknown_choices(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="unknown"):
        fgsm(Weights(), INPUTS, torch.tensor([1]), eps=0.1, **changes)


def test_given_without_targets() -> None:
    with pytest.raises(InvalidInput, match="reference 'given' needs targets"):
        bim(Weights(), INPUTS, torch.tensor([1]), eps=0.1, reference="given")


@pytest.mark.parametrize("changes", [{"steps": 0}, {"step_size": 0.0}, {"step_size": -1.0}])
def test_bad_steps(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="steps? must be|step_size must be"):
        pgd(Weights(), INPUTS, torch.tensor([1]), eps=0.1, **changes)


@pytest.mark.parametrize("objective", [*OBJECTIVES, margin])
def test_pgd_takes_every_objective(objective: Any) -> None:
    inputs = torch.rand((8, 1, 1, 3), generator=torch.Generator().manual_seed(0))
    labels = Weights()(inputs).argmax(1)
    adversarial = pgd(Weights(), inputs, labels, eps=0.5, objective=objective)
    assert (Weights()(adversarial).argmax(1) != labels).float().mean() > 0.7


def test_pgd_of_a_saturated_model_needs_the_margin() -> None:
    class Saturated(Weights):
        def forward(self, inputs: Tensor) -> Tensor:
            return 1e4 * super().forward(inputs)

    inputs = torch.rand((20, 1, 1, 3), generator=torch.Generator().manual_seed(0))
    labels = Saturated()(inputs).argmax(1)
    options: dict[str, Any] = {"eps": 0.3, "random_start": False}
    blind = pgd(Saturated(), inputs, labels, **options)
    seeing = pgd(Saturated(), inputs, labels, objective="margin", **options)
    fooled = [int((Saturated()(x).argmax(1) != labels).sum()) for x in (blind, seeing)]
    assert fooled[1] > fooled[0]


def test_restarts_are_never_weaker() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 24), nn.Tanh(), nn.Linear(24, 4))
    inputs, labels = torch.rand(60, 1, 4, 4), torch.arange(60) % 4
    labels = model(inputs).argmax(1)
    options: dict[str, Any] = {"eps": 0.12, "steps": 2}
    fooled = []
    for restarts in (1, 8):
        generator = torch.Generator().manual_seed(5)
        adversarial = best_of(pgd, restarts=restarts)(
            model, inputs, labels, generator=generator, **options
        )
        fooled.append(int((model(adversarial).argmax(1) != labels).sum()))
    assert fooled[1] >= fooled[0]
    assert fooled[1] > 0
    with pytest.raises(InvalidInput, match="restarts must be >= 1, got 0"):
        best_of(pgd, restarts=0)


@pytest.mark.parametrize("distribution", ["sign", "uniform", "gaussian"])
def test_noise_has_the_size_it_says(distribution: Any) -> None:
    inputs = torch.full((50, 1, 20, 20), 0.5)
    labels = torch.zeros(50, dtype=torch.int64)
    model = nn.Flatten()
    generator = torch.Generator().manual_seed(0)
    options: dict[str, Any] = {"distribution": distribution, "generator": generator}
    delta = noise(model, inputs, labels, eps=0.1, **options) - inputs
    spread = {"sign": 0.1, "uniform": 0.1 / 3**0.5, "gaussian": 0.048}[distribution]
    assert abs(float(delta.std()) - spread) < 0.002
    assert delta.abs().max() <= 0.1 + 1e-6
    delta = noise(model, inputs, labels, eps=2.0, norm="l2", **options) - inputs
    assert torch.allclose(size(delta, "l2"), torch.tensor(2.0), atol=1e-4)


def test_unknown_distribution() -> None:
    with pytest.raises(InvalidInput, match="unknown distribution 'cauchy'"):
        noise(nn.Flatten(), INPUTS, torch.tensor([0]), eps=0.1, distribution="cauchy")
