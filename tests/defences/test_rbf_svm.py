"""The machines are scikit-learn's, their values and gradients are exact, bad features refused."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from sklearn.calibration import CalibratedClassifierCV
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from torch import Tensor

from epsball.defences import RbfSvm
from epsball.defences.svm import kernel_source
from epsball.defences.svm.rows import stratified_folds
from epsball.defences.svm.settings import Gamma
from epsball.errors import NotFitted

Refusal = Callable[[Callable[[], object]], str]
EXACT = 1e-6  # of the solver: two that stop early stop at different places
ROWS = 500


@pytest.fixture(scope="module")
def rows(digits: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    images, labels = digits
    return images.flatten(1)[:ROWS], labels[:ROWS]


@pytest.fixture(scope="module")
def fitted(rows: tuple[Tensor, Tensor]) -> RbfSvm:
    return RbfSvm(gamma=0.05, c=1.0, tolerance=EXACT).fit(*rows)


def reference(
    features: NDArray[np.float64], labels: Tensor, new: NDArray[np.float64], **settings: float | str
) -> NDArray[np.float64]:
    """Scikit-learn's machines, one against the rest, in float64."""
    result = [
        SVC(kernel="rbf", tol=EXACT, **settings).fit(features, labels.numpy() == one)
        for one in range(10)
    ]
    return np.stack([machine.decision_function(new) for machine in result], axis=1)


def distance(values: Tensor, wanted: NDArray[np.float64]) -> float:
    return float(np.abs(values.double().numpy() - wanted).max() / np.abs(wanted).max())


def test_decision_values_are_scikit_learns(
    digits: tuple[Tensor, Tensor], rows: tuple[Tensor, Tensor], fitted: RbfSvm
) -> None:
    new = digits[0].flatten(1)[ROWS : 2 * ROWS]
    wanted = reference(rows[0].double().numpy(), rows[1], new.double().numpy(), gamma=0.05, C=1.0)
    values = fitted.decision(new)
    assert values.dtype == torch.float32
    assert values.shape == (ROWS, 10)
    assert distance(values, wanted) < 1e-4


def test_standardised_features_and_the_rule_for_gamma(
    digits: tuple[Tensor, Tensor], rows: tuple[Tensor, Tensor]
) -> None:
    new = digits[0].flatten(1)[ROWS : ROWS + 100]
    features, labels = rows
    svm = RbfSvm(gamma="scale", c=1.0, standardise=True, tolerance=EXACT).fit(features, labels)
    scaler = StandardScaler().fit(features.double().numpy())
    varies = features.numpy().std(0) > 0
    assert svm.left_out_ == int((~varies).sum()) > 0
    own, other = (scaler.transform(x.double().numpy())[:, varies] for x in (features, new))
    # scikit-learn's rule counts the features that are left out here
    gamma = 1 / (64 * varies.mean())
    assert svm.gamma_ == pytest.approx(gamma, rel=1e-5)
    assert distance(svm.decision(new), reference(own, labels, other, gamma=gamma, C=1.0)) < 1e-4


def test_gamma_scale_is_scikit_learns(rows: tuple[Tensor, Tensor]) -> None:
    features, labels = rows
    svm = RbfSvm(gamma="scale", c=1.0).fit(features, labels)
    assert svm.gamma_ == pytest.approx(
        1 / (64 * float(features.double().var(correction=0))), rel=1e-6
    )
    wanted = reference(
        features.double().numpy(), labels, features.double().numpy(), gamma="scale", C=1.0
    )
    exact = RbfSvm(gamma="scale", c=1.0, tolerance=EXACT).fit(features, labels)
    assert distance(exact.decision(features), wanted) < 1e-4


@pytest.mark.parametrize("offset", [1e3, 1e4])
def test_a_common_offset_does_not_cancel(
    rows: tuple[Tensor, Tensor], fitted: RbfSvm, offset: float
) -> None:
    features, labels = rows
    # sixteenths survive the addition exactly, so that only the kernel's own rounding is seen
    svm = RbfSvm(gamma=0.05, c=1.0, tolerance=EXACT).fit(features + offset, labels)
    far = svm.decision(features + offset)
    assert distance(far, fitted.decision(features).double().numpy()) < 1e-4
    # a matrix product may add up each row in another order: equal but for the last bits
    alike = svm.decision((features + offset)[:1].repeat(3, 1))
    assert torch.allclose(alike[1:], alike[:-1], rtol=1e-5, atol=1e-6)


def test_rounding_makes_no_kernel_value_larger_than_one() -> None:
    generator = torch.Generator().manual_seed(0)
    support = 30 * torch.randn((20, 500), generator=generator)  # so far out that it cancels
    svm = RbfSvm()
    svm.shift, svm.weight, svm.support = torch.zeros(500), torch.ones(500), support
    svm.norms, svm.coefficients = support.square().sum(1), torch.eye(20)
    svm.intercept = torch.zeros(20)
    assert float(svm.decision(support).max()) <= 1


def test_probabilities_are_those_of_scikit_learn(
    rows: tuple[Tensor, Tensor], fitted: RbfSvm
) -> None:
    features, labels = rows[0].double().numpy(), rows[1].numpy()
    folds = stratified_folds(labels, 5, "test")
    cuts = [(np.flatnonzero(folds != one), np.flatnonzero(folds == one)) for one in range(5)]
    for one in (0, 3, 8):
        machine = SVC(kernel="rbf", gamma=0.05, C=1.0, tol=EXACT)
        calibrated = CalibratedClassifierCV(machine, method="sigmoid", cv=cuts, ensemble=False)
        wanted = calibrated.fit(features, labels == one).predict_proba(features)[:, 1]
        result = fitted.log_odds(rows[0])[:, one].sigmoid().numpy()
        assert np.abs(result - wanted).max() < 1e-3


def test_out_of_fold_values_come_from_machines_that_saw_nothing(
    rows: tuple[Tensor, Tensor], fitted: RbfSvm
) -> None:
    features, labels = rows[0].double().numpy(), rows[1]
    folds = stratified_folds(labels.numpy(), 5, "test")
    stored = folds == 2
    values = reference(features[~stored], labels[~stored], features[stored], gamma=0.05, C=1.0)
    assert fitted.slope is not None
    assert fitted.offset is not None
    wanted = -(fitted.slope * torch.tensor(values) + fitted.offset)
    assert distance(fitted.out_of_fold_[stored], wanted.numpy()) < 1e-4


def test_in_sample_values_are_those_of_the_layer(
    rows: tuple[Tensor, Tensor], fitted: RbfSvm
) -> None:
    assert distance(fitted.log_odds(rows[0]), fitted.in_sample_.double().numpy()) < 1e-4


def test_gradients_are_those_of_finite_differences(
    rows: tuple[Tensor, Tensor], fitted: RbfSvm
) -> None:
    svm = RbfSvm(gamma=0.05, c=1.0).fit(rows[0].double(), rows[1])
    assert svm.support is not None
    assert svm.support.dtype == torch.float64
    between = (0.5 * (rows[0][:3] + rows[0][3:6])).double().requires_grad_()
    assert torch.autograd.gradcheck(svm.decision, between, atol=1e-7, rtol=1e-6)
    assert torch.autograd.gradcheck(svm.log_odds, between, atol=1e-7, rtol=1e-6)
    on_it = rows[0][:2].double().requires_grad_()  # where |x - x_i|^2 is clamped
    assert torch.autograd.gradcheck(svm.decision, on_it, atol=1e-7, rtol=1e-5)


def test_grid_search_takes_the_best_point(rows: tuple[Tensor, Tensor]) -> None:
    grid: dict[str, tuple[Gamma, ...]] = {"gamma": (0.001, 0.05, "scale"), "c": (0.01, 1.0)}
    svm = RbfSvm(search=grid).fit(*rows)
    assert len(svm.searched_) == 6
    best = max(point["accuracy"] for point in svm.searched_)
    taken = [p for p in svm.searched_ if (p["gamma"], p["c"]) == (svm.gamma_, svm.c_)]
    assert taken[0]["accuracy"] == best > min(p["accuracy"] for p in svm.searched_)
    alone = RbfSvm(gamma=svm.gamma_, c=svm.c_).fit(*rows)
    accuracy = float((alone.out_of_fold_.argmax(1) == rows[1]).double().mean())
    assert accuracy == pytest.approx(best, abs=0.005)  # out of fold, but after the sigmoids
    assert distance(svm.decision(rows[0]), alone.decision(rows[0]).double().numpy()) < 1e-2


def test_support_vectors_are_counted_and_shown(fitted: RbfSvm) -> None:
    assert max(fitted.support_counts_) <= fitted.support_count_ <= ROWS
    assert len(fitted.support_counts_) == 10
    assert f"support vectors={fitted.support_count_}" in repr(fitted)


def test_no_parameter_and_nothing_but_tensors_in_the_state(
    fitted: RbfSvm, rows: tuple[Tensor, Tensor], tmp_path: Path
) -> None:
    assert not list(fitted.parameters())
    save_file(fitted.state_dict(), tmp_path / "svm.safetensors")
    again = RbfSvm(gamma=0.05, c=1.0)
    for name, value in load_file(tmp_path / "svm.safetensors").items():
        setattr(again, name, value)
    assert torch.equal(again.decision(rows[0]), fitted.decision(rows[0]))


def test_a_cast_moves_the_machines_but_not_to_half_precision(
    fitted: RbfSvm, rows: tuple[Tensor, Tensor]
) -> None:
    import copy

    wanted = fitted.decision(rows[0][:20])
    half = copy.deepcopy(fitted).to(torch.bfloat16)
    assert half.support is not None
    assert half.support.dtype == torch.float32
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(half.decision(rows[0][:20]), wanted)
    double = copy.deepcopy(fitted).double()
    assert double.decision(rows[0][:20]).dtype == torch.float64
    assert torch.allclose(double.decision(rows[0][:20]).float(), wanted, atol=1e-4)


@pytest.mark.gpu
def test_machines_on_a_gpu_say_the_same(fitted: RbfSvm, rows: tuple[Tensor, Tensor]) -> None:
    import copy

    there = copy.deepcopy(fitted).to("cuda").decision(rows[0].cuda()).cpu()
    assert distance(there, fitted.decision(rows[0]).double().numpy()) < 1e-4


def test_intelex_finds_the_same_machines(
    digits: tuple[Tensor, Tensor], rows: tuple[Tensor, Tensor], fitted: RbfSvm
) -> None:
    pytest.importorskip("sklearnex", reason="scikit-learn-intelex is not installed")
    svm = RbfSvm(gamma=0.05, c=1.0, tolerance=EXACT, solver="intelex").fit(*rows)
    for some in (rows[0], digits[0].flatten(1)[ROWS : 2 * ROWS]):  # seen and unseen
        assert distance(svm.decision(some), fitted.decision(some).double().numpy()) < 1e-4
    # of the machines under Platt's sigmoids, and of these
    assert distance(svm.out_of_fold_, fitted.out_of_fold_.double().numpy()) < 1e-4


def test_a_refit_forgets(rows: tuple[Tensor, Tensor]) -> None:
    svm = RbfSvm(gamma=0.05, c=1.0).fit(*rows)
    two = rows[1] < 2
    svm.fit(rows[0][two, :32], rows[1][two])
    assert svm.decision(rows[0][:3, :32]).shape == (3, 2)


def test_settings_are_refused(refusal: Refusal) -> None:
    assert "gamma must be a number above 0 or 'scale', got 0" in refusal(lambda: RbfSvm(gamma=0))
    assert "c must be a number above 0, got -1" in refusal(lambda: RbfSvm(c=-1))
    assert "tolerance" in refusal(lambda: RbfSvm(tolerance=float("nan")))
    assert "folds must be 2 or more" in refusal(lambda: RbfSvm(folds=1))
    assert "did you mean 'libsvm'" in refusal(lambda: RbfSvm(solver="libsvn"))
    assert "setting in search 'C'" in refusal(lambda: RbfSvm(search={"C": (1.0,)}))
    assert "list of values for c" in refusal(lambda: RbfSvm(search={"c": ()}))
    assert "search gamma must be" in refusal(lambda: RbfSvm(search={"gamma": (-1.0,)}))


def test_asked_before_it_was_fitted() -> None:
    asks: tuple[Callable[[RbfSvm], object], ...] = (
        lambda svm: svm.decision(torch.zeros(1, 2)),
        lambda svm: svm.log_odds(torch.zeros(1, 2)),
        lambda svm: svm.support_count_,
        lambda svm: svm.support_counts_,
        lambda svm: svm.left_out_,
        lambda svm: svm.gamma_,
        lambda svm: svm.out_of_fold_,
    )
    for ask in asks:
        with pytest.raises(NotFitted, match="call fit first"):
            ask(RbfSvm())


def test_features_are_refused(rows: tuple[Tensor, Tensor], refusal: Refusal) -> None:
    features, labels = rows
    holed = features.clone()
    holed[7, 3] = float("nan")
    message = refusal(lambda: RbfSvm().fit(holed, labels, name="layer 'conv'"))
    assert message.startswith("layer 'conv': ")
    assert "NaN or infinity in 1 of 500 rows, first in row 7" in message
    message = refusal(lambda: RbfSvm().fit(torch.full((500, 3), 0.1), labels, name="layer 'conv'"))
    assert message.startswith("layer 'conv': ")
    assert "got 3 that are the same in all 500 rows" in message
    assert "(n, d)" in refusal(lambda: RbfSvm().fit(features[:, :, None], labels))
    assert "(n, d)" in refusal(lambda: RbfSvm().fit(features.int(), labels))
    assert "of shape (500,)" in refusal(lambda: RbfSvm().fit(features, labels[:9]))
    assert "labels must be 0 or more" in refusal(lambda: RbfSvm().fit(features, labels - 1))
    assert "labels must be integers" in refusal(lambda: RbfSvm().fit(features, labels + 0.5))


def test_classes_that_are_too_few_are_refused(
    rows: tuple[Tensor, Tensor], refusal: Refusal
) -> None:
    features, labels = rows
    few = labels.clone()
    few[labels == 3] = 4
    assert "got 0 of class 3" in refusal(lambda: RbfSvm().fit(features, few))
    few[(labels == 3).nonzero()[:4, 0]] = 3
    assert "needs 5 images or more, one a fold, got 4" in refusal(
        lambda: RbfSvm().fit(features, few)
    )
    assert "class" in refusal(lambda: RbfSvm().fit(features, labels * 0))


def test_another_number_of_features_is_refused(fitted: RbfSvm, refusal: Refusal) -> None:
    assert "(n, 64) as in the fit" in refusal(lambda: fitted.decision(torch.zeros(2, 63)))


def test_a_kernel_that_does_not_fit_is_refused_at_once(
    rows: tuple[Tensor, Tensor], refusal: Refusal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_source, "memory", lambda: 10**6)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    message = refusal(lambda: RbfSvm().fit(*rows))
    assert "on at most 295 images" in message
    assert "epsball[intelex]" in message
    assert "not installed" in refusal(lambda: RbfSvm(solver="intelex").fit(*rows))
