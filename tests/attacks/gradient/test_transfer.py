"""Transfer attacks against hand-written updates, and what combining them does."""

import numpy as np
import pytest
import torch
from scipy.ndimage import convolve
from scipy.stats import norm as normal
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from epsball.attacks import ensemble, mef, nifgsm, transfer
from epsball.attacks.views.slopes import smoothed, unit
from epsball.errors import InvalidInput

EPS = 0.1


@pytest.fixture
def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(48, 12), nn.Tanh(), nn.Linear(12, 3)).double()


@pytest.fixture
def images() -> Tensor:
    return torch.rand((5, 3, 4, 4), generator=torch.Generator().manual_seed(1)).double()


LABELS = torch.tensor([0, 1, 2, 0, 1])


def slope(net: nn.Module, points: Tensor) -> Tensor:
    points = points.detach().requires_grad_()
    loss = cross_entropy(net(points), LABELS, reduction="sum")
    return torch.autograd.grad(loss, points)[0]


def by_mean(gradient: Tensor) -> Tensor:
    return gradient / gradient.abs().mean((1, 2, 3), keepdim=True)


def step(point: Tensor, momentum: Tensor, clean: Tensor, length: float) -> Tensor:
    return (clean + (point + length * momentum.sign() - clean).clamp(-EPS, EPS)).clamp(0, 1)


@pytest.mark.parametrize("ahead", [False, True])
def test_momentum_and_look_ahead(net: nn.Module, images: Tensor, ahead: bool) -> None:
    point, momentum = images, torch.zeros_like(images)
    for _ in range(6):
        seen = point + EPS / 6 * 0.9 * momentum if ahead else point
        momentum = 0.9 * momentum + by_mean(slope(net, seen))
        point = step(point, momentum, images, EPS / 6)
    report = transfer(
        net, images, LABELS, eps=EPS, steps=6, decay=0.9, views="none", lookahead=ahead
    )
    assert torch.allclose(report, point)
    if ahead:
        assert torch.equal(report, nifgsm(net, images, LABELS, eps=EPS, steps=6, decay=0.9))


def test_variance_tuning(net: nn.Module, images: Tensor) -> None:
    generator = torch.Generator().manual_seed(5)
    point, momentum, correction = images, torch.zeros_like(images), torch.zeros_like(images)
    for _ in range(3):
        plain = slope(net, point)
        near = torch.zeros_like(point)
        for _ in range(4):
            noise = torch.rand(point.shape, generator=generator).to(point)
            near += slope(net, point + (2 * noise - 1) * 1.5 * EPS)
        momentum = momentum + by_mean(plain + correction)
        correction = near / 4 - plain
        point = step(point, momentum, images, EPS / 3)
    report = transfer(
        net, images, LABELS, eps=EPS, steps=3, views="none", estimate="variance", neighbours=4,
        generator=torch.Generator().manual_seed(5),
    )  # fmt: skip
    assert torch.allclose(report, point, atol=1e-6)


def test_flat_maxima(net: nn.Module, images: Tensor) -> None:
    generator = torch.Generator().manual_seed(5)
    point, momentum = images, torch.zeros_like(images)
    memory = [torch.zeros_like(images) for _ in range(4)]
    for _ in range(3):
        total = torch.zeros_like(point)
        for k in range(4):
            noise = torch.rand(point.shape, generator=generator).to(point)
            gradient = slope(net, point + (2 * noise - 1) * 2 * EPS + 0.15 * EPS * memory[k])
            memory[k] = by_mean(gradient) - 0.9 * memory[k]
            total += gradient / 4
        momentum = 0.5 * momentum + by_mean(total)
        point = step(point, momentum, images, EPS / 3)
    adversarial = mef(
        net, images, LABELS, eps=EPS, steps=3, neighbours=4,
        generator=torch.Generator().manual_seed(5),
    )  # fmt: skip
    assert torch.allclose(adversarial, point, atol=1e-6)


def test_a_kernel_smooths_as_scipy_does() -> None:
    gradient = torch.rand((2, 3, 9, 11), dtype=torch.float64)
    line = normal.pdf(np.linspace(-3, 3, 5))
    weights = np.outer(line, line) / line.sum() ** 2
    expected = np.stack([[convolve(p, weights, mode="constant") for p in g] for g in gradient])
    assert np.allclose(smoothed(gradient, 5).numpy(), expected)


def test_unit_has_the_size_that_steps_expect() -> None:
    gradient = torch.randn(4, 2, 3, 3)
    assert torch.allclose(unit(gradient, "linf").abs().mean((1, 2, 3)), torch.ones(4))
    assert torch.allclose(unit(gradient, "l2").flatten(1).norm(dim=1), torch.ones(4))
    assert torch.equal(unit(torch.zeros(1, 1, 2, 2), "l2"), torch.zeros(1, 1, 2, 2))


def test_without_views_a_border_is_crossed_just_beyond_its_distance() -> None:
    last = nn.Linear(24, 2, bias=False).double()
    model = nn.Sequential(nn.Flatten(), last)
    inputs = 0.5 + 0.01 * torch.randn((6, 2, 3, 4), dtype=torch.float64)
    labels = model(inputs).argmax(1)
    across = (last.weight[0] - last.weight[1]).abs().sum()
    scores = model(inputs)
    distance = (scores[:, 0] - scores[:, 1]).abs() / across
    for row in range(6):
        one = slice(row, row + 1)
        for factor, wins in ((0.98, False), (1.02, True)):
            eps = float(distance[row].detach()) * factor
            adv = transfer(model, inputs[one], labels[one], eps=eps, views="none")
            assert bool(model(adv).argmax(1) != labels[one]) == wins


def test_everything_combines(net: nn.Module, images: Tensor) -> None:
    both = ensemble([net, net])
    adv = transfer(
        both, images, LABELS, eps=EPS, steps=2, views="diversity+scale+structure", copies=2,
        kernel=3, estimate="variance", neighbours=2, lookahead=True, objective="logit",
        targets=(LABELS + 1) % 3, generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    assert float((adv - images).abs().max()) <= EPS + 1e-9


def test_targeted_logit_raises_the_logit_of_the_target(net: nn.Module, images: Tensor) -> None:
    targets = (LABELS + 1) % 3
    adv = transfer(net, images, LABELS, eps=EPS, views="none", objective="logit", targets=targets)
    before, after = (net(x).gather(1, targets[:, None]) for x in (images, adv))
    assert bool((after > before).all())


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"kernel": 4}, "odd"),
        ({"kernel": -1}, "odd"),
        ({"neighbours": 0}, ">= 1"),
        ({"decay": -1.0}, ">= 0"),
        ({"estimate": "variances"}, "did you mean 'variance'"),
        ({"views": "blocks"}, "known"),
        ({"step_size": 0.0}, "> 0"),
    ],
)
def test_bad_arguments(
    net: nn.Module, images: Tensor, bad: dict[str, object], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        transfer(net, images, LABELS, eps=EPS, **bad)
