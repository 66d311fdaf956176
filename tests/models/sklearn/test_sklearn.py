"""Estimators of scikit-learn as classifiers: the same answers, gradients, boxes, bad files."""

import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
import torch
from numpy.typing import NDArray
from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.linear_model import LogisticRegression, RidgeClassifier, SGDClassifier
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier
from torch import Tensor

from epsball.attacks import boxes, deepfool, hopskipjump, pgd
from epsball.errors import BrokenContract, InvalidInput
from epsball.geometry import size
from epsball.models import Pipeline, Preprocess, as_logits, load_model
from epsball.models.sklearn.wrapper import SklearnModel, wrap_estimator
from epsball.objectives import is_adversarial

SHAPE = (1, 2, 3)


def data(classes: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    generator = np.random.default_rng(classes)
    levels = generator.integers(256, size=(150, 6)).astype(np.float32) / np.float32(255)
    score = (levels - 0.5) @ generator.normal(size=(6, classes)) + 0.3 * np.sin(9 * levels[:, :1])
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
    "manhattan": KNeighborsClassifier(3, algorithm="ball_tree", metric="manhattan"),
    "calibrated": CalibratedClassifierCV(LinearSVC(), cv=2),
    "svc-ties": SVC(break_ties=True),
    "scaled-histogram": make_pipeline(StandardScaler(), HistGradientBoostingClassifier(max_iter=3)),
    "vote": VotingClassifier([("a", LogisticRegression()), ("b", DecisionTreeClassifier())]),
    "scaled": make_pipeline(StandardScaler(), SVC()),
    "reduced": make_pipeline(MinMaxScaler(), PCA(3), LogisticRegression()),
    "scaled-tree": make_pipeline(StandardScaler(), DecisionTreeClassifier(random_state=0)),
    "scaled-neighbours": make_pipeline(StandardScaler(), KNeighborsClassifier(3)),
}
SMOOTH = {
    "logistic", "linear-svc", "sgd", "ridge", "svc", "svc-linear", "perceptron", "scaled",
    "reduced", "svc-ties",
}  # fmt: skip
NEIGHBOURS = {"neighbours", "kd-tree", "scaled-neighbours"}


def fitted(name: str, classes: int = 3) -> tuple[Any, Tensor, Tensor]:
    rows, labels = data(classes)
    estimator = ESTIMATORS[name].fit(rows, labels)
    return estimator, torch.from_numpy(rows).view(-1, *SHAPE), torch.from_numpy(labels)


def neighbouring(rows: NDArray[Any]) -> NDArray[np.uint8]:
    """Return images in grey levels near those of rows, where thresholds meet levels not seen."""
    generator = np.random.default_rng(0)
    levels = np.rint(rows * 255) + generator.integers(-2, 3, (4, *rows.shape))
    shown: NDArray[np.uint8] = levels.clip(0, 255).astype(np.uint8)
    return shown.reshape(-1, rows.shape[1])


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_labels_are_the_estimators(name: str, kind: Any) -> None:
    for classes in (2, 3):
        rows, labels = data(classes)
        exact = np.rint(rows.astype(np.float64) * 255) / 255
        estimator = ESTIMATORS[name].fit(exact.astype(kind), labels)
        model = wrap_estimator(estimator, name)
        levels = neighbouring(rows)
        images = torch.from_numpy(levels.astype(np.float32) / np.float32(255)).view(-1, *SHAPE)
        scores = model(images)
        assert scores.shape == (600, classes)
        assert model.info.classes == classes
        assert model.info.differentiable == (name in SMOOTH | NEIGHBOURS)
        # every single one, ties included
        expected = estimator.predict((levels / 255).astype(kind))
        assert scores.argmax(1).tolist() == expected.tolist()
        between = torch.rand((100, *SHAPE), generator=torch.Generator().manual_seed(0))
        expected = estimator.predict(between.flatten(1).numpy().astype(kind))
        assert model(between).argmax(1).tolist() == expected.tolist()


@pytest.mark.parametrize("name", ["histogram", "scaled-tree", "tree", "svc", "neighbours"])
def test_labels_of_levels_are_the_estimators(name: str) -> None:
    rows, labels = data(3)
    levels = np.rint(rows * 255).astype(np.uint8)
    estimator = ESTIMATORS[name].fit(levels, labels)
    shown = neighbouring(rows)
    images = torch.from_numpy(shown.astype(np.float32) / np.float32(255)).view(-1, *SHAPE)
    model = Pipeline(Preprocess(input_range=255), wrap_estimator(estimator, name))
    assert model(images).argmax(1).tolist() == estimator.predict(shown).tolist()


def test_predictions_that_are_not_the_highest_score() -> None:
    rows, labels = data(2)
    tuned = FixedThresholdClassifier(LogisticRegression(), threshold=0.2).fit(rows, labels)
    centres = NearestCentroid().fit(rows, labels)
    images = torch.from_numpy(rows).view(-1, *SHAPE)
    for estimator in (tuned, centres):
        expected = estimator.predict(rows)
        assert wrap_estimator(estimator, "x")(images).argmax(1).tolist() == expected.tolist()
    plain = tuned.predict_proba(rows).argmax(1)
    assert (plain != tuned.predict(rows)).any()


def test_classes_may_be_true_and_false() -> None:
    rows, labels = data(2)
    vote = VotingClassifier([("a", LogisticRegression()), ("b", DecisionTreeClassifier())])
    vote.fit(rows, labels == 1)
    scores = wrap_estimator(vote, "x")(torch.from_numpy(rows).view(-1, *SHAPE))
    assert scores.argmax(1).tolist() == vote.predict(rows).astype(int).tolist()


def test_data_frames_cause_no_warning() -> None:
    rows, labels = data(3)
    names = np.array([f"pixel{number}" for number in range(6)], dtype=object)
    tree = DecisionTreeClassifier().fit(rows, labels)
    tree.feature_names_in_ = names
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        wrap_estimator(tree, "x")(torch.from_numpy(rows).view(-1, *SHAPE))


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


@pytest.mark.parametrize("name", sorted(NEIGHBOURS))
def test_neighbours_are_reached_by_gradients(name: str) -> None:
    estimator, images, _ = fitted(name)
    model = wrap_estimator(estimator, name)
    own = torch.from_numpy(estimator.predict(images.flatten(1).numpy()))
    adv = pgd(model, images, own, eps=0.2, steps=10, generator=torch.Generator().manual_seed(0))
    wrong = estimator.predict(adv.flatten(1).numpy()) != own.numpy()
    assert wrong.mean() > 0.5
    x = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(model(x)[:, 0].sum(), x)
    assert bool((gradient != 0).any())


def test_boxes_are_shown_through_preprocessing_and_logarithms() -> None:
    rows, labels = data(3)
    levels = np.rint(rows * 255).astype(np.uint8)
    tree: Any = DecisionTreeClassifier(random_state=0).fit(levels, labels)
    model = Pipeline(Preprocess(input_range=255), wrap_estimator(tree, "tree"))
    images = torch.from_numpy(rows).view(-1, *SHAPE)
    own = model(images).argmax(1)
    adv = boxes(as_logits(model, model.info), images, own, norm="linf")
    shown = (adv * 255).round().to(torch.uint8).flatten(1).numpy()
    assert (tree.predict(shown) != own.numpy()).all()
    resized = Pipeline(Preprocess(resize=3, input_range=255), wrap_estimator(tree, "tree"))
    assert resized.boxes() is None
    neighbours = Pipeline(Preprocess(), wrap_estimator(fitted("neighbours")[0], "x"))
    assert neighbours.boxes() is None
    soft = neighbours.relaxed()
    assert soft is not None
    assert soft(images).shape == (150, 3)


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
    for other, remedy in (
        (labels + 1, "1, 2, 3 ...: fit it on labels - 1"),
        (labels * 2, "0, 2, 4 ...: fit it on the labels of the data set"),
        (np.array(["a", "b", "c"])[labels], "a, b, c ...: fit it on the labels of the data set"),
        (labels * 0, "0: fit it on images of every class"),
    ):
        with pytest.raises(InvalidInput, match=f"must be 0 to k - 1 with k >= 2, got {remedy}"):
            wrap_estimator(DecisionTreeClassifier().fit(rows, other), "x")
    with pytest.raises(BrokenContract, match="takes 6 values"):
        wrap_estimator(DecisionTreeClassifier().fit(rows, labels), "x")(torch.rand(1, 1, 3, 3))
