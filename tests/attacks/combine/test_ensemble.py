"""Means of models: closed forms, and an attack that fools them together."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from epsball.attacks import pgd
from epsball.attacks.combine.ensemble import ensemble
from epsball.errors import BrokenContract, InvalidInput
from epsball.objectives import cross_entropy
from epsball.types import ModelInfo


def linear(seed: int, classes: int = 3) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, classes)).double().eval()


class Known(nn.Module):
    """A model that says what it is."""

    def __init__(self, model: nn.Module, info: ModelInfo) -> None:
        super().__init__()
        self.model, self.info = model, info

    def forward(self, inputs: Tensor) -> Tensor:
        scores: Tensor = self.model(inputs)
        return scores


def known(seed: int = 0, classes: int = 3, **changes: Any) -> Known:
    return Known(linear(seed, classes), ModelInfo(classes, **changes))


INPUTS = torch.rand((5, 1, 3, 4), generator=torch.Generator().manual_seed(0)).double()
LABELS = torch.tensor([0, 1, 2, 0, 1])


def test_logits_are_averaged() -> None:
    one, two = linear(0), linear(1)
    assert torch.allclose(ensemble([one, two])(INPUTS), (one(INPUTS) + two(INPUTS)) / 2)
    weighted = ensemble([one, two], weights=[1, 3])(INPUTS)
    assert torch.allclose(weighted, 0.25 * one(INPUTS) + 0.75 * two(INPUTS))


def test_cross_entropy_over_probabilities_is_the_loss_of_the_source() -> None:
    one, two = linear(0), linear(1)
    scores = ensemble([one, two], weights=[2, 3], over="probabilities")(INPUTS)
    mean = 0.4 * one(INPUTS).softmax(1) + 0.6 * two(INPUTS).softmax(1)
    loss = -mean.gather(1, LABELS[:, None]).log()[:, 0]
    assert torch.allclose(cross_entropy(scores, LABELS), loss)
    assert torch.allclose(scores.exp().sum(1), torch.ones(5).double())


def test_probabilities_of_sure_models_stay_finite() -> None:
    sure = linear(0)
    scores = ensemble([lambda x: 1e4 * sure(x), linear(1)], over="probabilities")(INPUTS)
    assert scores.isfinite().all()


def test_model_that_gives_probabilities_is_believed() -> None:
    plain, two = linear(0), linear(1)
    soft = Known(nn.Sequential(plain, nn.Softmax(1)), ModelInfo(3, gives="probabilities"))
    expected = ensemble([plain, two], over="probabilities")(INPUTS)
    assert torch.allclose(ensemble([soft, two], over="probabilities")(INPUTS), expected)
    with pytest.raises(InvalidInput, match="use over='probabilities'"):
        ensemble([soft, two])


class Corner(nn.Module):
    """Class 1 where a weighted sum of three pixels is above a bar."""

    def __init__(self, *weights: float) -> None:
        super().__init__()
        self.weights = torch.tensor(weights)

    def forward(self, inputs: Tensor) -> Tensor:
        height = inputs.flatten(1) @ self.weights - 0.16
        return torch.stack([torch.zeros_like(height), height], dim=1)


def test_attack_on_the_mean_fools_all_and_one_it_never_saw() -> None:
    one, two, unseen = Corner(1, -0.5, 0.3), Corner(-0.5, 1, 0.3), Corner(0.3, 0.3, 1)
    models = (one, two, unseen)
    x, y = torch.full((1, 1, 1, 3), 0.1), torch.tensor([0])
    options: dict[str, Any] = {"eps": 0.2, "random_start": False}

    def fooled(surrogate: nn.Module) -> list[bool]:
        adversarial = pgd(surrogate, x, y, **options)
        return [bool(model(adversarial).argmax() == 1) for model in models]

    assert fooled(one) == [True, False, True]
    assert fooled(two) == [False, True, True]
    assert fooled(ensemble([one, two])) == [True, True, True]


def test_info_is_what_the_models_have_in_common() -> None:
    both = ensemble([known(0, rejects=True), linear(1), known(1, rejects=True)])
    assert both.info == ModelInfo(3, rejects=True)
    blind = ensemble([known(0), known(1, differentiable=False)], over="probabilities")
    assert blind.info == ModelInfo(3, gives="log-probabilities", differentiable=False)
    assert getattr(ensemble([linear(0)]), "info", None) is None


def test_mode_and_parameters_are_the_models() -> None:
    one, two = linear(0), linear(1)
    both = ensemble([one, lambda x: x.flatten(1)[:, :3], two])
    assert not both.training
    assert list(both.parameters()) == [*one.parameters(), *two.parameters()]
    assert ensemble([one, two.train()]).training
    assert not one.training


def test_models_that_do_not_go_together() -> None:
    with pytest.raises(InvalidInput, match="must have the same classes"):
        ensemble([known(0), known(1, classes=4)])
    with pytest.raises(InvalidInput, match="all or none may reject"):
        ensemble([known(0), known(1, rejects=True)])
    with pytest.raises(BrokenContract, match=r"one shape, got \[\(5, 3\), \(5, 4\)\]"):
        ensemble([linear(0), linear(1, classes=4)])(INPUTS)


@pytest.mark.parametrize("weights", [[1.0], [1.0, 0.0], [1.0, -1.0], [1.0, float("inf")]])
def test_bad_weights(weights: list[float]) -> None:
    with pytest.raises(InvalidInput, match="weights must be 2 numbers above 0"):
        ensemble([linear(0), linear(1)], weights=weights)


def test_bad_requests() -> None:
    with pytest.raises(InvalidInput, match="at least one, got none"):
        ensemble([])
    with pytest.raises(InvalidInput, match="unknown mean over 'losses'"):
        ensemble([linear(0)], over="losses")  # type: ignore[arg-type]  # wrong on purpose
