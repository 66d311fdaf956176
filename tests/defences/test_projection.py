"""Projection: scikit-learn's principal components, and the distance to their plane."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from torch import Tensor, nn

from epsball.defences import Projection
from epsball.defences.rejectors import projection as file

Refusal = Callable[[Callable[[], object]], str]
FIT, HELD = slice(0, 600), slice(1200, 1300)


@pytest.mark.parametrize("variance", [0.2, 0.8, 0.95, 0.999])
def test_the_score_is_the_distance_to_the_reconstruction(
    variance: float, net: nn.Module, digits: tuple[Tensor, Tensor]
) -> None:
    rejector = Projection(net, variance=variance, threshold=-1.0)
    rejector.fit(digits[0][FIT], digits[1][FIT])
    pca = PCA(n_components=variance, svd_solver="full")
    pca.fit(digits[0][FIT].flatten(1).double().numpy())
    assert rejector.components_ == pca.n_components_
    rows = digits[0][HELD].flatten(1).double().numpy()
    wanted = np.linalg.norm(rows - pca.inverse_transform(pca.transform(rows)), axis=1)
    result = -rejector.acceptance(digits[0][HELD]).numpy()
    assert np.allclose(result, wanted, rtol=1e-4)


def test_on_the_plane_the_gradient_is_no_nan() -> None:
    images = torch.tensor([0.25, 0.5, 0.75]).view(3, 1, 1, 1).expand(3, 1, 1, 2)
    rejector = Projection(nn.Flatten().eval(), threshold=-0.1).fit(images, torch.tensor([0, 1, 0]))
    assert rejector.components_ == 1
    point = torch.full((1, 1, 1, 2), 0.5, requires_grad=True)  # the mean
    score = rejector.acceptance(point)
    assert float(score.detach()) == 0.0
    (gradient,) = torch.autograd.grad(score.sum(), point)
    assert bool(gradient.isfinite().all())


def test_settings_and_images_are_refused(
    net: nn.Module,
    digits: tuple[Tensor, Tensor],
    refusal: Refusal,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for wrong in (0, 1.0, -0.5, float("nan"), "95", True):
        message = refusal(lambda wrong=wrong: Projection(net, variance=wrong))  # type: ignore[misc]
        assert "variance must be in (0, 1)" in message
    same = digits[0][:1].repeat(10, 1, 1, 1)
    message = refusal(lambda: Projection(net, threshold=0.0).fit(same, torch.arange(10)))
    assert "images must differ, got 10 that are the same" in message
    rejector = Projection(net, threshold=-1.0).fit(digits[0][FIT], digits[1][FIT])
    message = refusal(lambda: rejector(torch.zeros(1, 1, 9, 9)))
    assert "64 numbers as in the fit" in message
    monkeypatch.setattr(file, "_WIDEST", 63)
    assert "at most 63 numbers" in refusal(lambda: Projection(net).fit(*digits))
