"""A combiner fitted again is that of a fresh fit; a searching copy is nearly the same."""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from epsball.defences import DeepNeuralRejection, RbfSvm, load
from epsball.defences.deep_neural_rejection import Combiner
from epsball.errors import NotFitted
from epsball.evaluation.twin import Twin

Refusal = Callable[[Callable[[], object]], str]
LAYERS = ("conv", "first", "second")
FEW = 300


@pytest.fixture(scope="module")
def pictures(digits: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    return digits[0][:FEW], digits[1][:FEW]


def test_a_combiner_fitted_again_is_that_of_a_fresh_fit(
    net: nn.Module, pictures: tuple[Tensor, Tensor], digits: tuple[Tensor, Tensor]
) -> None:
    def fitted(combiner: Combiner) -> DeepNeuralRejection:
        return DeepNeuralRejection(
            net, layers=LAYERS, combiner=combiner, c=1.0, combiner_gamma=0.5
        ).fit(*pictures)

    one, other, new = fitted("in-sample"), fitted("out-of-fold"), digits[0][1200:]
    before = one(new)
    again = one.refit_combiner(pictures[1], "out-of-fold")
    assert again is one
    assert one.settings()["combiner"] == "out-of-fold"
    assert not torch.equal(before, one(new))
    assert torch.equal(one(new), other(new))
    assert torch.equal(one.refit_combiner(pictures[1], "in-sample")(new), before)


def test_what_was_loaded_cannot_be_refitted(
    net: nn.Module, pictures: tuple[Tensor, Tensor], tmp_path: Path, refusal: Refusal
) -> None:
    rejector = DeepNeuralRejection(net, layers=LAYERS)
    with pytest.raises(NotFitted):
        rejector.refit_combiner(pictures[1], "in-sample")
    rejector.fit(*pictures)
    assert "combiner" in refusal(lambda: rejector.refit_combiner(pictures[1], "both"))  # type: ignore[arg-type]  # the mistake
    assert "300" in refusal(lambda: rejector.refit_combiner(pictures[1][:-1], "in-sample"))
    loaded = load(rejector.save(tmp_path / "dnr"), net)
    assert isinstance(loaded, DeepNeuralRejection)
    assert "fit again" in refusal(lambda: loaded.refit_combiner(pictures[1], "in-sample"))


def test_a_searching_copy_is_cheaper_and_nearly_the_same(
    net: nn.Module, pictures: tuple[Tensor, Tensor], digits: tuple[Tensor, Tensor]
) -> None:
    rejector = DeepNeuralRejection(net, layers=LAYERS, c=1.0, combiner_gamma=0.5).fit(*pictures)
    before = copy.deepcopy(rejector.learned())
    twin, new = Twin(rejector), digits[0][1200:].clone().requires_grad_()
    theirs, ours = rejector(new), twin(new)
    assert any(s.support is not None and s.support.dtype == torch.bfloat16
               for s in twin._held.modules() if isinstance(s, RbfSvm))  # fmt: skip
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
    svm.search_in_half()
    assert (svm.decision(features) - exact).abs().max() < 0.02 * exact.abs().max()


def test_machines_that_are_not_there_cannot_be_rounded() -> None:
    with pytest.raises(NotFitted):
        RbfSvm().search_in_half()
