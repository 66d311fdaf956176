"""A scaling under which labels are far likelier is reported; one that only stretches is not."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_1samp
from torch import Tensor

from epsball.evaluation.checks.likelihood import fitted_loss, is_likelier, surprise
from epsball.evaluation.checks.scaling import check_scaling

N = 200


def _problem(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Images (n, 1, 2, 2) of two classes, labels, and noise (n,) from -1 to 1."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(N) % 2
    noise = 2 * torch.rand(N, generator=generator) - 1
    images = torch.full((N, 1, 2, 2), 0.5)
    images[:, 0, 0, 0] = 0.25 + 0.5 * labels
    images[:, 0, 1, 1] = (noise + 1) / 2
    images[:, 0, 0, 1] = 0.0  # negative once scaled
    return images, labels, noise


def _scores(inputs: Tensor, *, weight: float) -> Tensor:
    """Read the class off its pixel, and add noise unless the inputs are scaled to [-1, 1]."""
    scaled = bool((inputs < 0).any())
    pixels = (inputs + 1) / 2 if scaled else inputs
    noise = 0.0 if scaled else weight * (pixels[:, 0, 1, 1] - 0.5)
    signal = pixels[:, 0, 0, 0] - 0.5 + noise
    return torch.stack([-signal, signal], 1)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("factor", [0.01, 1.0, 100.0])
def test_an_accurate_model_under_a_forgotten_scaling_is_reported(seed: int, factor: float) -> None:
    images, labels, _ = _problem(seed)
    accuracy = (_scores(images, weight=0.57).argmax(1) == labels).float().mean()
    assert 0.9 <= accuracy < 1

    (findings,) = check_scaling(
        lambda x: factor * _scores(x, weight=0.57), images, labels, 2, named=True
    )
    assert findings.severity == "warning"
    assert "--mean 0.5 --std 0.5" in findings.message
    assert findings.evidence["otherwise"] < 0.8 * findings.evidence["loss"]


@pytest.mark.parametrize("weight", [0.0, 0.3])
def test_a_model_that_is_sure_of_all_labels_either_way_is_not_doubted(weight: float) -> None:
    images, labels, _ = _problem(0)
    # a class apart by more than the noise: no label is unlikely at the best temperature
    apart = images.clone()
    apart[:, 0, 0, 0] = labels.float()
    findings = check_scaling(lambda x: _scores(x, weight=weight), apart, labels, 2, named=True)
    assert findings == []


@given(st.floats(1e-3, 1e3), st.integers(0, 1000))
@settings(deadline=None, max_examples=30)
def test_the_fitted_loss_does_not_depend_on_the_scale_of_the_scores(
    factor: float, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn((40, 5), generator=generator, dtype=torch.float64)
    labels = torch.randint(5, (40,), generator=generator)
    torch.testing.assert_close(fitted_loss(factor * scores, labels), fitted_loss(scores, labels))


def test_the_fitted_loss_of_calibrated_scores_is_their_own() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = 2 * torch.randn((20_000, 3), generator=generator, dtype=torch.float64)
    labels = torch.multinomial(scores.softmax(1), 1, generator=generator)[:, 0]
    own = torch.nn.functional.cross_entropy(scores, labels)
    assert float(fitted_loss(scores, labels).mean()) == pytest.approx(float(own), rel=1e-2)


@pytest.mark.parametrize(
    ("before", "after", "likelier"),
    [(1.0, 0.79, True), (1.0, 0.81, False), (0.02, 0.001, False), (1.0, float("nan"), False)],
)
def test_what_counts_as_likelier(before: float, after: float, likelier: bool) -> None:
    assert is_likelier(torch.full((9,), after), torch.full((9,), before)) is likelier


def test_equal_gains_of_two_images_and_one_image_surprise_nobody() -> None:
    assert surprise(torch.zeros(1), torch.ones(1)) == 1.0
    assert surprise(torch.zeros(5), torch.ones(5)) == 1.0
    few = surprise(torch.zeros(5), torch.tensor([1.0, 2, 1, 2, 1]))
    many = surprise(torch.zeros(50), torch.tensor([1.0, 2, 1, 2, 1] * 10))
    assert many < few < 0.05
    drawn = torch.randn(30, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = ttest_1samp(drawn.numpy(), 0, alternative="greater").pvalue
    assert surprise(torch.zeros(30), drawn) == pytest.approx(expected)
