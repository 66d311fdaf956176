"""Each preprocessing defence looks robust to a plain attack, and is broken by one that knows it."""

import functools
from typing import Any

import pytest
import torch
from scipy import ndimage
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate

from epsball.attacks import noise, pgd
from epsball.attacks.combine.bpda import bpda
from epsball.attacks.combine.expectation import expectation
from epsball.errors import InvalidInput
from epsball.models.purifiers.bit_depth import BitDepth
from epsball.models.purifiers.defended import defended
from epsball.models.purifiers.jpeg import JpegCompression
from epsball.models.purifiers.random_resizing import RandomResizing
from epsball.models.purifiers.smoothing import Smoothing
from epsball.models.purifiers.table import defence_named

SIDE, CLEAN = 16, 0.75


@functools.cache
def digits() -> tuple[Tensor, Tensor]:
    stored = load_digits()
    images = torch.tensor(stored.images, dtype=torch.float32)[:, None] / 16
    return interpolate(images, size=(SIDE, SIDE), mode="bilinear"), torch.tensor(stored.target)


@functools.cache
def trained(defence: str = "") -> nn.Module:
    """Train a small network for some seconds, behind a defence where one is named."""
    images, labels = digits()
    step = defence_named(defence) if defence else nn.Identity()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(1, 12, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(12, 24, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(24 * (SIDE // 4) ** 2, 10),
        )
        optimizer = torch.optim.Adam(model.parameters(), 5e-3)
        for _ in range(300):
            rows = torch.randint(1400, (100,))
            optimizer.zero_grad()
            torch.autograd.backward(cross_entropy(model(step(images[rows])), labels[rows]))
            optimizer.step()
    return model.eval().requires_grad_(False)


HELD_OUT = slice(1500, 1620)
EPS = 0.1


def robust(model: nn.Module, surrogate: Any, attack: Any = pgd, draws: int = 1) -> float:
    """Return the share that a model gets right of what an attack on a surrogate makes."""
    images, labels = digits()
    inputs, labels = images[HELD_OUT], labels[HELD_OUT]
    arguments = {"steps": 8} if attack is pgd else {}
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        generator = torch.Generator().manual_seed(0)
        adversarial = attack(surrogate, inputs, labels, eps=EPS, generator=generator, **arguments)
        right = [(model(adversarial).argmax(1) == labels).float().mean() for _ in range(draws)]
    return float(torch.stack(right).mean())


def clean(model: nn.Module, draws: int = 1) -> float:
    return robust(model, model, attack=lambda _, inputs, *args, **settings: inputs, draws=draws)


def test_bit_depth_hides_the_gradient_and_bpda_finds_it() -> None:
    model = defended(trained(), BitDepth(bits=2))
    assert clean(model) > CLEAN
    seeming = robust(model, model)
    assert seeming > CLEAN  # the gradient is zero: nothing moves but the random start
    assert robust(model, defended(trained(), bpda(BitDepth(bits=2)))) < seeming - 0.4
    assert robust(model, model.relaxed()) < 0.4


def test_jpeg_has_no_gradient_and_bpda_gives_it_one() -> None:
    model = defended(trained(), JpegCompression(quality=20))
    assert clean(model) > CLEAN
    with pytest.raises(InvalidInput, match="gives no gradient"):
        robust(model, model)
    seeming = robust(model, model, noise)  # what is left to an attack without one
    assert seeming > CLEAN
    assert robust(model, model.relaxed()) < seeming - 0.4


def test_median_of_scipy_has_no_gradient_and_bpda_borrows_ours() -> None:
    def scipys(inputs: Tensor) -> Tensor:
        return torch.from_numpy(ndimage.median_filter(inputs.detach().numpy(), size=(1, 1, 5, 5)))

    model = defended(trained(), scipys)
    assert clean(model) > CLEAN
    with pytest.raises(InvalidInput, match="gives no gradient"):
        robust(model, model)
    seeming = robust(model, model, noise)
    assert seeming > CLEAN
    broken = robust(model, defended(trained(), bpda(scipys, Smoothing(kernel=5))))
    assert broken < seeming - 0.4
    assert broken < robust(model, trained())  # stronger than to leave the smoothing out
    ours = defended(trained(), Smoothing(kernel=5))
    assert robust(ours, ours) == broken  # which hides nothing from an attack that knows it


def test_random_resizing_looks_robust_and_expectation_breaks_it() -> None:
    model = defended(trained("random-resizing:smallest=0.6"), RandomResizing(smallest=0.6))
    assert clean(model, draws=20) > CLEAN
    seeming = robust(model, model, draws=20)
    steady = expectation(model, samples=10, generator=torch.Generator().manual_seed(0))
    broken = robust(model, steady, draws=20)
    assert seeming > 0.2
    assert broken < seeming - 0.1
