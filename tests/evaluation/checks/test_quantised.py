"""Dynamic quantisation: float16 gives the gradient of skip connections alone, int8 none."""

import copy
import warnings

import pytest
import torch
from tests.evaluation.conftest import CLASSES, SIDE, fit, sample_images
from torch import Tensor, nn

from epsball import audit
from epsball.errors import EpsballError


class Skips(nn.Module):
    """Two blocks behind skip connections, and a head that is not quantised."""

    def __init__(self) -> None:
        super().__init__()
        width = SIDE * SIDE
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(width, 64), nn.ReLU(), nn.Linear(64, width)) for _ in range(2)
        )
        self.head = nn.Parameter(torch.randn(width, CLASSES) / SIDE)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = inputs.flatten(1)
        for block in self.blocks:
            hidden = hidden + block(hidden)
        scores: Tensor = hidden @ self.head
        return scores


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    return fit(Skips())


def _quantised(model: nn.Module, dtype: torch.dtype) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch announces that this will move to torchao
        quantised: nn.Module = torch.ao.quantization.quantize_dynamic(
            copy.deepcopy(model), {nn.Linear}, dtype=dtype
        )  # type: ignore[no-untyped-call]
    return quantised


def _robust(model: nn.Module) -> tuple[float | None, set[str]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, about a backward pass that is missing
        report = audit(
            model, sample_images(100), attacks=["pgd:steps=10,objective=margin"], eps=[0.08]
        )
    rates = [row["robust_accuracy"] for row in report.summary["worst_case"]]
    return (rates[0] if rates else None), {finding.code for finding in report.findings}


def test_a_gradient_of_the_skip_connections_alone_is_told(network: nn.Module) -> None:
    rate, result = _robust(network)
    assert rate is not None
    assert "foreign-gradient" not in result
    higher, result = _robust(_quantised(network, torch.float16))
    assert "foreign-gradient" in result
    assert higher is not None
    assert higher > rate + 0.05  # what would be printed without a word


def test_int8_is_refused_withheld_or_told(network: nn.Module) -> None:
    try:
        rate, result = _robust(_quantised(network, torch.qint8))
    except EpsballError:
        return
    assert rate is None or result & {"foreign-gradient", "batch-dependent", "zero-gradient"}
