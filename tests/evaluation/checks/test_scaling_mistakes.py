"""Images that were turned, inverted or scaled twice, and scalings that were exchanged."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from epsball import audit
from epsball.evaluation.checks.scaling import check_scaling
from epsball.evaluation.checks.usual_scalings import COLOUR, GREY, Scaling
from epsball.models import Pipeline

CLASSES = 8
SCALINGS = [one for one in (*COLOUR, *GREY) if one.channels is None]


class Nearest(nn.Module):
    """Names the pattern that is nearest."""

    def __init__(self, patterns: Tensor) -> None:
        super().__init__()
        self.patterns = nn.Parameter(patterns.flatten(1))

    def forward(self, inputs: Tensor) -> Tensor:
        products: Tensor = 2 * inputs.flatten(1) @ self.patterns.T
        return products - (self.patterns**2).sum(1)


def _patterns(channels: int, seed: int) -> Tensor:
    """Patterns of all sizes: an affine change of the images brings them to other ones."""
    generator = torch.Generator().manual_seed(seed)
    patterns = torch.rand((CLASSES, channels, 6, 6), generator=generator)
    return patterns * torch.linspace(0.25, 1, CLASSES)[:, None, None, None]


def _images(patterns: Tensor, count: int = 96) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % CLASSES
    noise = torch.rand((count, *patterns.shape[1:]), generator=generator)
    return 0.97 * patterns[labels] + 0.03 * noise, labels


def _answers(model: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    def scores(points: Tensor) -> Tensor:
        with torch.no_grad():
            return model(points)

    return scores


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda images: 1 - images, "inverted, 1 - image"),
        (lambda images: images.mT, "rows and columns of the images exchanged"),
        (lambda images: images.flip(2), "upside down"),
    ],
)
def test_turned_images_are_told(wrong: Callable[[Tensor], Tensor], words: str) -> None:
    patterns = _patterns(1, 0)
    images, labels = _images(patterns)
    report = audit(Nearest(patterns).eval(), (wrong(images), labels), attacks=["noise"], eps=[0.01])
    (result,) = [finding for finding in report.findings if finding.code == "other-scaling"]
    assert words in result.message
    assert result.evidence["otherwise"] > 0.95
    right = audit(Nearest(patterns).eval(), (images, labels), attacks=["noise"], eps=[0.01])
    assert "other-scaling" not in {finding.code for finding in right.findings}


@given(st.sampled_from(SCALINGS), st.sampled_from(SCALINGS), st.integers(0, 1000))
@settings(deadline=None, max_examples=25)
def test_a_scaling_in_place_of_another_is_told(right: Scaling, wrong: Scaling, seed: int) -> None:
    channels = 3 if right in COLOUR else 1
    if (wrong in COLOUR) != (right in COLOUR):
        return
    patterns = _patterns(channels, seed)
    images, labels = _images(patterns)
    net = Nearest(right(patterns)).eval()
    mistaken = Pipeline(wrong.layer, net)
    before = float((_answers(mistaken)(images).argmax(1) == labels).float().mean())
    findings = check_scaling(_answers(mistaken), images, labels, CLASSES, named=False)
    if before < 0.6:
        (result,) = findings
        assert result.evidence["otherwise"] > 0.9
    if wrong is right:
        assert findings == []


@given(st.sampled_from(SCALINGS), st.integers(0, 1000))
@settings(deadline=None, max_examples=20)
def test_a_scaling_that_is_applied_twice_is_told(scaling: Scaling, seed: int) -> None:
    channels = 3 if scaling in COLOUR else 1
    patterns = _patterns(channels, seed)
    images, labels = _images(patterns)
    net = Nearest(scaling(patterns)).eval()
    twice = nn.Sequential(*[scaling.layer for _ in range(2)], net)
    before = float((_answers(twice)(images).argmax(1) == labels).float().mean())
    findings = check_scaling(_answers(twice), images, labels, CLASSES, named=False)
    if before < 0.6:
        (result,) = findings
        assert result.evidence["otherwise"] > 0.9


@pytest.mark.parametrize(("count", "passes"), [(8, 8), (40, None)])
def test_images_too_few_to_convince_are_not_tried(count: int, passes: int | None) -> None:
    queries = 0

    def scores(images: Tensor) -> Tensor:
        nonlocal queries
        queries += len(images)
        return torch.eye(4)[torch.ones(len(images), dtype=torch.int64)]

    images, labels = torch.rand(count, 3, 8, 8), torch.zeros(count, dtype=torch.int64)
    assert not check_scaling(scores, images, labels, 4, named=True)
    assert queries == passes if passes else queries > 10 * count
