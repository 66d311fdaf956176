"""The Dirichlet-process mixture: scikit-learn's score, and as many Gaussians as there are heaps."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn.mixture import BayesianGaussianMixture
from torch import Tensor, nn

from epsball.defences import DirichletMixture, Features

Refusal = Callable[[Callable[[], object]], str]
LAYER = "second.1"
FIT, HELD = slice(0, 600), slice(1200, 1300)


def reduced(rejector: DirichletMixture, images: Tensor) -> np.ndarray:
    """What the mixture sees of images, in float64."""
    with torch.no_grad():
        read = Features(rejector.model, (rejector.layer_,))(images)[rejector.layer_]
    kept = rejector.kept
    return ((read.double() - kept.shift.double()) @ kept.reduction.double()).numpy()  # type: ignore[no-any-return]


@pytest.mark.parametrize("settings", [{}, {"components": 3, "dimensions": 2}, {"concentration": 9}])
def test_the_score_is_that_of_scikit_learn(
    settings: dict[str, int], net: nn.Module, digits: tuple[Tensor, Tensor]
) -> None:
    rejector = DirichletMixture(net, threshold=-50.0, **settings)  # type: ignore[arg-type]
    rejector.fit(digits[0][FIT], digits[1][FIT])
    assert rejector.layer_ == LAYER
    reference = BayesianGaussianMixture(
        n_components=settings.get("components", 30),
        weight_concentration_prior_type="dirichlet_process",
        weight_concentration_prior=settings.get("concentration"),
        max_iter=300,
        random_state=0,
    ).fit(reduced(rejector, digits[0][FIT]))
    noise = torch.rand((100, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    for images in (digits[0][FIT], digits[0][HELD], noise):
        wanted = reference.score_samples(reduced(rejector, images))
        result = rejector.acceptance(images).detach().numpy()
        # relative to its size, which is near 0 for some
        assert np.all(np.abs(result - wanted) <= 1e-4 * np.maximum(np.abs(wanted), 1))
    names = reference.predict(reduced(rejector, digits[0][FIT]))
    assert rejector.effective_components_ == len(set(names.tolist()))


def test_empty_components_stay_empty() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(300) % 3
    centres = torch.tensor([[0.2, 0.2], [0.8, 0.2], [0.5, 0.8]])
    points = centres[labels] + 0.02 * torch.randn((300, 2), generator=generator)
    model = nn.Sequential(nn.Flatten(), nn.Linear(2, 3)).eval()
    rejector = DirichletMixture(
        model, layer="0", components=3, concentration=1e-3, threshold=-9.0, steps=1000
    )
    rejector.fit(points.view(300, 1, 1, 2), labels)
    assert rejector.effective_components_ == 3
    assert rejector.converged_
    between = torch.tensor([[0.5, 0.4]]).view(1, 1, 1, 2)
    there = centres.view(3, 1, 1, 2)
    with torch.no_grad():
        assert float(rejector.acceptance(between)) < float(rejector.acceptance(there).min()) - 10


def test_the_same_seed_gives_the_same_mixture(
    net: nn.Module, digits: tuple[Tensor, Tensor]
) -> None:
    result = [
        DirichletMixture(net, seed=seed, threshold=-50.0).fit(digits[0][FIT], digits[1][FIT])
        for seed in (3, 3, 4)
    ]
    scores = [rejector.acceptance(digits[0][HELD]) for rejector in result]
    assert torch.equal(scores[0], scores[1])
    assert not torch.equal(scores[0], scores[2])


def test_a_fit_that_stops_early_says_so(net: nn.Module, digits: tuple[Tensor, Tensor]) -> None:
    rejector = DirichletMixture(net, steps=1, threshold=-50.0)
    assert not rejector.fit(digits[0][FIT], digits[1][FIT]).converged_


def test_small_fits_take_fewer_components_and_dimensions() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2)).eval()
    images = torch.rand((5, 1, 2, 2), generator=torch.Generator().manual_seed(0))
    rejector = DirichletMixture(model, layer="0", threshold=-9.0).fit(images, torch.arange(5) % 2)
    assert rejector.kept.reduction.shape == (4, 4)
    assert len(rejector.kept.means) == 5
    assert bool(rejector(images).isfinite().all())


def test_settings_are_refused(net: nn.Module, refusal: Refusal) -> None:
    for setting in ("dimensions", "components", "steps"):
        for wrong in (0, 2.5, True):
            message = refusal(
                lambda setting=setting, wrong=wrong: DirichletMixture(net, **{setting: wrong})  # type: ignore[misc]
            )
            assert f"mixture: {setting} must be a whole number >= 1" in message
    assert "concentration must be a number above 0" in refusal(
        lambda: DirichletMixture(net, concentration=0.0)
    )
    assert "seed must be a whole number >= 0" in refusal(lambda: DirichletMixture(net, seed=-1))
