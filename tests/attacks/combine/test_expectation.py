"""Averages of random models: right, repeatable, and nobody else's randomness is touched."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from epsball.attacks import pgd
from epsball.attacks.combine.expectation import expectation
from epsball.errors import BrokenContract, InvalidInput
from epsball.testing.problems import Problem
from epsball.types import ModelInfo


class Noisy(nn.Module):
    """Scores times a number that is drawn once a pass; keeps the numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.drawn: list[float] = []

    def forward(self, inputs: Tensor) -> Tensor:
        self.drawn.append(float(torch.rand(())))
        return self.drawn[-1] * inputs.flatten(1)


def images(seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand((4, 1, 1, 3), generator=generator).to(dtype)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("samples", [1, 3, 16])
def test_scores_and_gradient_are_means_over_passes(samples: int) -> None:
    model, point = Noisy(), images().requires_grad_()
    scores = expectation(model, samples=samples)(point)
    mean = sum(model.drawn) / samples
    assert len(set(model.drawn)) == samples
    assert torch.allclose(scores, mean * point.flatten(1))
    (gradient,) = torch.autograd.grad(scores.sum(), point)
    assert torch.allclose(gradient, torch.tensor(mean))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_draws_follow_from_images_and_generator(dtype: torch.dtype) -> None:
    def draws(seed: int, image: int) -> list[float]:
        model = Noisy()
        expectation(model, samples=2, generator=seeded(seed))(images(image, dtype))
        return model.drawn

    assert draws(0, 0) == draws(0, 0)
    assert draws(0, 0) != draws(1, 0)
    assert draws(0, 0) != draws(0, 1)


def test_next_question_gets_fresh_draws_and_the_same_question_the_same() -> None:
    model = Noisy()
    steady = expectation(model, samples=1, generator=seeded(0))
    for seed in (0, 1, 0):
        steady(images(seed))
    assert model.drawn[0] == model.drawn[2] != model.drawn[1]


def test_without_generator_the_seed_of_torch_counts() -> None:
    drawn = []
    for seed in (1, 1, 2):
        model = Noisy()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            expectation(model, samples=1)(images())
        drawn += model.drawn
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize("fails", [False, True])
def test_global_randomness_stays_as_it_is(fails: bool) -> None:
    def model(inputs: Tensor) -> Tensor:
        torch.rand(7)
        return inputs if fails else inputs.flatten(1)  # four dimensions are no scores

    before, seed = torch.get_rng_state(), torch.initial_seed()
    steady = expectation(model, samples=2)
    if fails:
        with pytest.raises(BrokenContract):
            steady(images())
    else:
        steady(images())
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.initial_seed() == seed


def test_info_and_mode_are_the_models() -> None:
    model = Noisy().eval()
    assert getattr(expectation(model, samples=2), "info", None) is None
    assert not expectation(model, samples=2).training
    info = ModelInfo(classes=2, rejects=True)
    model.info = info  # type: ignore[assignment]  # modules take any attribute
    dropping = nn.Sequential(model, nn.Dropout())
    assert expectation(model, samples=2).info == info
    assert expectation(dropping.train(), samples=2).training
    assert dropping.training
    assert model.training


def test_attack_through_it_is_pure() -> None:
    p = Problem(0)

    def noisy(inputs: Tensor) -> Tensor:
        scores: Tensor = p.model(inputs + 0.1 * torch.randn_like(inputs))
        return scores

    steady = expectation(noisy, samples=4, generator=seeded(0))

    def run(model: Callable[[Tensor], Tensor]) -> Tensor:
        return pgd(model, p.inputs, p.labels, eps=0.1, steps=5, generator=seeded(1))

    assert torch.equal(run(steady), run(steady))
    assert not torch.equal(run(noisy), run(noisy))


@pytest.mark.parametrize("samples", [0, -2])
def test_no_samples_are_refused(samples: int) -> None:
    with pytest.raises(InvalidInput, match=f"samples must be >= 1, got {samples}"):
        expectation(nn.Flatten(), samples=samples)
