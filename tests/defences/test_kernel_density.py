"""Kernel density: scikit-learn's, of the predicted class; its bandwidth; what the attack asks."""

import copy
import math
from collections.abc import Callable

import pytest
import torch
from sklearn.neighbors import KernelDensity as Reference
from torch import Tensor, nn

from epsball.attacks import rejection
from epsball.defences import Features, KernelDensity
from epsball.defences.base.thresholds import calibration_mask

Refusal = Callable[[Callable[[], object]], str]
LAYER = "second.1"
FIT, HELD = slice(0, 600), slice(1200, 1300)


def features(net: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        return Features(net, (LAYER,))(images)[LAYER]


@pytest.fixture(scope="module")
def fitted(net: nn.Module, digits: tuple[Tensor, Tensor]) -> KernelDensity:
    return KernelDensity(net).fit(digits[0][FIT], digits[1][FIT])


def normaliser(wide: int, width: float) -> float:
    return wide * (math.log(width) + math.log(2 * math.pi) / 2)


@pytest.mark.parametrize("bandwidth", [0.3, 2.0, "median"])
def test_it_is_the_density_of_the_predicted_class(
    bandwidth: float, net: nn.Module, digits: tuple[Tensor, Tensor]
) -> None:
    rejector = KernelDensity(net, bandwidth=bandwidth, threshold=-5.0)
    rejector.fit(digits[0][FIT], digits[1][FIT])
    assert rejector.layer_ == LAYER
    stored, points = features(net, digits[0][FIT]), features(net, digits[0][HELD])
    named = net(digits[0][HELD]).argmax(1)
    constant = normaliser(stored.shape[1], rejector.bandwidth_)
    result = rejector.acceptance(digits[0][HELD]).detach().double() - constant
    for one in range(10):
        fixed = stored[digits[1][FIT] == one].double().numpy()
        reference = Reference(bandwidth=rejector.bandwidth_, rtol=1e-10).fit(fixed)
        mine = named == one
        wanted = torch.from_numpy(reference.score_samples(points[mine].double().numpy()))
        assert torch.allclose(result[mine], wanted, rtol=1e-4, atol=1e-3)


def test_what_the_attack_asks_is_the_density_of_all_classes(
    fitted: KernelDensity, net: nn.Module, digits: tuple[Tensor, Tensor]
) -> None:
    kept = ~calibration_mask(digits[1][FIT])
    stored = features(net, digits[0][FIT][kept]).double()
    points = features(net, digits[0][HELD]).double()
    reference = Reference(bandwidth=fitted.bandwidth_, rtol=1e-10).fit(stored.numpy())
    wanted = torch.from_numpy(reference.score_samples(points.numpy()))
    result = fitted.log_density(digits[0][HELD]).detach().double()
    constant = normaliser(stored.shape[1], fitted.bandwidth_)
    assert torch.allclose(result - constant, wanted, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("which", ["log_density", "acceptance"])
def test_the_attack_stays_where_images_are(
    which: str, fitted: KernelDensity, digits: tuple[Tensor, Tensor]
) -> None:
    images, labels = digits[0][HELD][:30], digits[1][HELD][:30]
    density = getattr(fitted, which)
    heavy, light = (
        rejection(
            fitted,
            images,
            labels,
            eps=2.0,
            steps=30,
            density=density,
            density_weight=weight,
            keep="last",
            step_size=0.2,
            random_start=False,
        )
        for weight in (100.0, 0.0)
    )
    with torch.no_grad():
        assert float(density(heavy).mean()) > float(density(light).mean())


def test_the_gradient_of_the_density(net: nn.Module, digits: tuple[Tensor, Tensor]) -> None:
    rejector = KernelDensity(copy.deepcopy(net), limit=10, threshold=-5.0)
    rejector.fit(digits[0][FIT], digits[1][FIT]).double()
    noise = torch.rand((2, 1, 8, 8), generator=torch.Generator().manual_seed(1))
    point = (0.7 * digits[0][HELD][:2] + 0.3 * noise).double().requires_grad_()
    assert torch.autograd.gradcheck(rejector.log_density, point, eps=1e-7, atol=1e-5, rtol=1e-4)


def test_far_away_the_logarithm_is_finite_and_has_a_gradient(
    net: nn.Module, digits: tuple[Tensor, Tensor]
) -> None:
    rejector = KernelDensity(net, bandwidth=0.01, threshold=-5.0)
    rejector.fit(digits[0][FIT], digits[1][FIT])
    point = torch.rand((5, 1, 8, 8), generator=torch.Generator().manual_seed(0)).requires_grad_()
    score = rejector.acceptance(point)
    assert float(score.detach().max()) < -200  # exp of it is 0 in float32
    assert bool(score.isfinite().all())
    (gradient,) = torch.autograd.grad(score.sum(), point)
    assert bool(gradient.isfinite().all())
    assert bool((gradient.flatten(1) != 0).any(1).all())


def test_a_common_offset_does_not_cancel(digits: tuple[Tensor, Tensor]) -> None:
    class Shifted(nn.Module):
        def __init__(self, offset: float) -> None:
            super().__init__()
            self.bias, self.flat = offset, nn.Flatten()
            self.far, self.back = nn.Identity(), nn.Linear(64, 10)

        def forward(self, inputs: Tensor) -> Tensor:
            scores: Tensor = self.back(self.far(self.flat(inputs) + self.bias) - self.bias)
            return scores

    torch.manual_seed(0)
    near, far = Shifted(0.0).eval(), Shifted(64.0).eval()
    far.load_state_dict(near.state_dict())
    result = [
        KernelDensity(model, layer="far", bandwidth=1.0, threshold=-5.0).fit(
            digits[0][FIT], digits[1][FIT]
        )
        for model in (near, far)
    ]
    # sixteenths plus 64 are exact in float32, so only the rejector's own rounding is left
    one, other = (rejector.log_density(digits[0][HELD]) for rejector in result)
    assert torch.allclose(one, other, atol=1e-4)


def test_kept_images_and_bandwidth(net: nn.Module, digits: tuple[Tensor, Tensor]) -> None:
    def fit(**settings: float) -> KernelDensity:
        return KernelDensity(net, threshold=-5.0, **settings).fit(  # type: ignore[arg-type]
            digits[0][FIT], digits[1][FIT]
        )

    small = fit(limit=20)
    assert small.image_counts_ == [20] * 10
    assert torch.equal(small.kept.points, fit(limit=20).kept.points)
    assert not torch.equal(small.kept.points, fit(limit=20, seed=1).kept.points)
    whole = fit()
    assert whole.image_counts_ == digits[1][FIT].bincount().tolist()
    stored = features(net, digits[0][FIT]).double()
    within = torch.cat([torch.pdist(stored[digits[1][FIT] == one]) for one in range(10)])
    assert whole.bandwidth_ == pytest.approx(float(within.median()), rel=1e-4)


def test_settings_and_features_are_refused(
    net: nn.Module, digits: tuple[Tensor, Tensor], refusal: Refusal
) -> None:
    for wrong in (0, -1.0, float("nan"), "scott", True):
        message = refusal(lambda wrong=wrong: KernelDensity(net, bandwidth=wrong))  # type: ignore[misc]
        assert "bandwidth must be a number above 0 or 'median'" in message
    assert "limit must be a whole number >= 1" in refusal(lambda: KernelDensity(net, limit=0))
    assert "seed must be a whole number >= 0" in refusal(lambda: KernelDensity(net, seed=-1))
    alike = digits[0][:10].repeat_interleave(5, 0), digits[1][:10].repeat_interleave(5, 0)
    message = refusal(lambda: KernelDensity(net, threshold=-5.0).fit(*alike))
    assert "median distance" in message
    assert LAYER in message
