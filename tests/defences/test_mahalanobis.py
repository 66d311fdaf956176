"""Mahalanobis: scikit-learn's distances, shrunk as it shrinks, with a pseudo-inverse."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn.covariance import EmpiricalCovariance, LedoitWolf, ShrunkCovariance
from torch import Tensor, nn

from epsball.defences import Features, Mahalanobis
from epsball.defences.rejectors.mahalanobis import Shrinkage

Refusal = Callable[[Callable[[], object]], str]
LAYER = "second.1"
FIT, HELD = slice(0, 600), slice(1200, 1300)


def reference(shrinkage: Shrinkage) -> EmpiricalCovariance:
    if shrinkage == "ledoit-wolf":
        return LedoitWolf(assume_centered=True)
    if shrinkage == 0:
        return EmpiricalCovariance(assume_centered=True)  # with a pseudo-inverse
    return ShrunkCovariance(assume_centered=True, shrinkage=shrinkage)


@pytest.mark.parametrize("shrinkage", ["ledoit-wolf", 0, 0.1, 1.0])
def test_distances_are_those_of_scikit_learn(
    shrinkage: Shrinkage, net: nn.Module, digits: tuple[Tensor, Tensor]
) -> None:
    images, labels = digits[0][FIT], digits[1][FIT]
    rejector = Mahalanobis(net, shrinkage=shrinkage, threshold=-50.0).fit(images, labels)
    assert rejector.layer_ == LAYER
    with torch.no_grad():
        stored, points = (
            Features(net, (LAYER,))(one)[LAYER].double().numpy()
            for one in (images, digits[0][HELD])
        )
        result = -rejector.acceptance(digits[0][HELD]).double().numpy()
    means = np.stack([stored[labels.numpy() == one].mean(0) for one in range(10)])
    fitted = reference(shrinkage).fit(stored - means[labels.numpy()])
    wanted = np.min([fitted.mahalanobis(points - mean) for mean in means], axis=0)
    assert np.allclose(result, wanted, rtol=1e-3)
    if shrinkage == "ledoit-wolf":
        assert rejector.shrinkage_ == pytest.approx(fitted.shrinkage_)
    else:
        assert rejector.shrinkage_ == shrinkage


class Padded(nn.Module):
    """A layer that shows the pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = nn.Flatten()

    def forward(self, inputs: Tensor) -> Tensor:
        seen: Tensor = self.seen(inputs)
        return seen[:, :2] * 10


def test_directions_that_do_not_vary_are_left_out() -> None:
    drawn = torch.rand((200, 1, 1, 2), generator=torch.Generator().manual_seed(0)) / 2
    labels = torch.arange(200) % 2
    images = torch.cat([drawn, drawn[..., :1], torch.zeros(200, 1, 1, 1)], dim=3)
    rejector = Mahalanobis(Padded().eval(), layer="seen", shrinkage=0, threshold=-5.0)
    rejector.fit(images, labels)
    assert rejector.directions_ == 2
    moved = images[:5].clone()
    moved[..., 3] = 0.5  # the dead feature
    assert torch.allclose(rejector.acceptance(moved), rejector.acceptance(images[:5]), atol=1e-4)
    shrunk = Mahalanobis(Padded().eval(), layer="seen", threshold=-5.0).fit(images, labels)
    assert shrunk.directions_ == 4
    assert bool((shrunk.acceptance(moved) < shrunk.acceptance(images[:5])).all())


def test_settings_and_features_are_refused(net: nn.Module, refusal: Refusal) -> None:
    for wrong in (-0.1, 1.1, float("nan"), "oas", True):
        message = refusal(lambda wrong=wrong: Mahalanobis(net, shrinkage=wrong))  # type: ignore[misc]
        assert "shrinkage must be a number in [0, 1] or 'ledoit-wolf'" in message
    # classes differ, images of one do not
    images, labels = torch.eye(2).view(2, 1, 1, 2).repeat(20, 1, 1, 1), torch.arange(40) % 2
    message = refusal(lambda: Mahalanobis(Padded().eval(), layer="seen").fit(images, labels))
    assert "layer 'seen' is constant on all images of a class" in message
