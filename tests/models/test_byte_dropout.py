"""Dropout by bytes: shares, scale, gradient, layouts; and torch's own wherever it cannot serve."""

import pytest
import torch
from scipy.stats import binomtest
from torch import nn

from epsball.models.zoo.byte_dropout import ByteDropout


@pytest.mark.parametrize("p", [0.25, 0.5, 3 / 256])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_it_drops_a_share_p_and_scales_the_rest(p: float, layout: torch.memory_format) -> None:
    torch.manual_seed(1)
    values = torch.rand(7, 5, 31, 33).add_(1).contiguous(memory_format=layout)
    values.requires_grad_()
    out = ByteDropout(p)(values)
    dropped = int((out == 0).sum())
    assert binomtest(dropped, out.numel(), p).pvalue > 1e-4
    assert torch.allclose(out[out != 0], (values / (1 - p))[out != 0])
    out.sum().backward()
    assert values.grad is not None
    assert torch.equal(values.grad != 0, out != 0)
    assert out.is_contiguous(memory_format=layout)


def test_neighbours_are_dropped_independently() -> None:
    torch.manual_seed(2)
    gone = ByteDropout(0.5)(torch.ones(100_000)) == 0
    for lag in (1, 7, 8, 16):
        both = int((gone[lag:] & gone[:-lag]).sum())
        assert binomtest(both, len(gone) - lag, 0.25).pvalue > 1e-4


def test_the_seed_decides() -> None:
    values = torch.ones(3, 4, 5, 6)
    outs = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        outs.append(ByteDropout(0.5)(values))
    assert torch.equal(outs[0], outs[1])
    assert not torch.equal(outs[0], outs[2])


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_elsewhere_it_is_what_torch_has(p: float) -> None:
    values = torch.ones(40, 40)
    torch.manual_seed(5)
    expected = nn.Dropout(p)(values)
    torch.manual_seed(5)
    assert torch.equal(ByteDropout(p)(values), expected)


def test_nothing_is_dropped_in_eval_mode_and_gaps_in_memory_do_not_matter() -> None:
    torch.manual_seed(6)
    values = torch.ones(8, 8)[:, ::2]
    assert torch.equal(ByteDropout(0.5).eval()(values), values)
    assert set(ByteDropout(0.5)(values).unique().tolist()) == {0.0, 2.0}
