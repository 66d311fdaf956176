"""A large temperature weakens attacks on the cross-entropy, and the margin mends that."""

import pytest
import torch
from tests.evaluation.conftest import sample_images
from torch import Tensor, nn

from epsball import audit


class Cooled(nn.Module):
    """A network behind a temperature."""

    def __init__(self, inner: nn.Module, scale: float) -> None:
        super().__init__()
        self.inner, self.scale = inner, scale

    def forward(self, inputs: Tensor) -> Tensor:
        scores: Tensor = self.inner(inputs) * self.scale
        return scores


@pytest.mark.parametrize(("scale", "told"), [(1.0, False), (1e-4, True), (1e-6, True)])
def test_scores_that_are_nearly_equal_are_told(model: nn.Module, scale: float, told: bool) -> None:
    cooled = Cooled(model, scale).eval()
    report = audit(cooled, sample_images(60), attacks=["pgd:steps=5"], eps=[0.1])
    assert ("flat-scores" in {finding.code for finding in report.findings}) == told


def test_the_margin_does_not_depend_on_the_scale(model: nn.Module) -> None:
    rates = [
        audit(
            Cooled(model, scale).eval(),
            sample_images(60),
            attacks=["pgd:steps=5,objective=margin"],
            eps=[0.1],
        ).summary["worst_case"][0]["robust_accuracy"]
        for scale in (1.0, 1e-4)
    ]
    assert rates[0] == pytest.approx(rates[1], abs=0.05)


def test_untrained_networks_are_not_flat() -> None:
    for seed in range(5):
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Flatten(), nn.Linear(36, 32), nn.ReLU(), nn.Linear(32, 10)).eval()
        report = audit(net, sample_images(30), attacks=["noise"], eps=[0.01])
        assert "flat-scores" not in {finding.code for finding in report.findings}
