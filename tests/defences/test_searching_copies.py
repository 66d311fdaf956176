"""A copy of a fitted defence that only searches: cheaper, and nearly the same."""

import copy

import pytest
import torch
from torch import Tensor, nn

from epsball.defences import DeepNeuralRejection, RbfSvm
from epsball.defences.svm import layer as rbf_svm
from epsball.defences.svm.kernels import exponents, main_directions
from epsball.errors import InvalidInput, NotFitted
from epsball.evaluation.engine.surrogate import SurrogateModel
from epsball.types import Precision

LAYERS = ("conv", "first", "second")
FEW = 300


@pytest.fixture(scope="module")
def images(digits: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    return digits[0][:FEW], digits[1][:FEW]


@pytest.mark.parametrize("precision", ["float32-copy", "bfloat16"])
def test_a_searching_copy_is_cheaper_and_nearly_the_same(
    precision: Precision,
    net: nn.Module,
    images: tuple[Tensor, Tensor],
    digits: tuple[Tensor, Tensor],
) -> None:
    rejector = DeepNeuralRejection(net, layers=LAYERS, c=1.0, combiner_gamma=0.5).fit(*images)
    before = copy.deepcopy(rejector.learned())
    twin, new = SurrogateModel(rejector, precision), digits[0][1200:].clone().requires_grad_()
    theirs, ours = rejector(new), twin(new)
    wanted = torch.bfloat16 if precision == "bfloat16" else torch.float32
    assert all(
        s.support is not None and s.support.dtype == wanted
        for s in twin._copy.modules()
        if isinstance(s, RbfSvm)
    )
    assert (theirs.argmax(1) == ours.argmax(1)).double().mean() > 0.97
    assert (theirs - ours).abs().median() < 0.1
    (exact,) = torch.autograd.grad(theirs[:, :-1].amax(1).sum(), new)
    (rough,) = torch.autograd.grad(ours[:, :-1].amax(1).sum(), new)
    assert torch.cosine_similarity(exact.flatten(1), rough.flatten(1)).median() > 0.98
    # the caller's own machines are as exact as they were
    assert all(torch.equal(value, before[name]) for name, value in rejector.learned().items())


def test_far_points_stay_far_in_a_searching_copy() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn((60, 40), generator=generator) + 100  # a common offset must not cancel
    labels = (features[:, 0] > 100).long()
    svm = RbfSvm(gamma=0.05, c=1.0).fit(features, labels)
    exact = svm.decision(features)
    svm.search_cheaply(half=True)
    assert (svm.decision(features) - exact).abs().max() < 0.02 * exact.abs().max()


def test_machines_that_are_not_there_cannot_be_rounded() -> None:
    with pytest.raises(NotFitted):
        RbfSvm().search_cheaply(half=False)


@pytest.mark.parametrize("half", [False, True])
def test_wide_machines_search_along_their_main_directions(
    half: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Features of few dimensions and a little noise: what lies beside the directions is far off."""
    monkeypatch.setattr(rbf_svm, "_DIRECTIONS", 8)
    monkeypatch.setattr(rbf_svm, "_SAMPLE", 40)
    drawn = torch.Generator().manual_seed(0)
    inside = torch.randn((300, 6), generator=drawn) @ torch.randn((6, 400), generator=drawn)
    features = inside + 0.3 * torch.randn((300, 400), generator=drawn) + 5
    labels = (inside[:, 0] > 0).long()
    svm = RbfSvm(gamma=1e-4, c=10.0).fit(features[:250], labels[:250])
    # far beside every direction: how far has to count, as it does in the machines themselves
    beside = features[:20] + 30 * torch.randn((20, 400), generator=drawn)
    points = torch.cat([features[250:], beside]).requires_grad_()
    exact = svm.decision(points)
    svm.search_cheaply(half=half)
    assert svm.directions is not None
    assert svm.directions.shape == (400, 8)
    assert svm.support is not None
    assert svm.support.shape == (svm.support_count_, 8)
    rough = svm.decision(points)
    assert (rough - exact).abs().max() < 0.05 * exact.abs().max()
    one, other = (torch.autograd.grad(f.sum(), points)[0] for f in (exact[:, 0], rough[:, 0]))
    assert torch.cosine_similarity(one[:50], other[:50]).min() > 0.9  # far off there is no slope
    with pytest.raises(InvalidInput, match="must be \\(n, 400\\)"):
        svm.decision(features[:, :8])


def test_a_fit_forgets_that_it_was_a_searching_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rbf_svm, "_DIRECTIONS", 1)
    drawn = torch.Generator().manual_seed(0)
    features = torch.randn((60, 40), generator=drawn)
    labels = (features[:, 0] > 0).long()
    svm = RbfSvm(gamma=0.05, c=1.0).fit(features, labels)
    exact = svm.decision(features)
    svm.search_cheaply(half=False)
    assert not torch.allclose(svm.decision(features), exact)
    assert torch.equal(svm.fit(features, labels).decision(features), exact)


def test_what_lies_beside_the_directions_counts_with_its_length() -> None:
    drawn = torch.Generator().manual_seed(0)
    directions = torch.linalg.qr(torch.randn((9, 3), generator=drawn).double()).Q
    rows, points = (torch.randn((n, 9), generator=drawn).double() for n in (4, 5))
    beside_rows, beside_points = (x - x @ directions @ directions.T for x in (rows, points))
    wanted = -torch.cdist(rows, points).square() - 2 * beside_rows @ beside_points.T
    norms = points.square().sum(1)
    result = exponents(rows, points @ directions, norms, directions)
    assert torch.allclose(result, wanted.clamp_max(0))
    assert torch.allclose(exponents(rows, points, norms), -torch.cdist(rows, points).square())


def test_main_directions_are_those_of_the_singular_values() -> None:
    drawn = torch.Generator().manual_seed(0)
    lengths = torch.tensor([9.0, 5.0, 3.0, 0.1, 0.1, 0.1, 0.1])
    points = torch.randn((200, 7), generator=drawn) * lengths
    result = main_directions(points, 3, 200)
    assert torch.allclose(result.T @ result, torch.eye(3), atol=1e-5)
    wanted = torch.linalg.svd(points).Vh[:3].T
    assert torch.allclose((result.T @ wanted).abs(), torch.eye(3), atol=1e-3)


def test_directions_that_no_point_has_are_not_made_up() -> None:
    points = torch.tensor([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [1.0, 2.0, 0.0]])
    assert main_directions(points, 3, 3).shape == (3, 2)
    assert main_directions(torch.zeros(4, 3), 2, 4).shape == (3, 0)
