"""Estimators of scikit-learn as classifiers: the same answers, gradients, boxes, bad files."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.linear_model import LogisticRegression, RidgeClassifier, SGDClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier
from torch import Tensor

from epsball.attacks import boxes, deepfool, hopskipjump
from epsball.errors import BrokenContract, InvalidInput
from epsball.geometry import size
from epsball.models import load_model
from epsball.models.sklearn.wrapper import SklearnModel, wrap_estimator
from epsball.objectives import is_adversarial

SHAPE = (1, 2, 3)


def data(classes: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    generator = np.random.default_rng(classes)
    levels = generator.integers(256, size=(150, 6)).astype(np.float32) / np.float32(255)
    score = levels @ generator.normal(size=(6, classes)) + 0.3 * np.sin(9 * levels[:, :1])
    return levels, score.argmax(1)


ESTIMATORS: dict[str, Any] = {
    "logistic": LogisticRegression(),
    "linear-svc": LinearSVC(),
    "sgd": SGDClassifier(random_state=0),
    "ridge": RidgeClassifier(),
    "svc": SVC(C=10),
    "svc-linear": SVC(kernel="linear"),
    "svc-poly": SVC(kernel="poly"),
    "perceptron": MLPClassifier((7,), random_state=0, solver="lbfgs", max_iter=2000),
    "tree": DecisionTreeClassifier(random_state=0),
    "forest": RandomForestClassifier(5, random_state=0),
    "boosting": GradientBoostingClassifier(n_estimators=3, random_state=0),
    "histogram": HistGradientBoostingClassifier(max_iter=3),
    "neighbours": KNeighborsClassifier(3),
    "kd-tree": KNeighborsClassifier(3, algorithm="kd_tree"),
    "vote": VotingClassifier([("a", LogisticRegression()), ("b", DecisionTreeClassifier())]),
    "scaled": make_pipeline(StandardScaler(), SVC()),
    "reduced": make_pipeline(MinMaxScaler(), PCA(3), LogisticRegression()),
    "scaled-tree": make_pipeline(StandardScaler(), DecisionTreeClassifier(random_state=0)),
    "scaled-neighbours": make_pipeline(StandardScaler(), KNeighborsClassifier(3)),
}
SMOOTH = {
    "logistic", "linear-svc", "sgd", "ridge", "svc", "svc-linear", "perceptron", "scaled",
    "reduced",
}  # fmt: skip


def fitted(name: str, classes: int = 3) -> tuple[Any, Tensor, Tensor]:
    rows, labels = data(classes)
    estimator = ESTIMATORS[name].fit(rows, labels)
    return estimator, torch.from_numpy(rows).view(-1, *SHAPE), torch.from_numpy(labels)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_labels_are_the_estimators(name: str) -> None:
    for classes in (2, 3):
        estimator, images, _ = fitted(name, classes)
        model = wrap_estimator(estimator, name)
        generator = torch.Generator().manual_seed(0)
        both = torch.cat((images, torch.rand((300, *SHAPE), generator=generator)))
        scores = model(both)
        assert scores.shape == (450, classes)
        assert model.info.classes == classes
        assert model.info.differentiable == (name in SMOOTH)
        expected = torch.from_numpy(estimator.predict(both.flatten(1).numpy()))
        # images whose two highest scores are equal have no prediction to compare
        first, second = scores.topk(2, dim=1).values.unbind(1)
        clear = first - second > 1e-5
        assert float(clear.float().mean()) > 0.7
        assert torch.equal(scores.argmax(1)[clear], expected[clear])


@pytest.mark.parametrize("name", sorted(SMOOTH))
def test_gradients_are_those_of_the_scores(name: str) -> None:
    estimator, images, _ = fitted(name)
    model = wrap_estimator(estimator, name)
    x = images[:8].double().requires_grad_()
    (gradient,) = torch.autograd.grad(model(x)[:, 0].sum(), x)
    direction = torch.randn_like(x)
    low, high = (model(x + sign * 1e-6 * direction)[:, 0] for sign in (-1, 1))
    slope = (gradient * direction).flatten(1).sum(1)
    assert torch.allclose((high - low) / 2e-6, slope, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", ["neighbours", "scaled-neighbours"])
def test_neighbours_have_a_smooth_stand_in(name: str) -> None:
    estimator, images, _ = fitted(name)
    model = wrap_estimator(estimator, name)
    soft = model.relaxed()
    assert soft is not None
    x = images.clone().requires_grad_()
    scores = soft(x)
    assert float((scores.argmax(1) == model(images).argmax(1)).float().mean()) > 0.85
    assert torch.allclose(scores.exp().sum(1), torch.ones(150))
    (gradient,) = torch.autograd.grad(scores[:, 0].sum(), x)
    assert bool((gradient != 0).any())


def every_level_image(estimator: Any, label: int, norm: Any, clean: Tensor) -> float:
    """Return the distance to the nearest grey-level image of another class, by trying all."""
    levels = torch.arange(256, dtype=torch.float32) / 255
    grid = torch.cartesian_prod(levels, levels)
    other = torch.from_numpy(estimator.predict(grid.numpy())) != label
    return float(size(grid[other] - clean, norm).min())


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
@pytest.mark.parametrize("scaled", [False, True])
def test_no_image_in_8_bits_is_nearer_than_that_of_boxes(norm: Any, scaled: bool) -> None:
    rows, labels = data(3)
    tree: Any = DecisionTreeClassifier(random_state=0)
    estimator = make_pipeline(StandardScaler(), tree) if scaled else tree
    estimator.fit(rows[:, :2], labels)
    model = wrap_estimator(estimator, "tree")
    images = torch.from_numpy(rows[:12, :2]).view(-1, 1, 1, 2)
    own = model(images).argmax(1)
    adv = boxes(model, images, own, norm=norm)
    assert bool(is_adversarial(model(adv), own).all())
    assert torch.equal((adv * 255).round() / 255, adv)
    for row in range(12):
        best = every_level_image(estimator, int(own[row]), norm, images[row].flatten())
        assert float(size(adv[row : row + 1] - images[row : row + 1], norm)) == pytest.approx(best)


def test_boxes_changes_few_values_and_reaches_targets() -> None:
    estimator, images, _ = fitted("tree")
    model = wrap_estimator(estimator, "tree")
    own = model(images).argmax(1)
    adv = boxes(model, images, own, norm="l0")
    assert bool(is_adversarial(model(adv), own).all())
    assert float(size(adv - images, "l0").mean()) < 2
    targets = (own + 1) % 3
    reached = model(boxes(model, images, own, norm="l1", targets=targets)).argmax(1)
    assert torch.equal(reached, targets)
    wrong = (own + 1) % 3  # as labels: all are wrong already
    assert torch.equal(boxes(model, images, wrong), images)


def test_boxes_refuses_what_shows_none() -> None:
    estimator, images, labels = fitted("forest")
    with pytest.raises(InvalidInput, match="shows no boxes"):
        boxes(wrap_estimator(estimator, "forest"), images, labels)
    tree = wrap_estimator(fitted("tree")[0], "tree")
    with pytest.raises(InvalidInput, match="6 values"):
        boxes(tree, images[:, :, :1], labels)


def test_linear_models_are_attacked_exactly() -> None:
    rows, _ = data(2)
    labels = (rows.sum(1) > np.median(rows.sum(1))).astype(int)
    estimator = LogisticRegression().fit(rows, labels)
    model = wrap_estimator(estimator, "logistic")
    images = 0.5 + 0.1 * (torch.from_numpy(rows[:10]).view(-1, *SHAPE) - 0.5)
    own = model(images).argmax(1)
    adv = deepfool(model, images, own, norm="l2")
    margin = np.abs(estimator.decision_function(images.flatten(1).numpy()))
    exact = torch.from_numpy(margin / np.linalg.norm(estimator.coef_)).float()
    assert torch.allclose(size(adv - images, "l2"), exact, rtol=0.03)


def test_black_boxes_are_attacked_by_their_labels() -> None:
    estimator, images, _ = fitted("histogram")
    model = wrap_estimator(estimator, "histogram")
    own = model(images[:4]).argmax(1)
    adv = hopskipjump(model, images[:4], own, queries=200, generator=torch.Generator())
    assert bool(is_adversarial(model(adv), own).all())


@pytest.mark.parametrize("name", ESTIMATORS)
def test_files_of_skops_are_loaded(name: str, tmp_path: Path) -> None:
    estimator, images, _ = fitted(name)
    file = tmp_path / "model.skops"
    skops.io.dump(estimator, file)
    loaded = load_model(f"sklearn:{file}").model
    assert isinstance(loaded, SklearnModel)
    assert torch.equal(loaded(images), wrap_estimator(estimator, name)(images))


class Evil:
    def __reduce__(self) -> Any:
        return (pytest.fail, ("unpickled",))


def test_files_with_code_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "model.skops"
    file.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(InvalidInput, match="no skops file .* pickles are never loaded"):
        load_model(f"sklearn:{file}")
    rows, labels = data(3)
    estimator = LogisticRegression().fit(rows, labels)
    estimator.hook = print_all
    skops.io.dump(estimator, file)
    with pytest.raises(InvalidInput, match=r"not trusted: .*print_all"):
        load_model(f"sklearn:{file}")
    with pytest.raises(InvalidInput, match="no such file"):
        load_model(f"sklearn:{tmp_path / 'none.skops'}")
    with pytest.raises(InvalidInput, match="did you mean 'sklearn:model.skops'"):
        load_model("model.skops")


def print_all() -> None:
    pytest.fail("run")


def test_estimators_that_are_no_classifiers_are_refused() -> None:
    rows, labels = data(3)
    with pytest.raises(InvalidInput, match="no fitted classifier"):
        wrap_estimator(LogisticRegression(), "x")
    with pytest.raises(InvalidInput, match="no fitted classifier"):
        wrap_estimator(StandardScaler().fit(rows), "x")
    with pytest.raises(InvalidInput, match="0 to k - 1"):
        wrap_estimator(DecisionTreeClassifier().fit(rows, labels + 1), "x")
    with pytest.raises(BrokenContract, match="takes 6 values"):
        wrap_estimator(DecisionTreeClassifier().fit(rows, labels), "x")(torch.rand(1, 1, 3, 3))
