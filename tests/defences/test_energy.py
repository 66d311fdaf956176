"""Energy: the closed form, and models that have none."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from epsball.defences import Energy

Refusal = Callable[[Callable[[], object]], str]
EYE = (torch.eye(3)[:, None, None], torch.arange(3))  # images (3, 1, 1, 3), one of each class


@pytest.mark.parametrize("temperature", [1, 0.1, 5.0])
def test_the_score_is_minus_the_energy(temperature: float) -> None:
    model = nn.Flatten().eval()
    rejector = Energy(model, temperature=temperature, threshold=0.5).fit(*EYE)
    inputs = torch.rand((20, 1, 1, 3), generator=torch.Generator().manual_seed(0)).double()
    wanted = temperature * (inputs.flatten(1) / temperature).exp().sum(1).log()
    assert torch.allclose(rejector.acceptance(inputs), wanted, rtol=1e-12)


def test_near_temperature_zero_it_is_the_largest_logit() -> None:
    rejector = Energy(nn.Flatten().eval(), temperature=1e-4, threshold=0.5).fit(*EYE)
    inputs = torch.rand((20, 1, 1, 3), generator=torch.Generator().manual_seed(0))
    assert torch.allclose(rejector.acceptance(inputs), inputs.amax((1, 2, 3)), atol=1e-3)


def test_large_logits_do_not_overflow(digits: tuple[Tensor, Tensor], net: nn.Module) -> None:
    class Louder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = net

        def forward(self, inputs: Tensor) -> Tensor:
            scores: Tensor = 1e4 * self.inner(inputs)
            return scores

    rejector = Energy(Louder().eval()).fit(digits[0][:300], digits[1][:300])
    assert bool(rejector(digits[0][300:400]).isfinite().all())


@pytest.mark.parametrize("wrong", [0, -1.0, float("nan"), float("inf"), True, "1"])
def test_temperatures_are_refused(wrong: float, refusal: Refusal) -> None:
    message = refusal(lambda: Energy(nn.Flatten().eval(), temperature=wrong))
    assert "temperature must be a number above 0" in message


def test_log_probabilities_have_no_energy(refusal: Refusal) -> None:
    model = nn.Sequential(nn.Flatten(), nn.LogSoftmax(1)).eval()
    assert "leave the log-softmax out" in refusal(lambda: Energy(model, threshold=0.0).fit(*EYE))
