"""An estimator of scikit-learn as a classifier of images."""

import math
import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from epsball.errors import BrokenContract, InvalidInput
from epsball.models.sklearn.features import split_pipeline
from epsball.models.sklearn.neighbours import SoftNeighbours
from epsball.models.sklearn.rows import as_rows, fitted_dtype
from epsball.models.sklearn.smooth import smooth_scores
from epsball.models.sklearn.trees import tree_boxes
from epsball.tensors import Boxes, Images, Logits
from epsball.types import Gives, ModelInfo

_METHODS: tuple[tuple[str, Gives], ...] = (
    ("predict_proba", "probabilities"),
    ("decision_function", "logits"),
)
_GREY_LEVELS = 256
# whose predict() is the highest score, the first of several: only others are asked for both
_HIGHEST_SCORE = (
    "DecisionTreeClassifier",
    "ExtraTreeClassifier",
    "RandomForestClassifier",
    "ExtraTreesClassifier",
    "GradientBoostingClassifier",
    "HistGradientBoostingClassifier",
    "BaggingClassifier",
    "AdaBoostClassifier",
    "CalibratedClassifierCV",
    "MLPClassifier",
    "LogisticRegression",
    "GaussianNB",
)


class SklearnModel(nn.Module):
    """Flattens images in the order (c, h, w), in [0, 1], and asks an estimator.

    Args:
        estimator: fitted; its classes are 0 to k - 1.
        smooth: scores in torch, through which gradients flow; None: the estimator itself is
            asked, and gives none.
        name: for messages.
        approximate: whether the estimator's predict() may name another class than the highest of
            the smooth scores; it is asked then, and its class is raised above the others.
    """

    def __init__(
        self,
        estimator: Any,  # noqa: ANN401 - untyped package
        smooth: nn.Module | None,
        name: str,
        *,
        approximate: bool = False,
    ) -> None:
        super().__init__()
        self.estimator = estimator
        self.smooth = smooth
        self.name = name
        self.approximate = approximate
        self.dtype = fitted_dtype(estimator)
        classes = len(estimator.classes_)
        gives: Gives = "labels"
        self.method = "predict"
        for method, kind in _METHODS:
            if hasattr(estimator, method):
                self.method, gives = method, kind
                break
        if smooth is not None:
            gives = "log-probabilities" if approximate else "logits"
        self.info = ModelInfo(classes, gives=gives, differentiable=smooth is not None)
        self.eval()

    def forward(self, images: Images) -> Logits:
        """Return scores, (n, k).

        Raises:
            BrokenContract: the images have another number of values than the estimator was
                fitted on.
        """
        wanted = self.estimator.n_features_in_
        if math.prod(images.shape[1:]) != wanted:
            raise BrokenContract(
                f"{self.name} takes {wanted} values an image, got images of shape "
                f"{tuple(images.shape[1:])}: fit it on such images, flattened, or use --resize"
            )
        if self.smooth is None:
            return self._estimator_scores(images)
        logits: Logits = self.smooth(images.flatten(1))
        if not self.approximate:
            return logits
        rows = as_rows(images, self.dtype)
        return agreeing(logits, torch.from_numpy(self._predicted(rows)).to(logits.device))

    def boxes(self, seen: Tensor | None = None) -> Boxes | None:
        """Return the leaves of a decision tree as boxes of grey levels; None: it is no tree.

        A tree behind scalers of single features has them as well.

        Args:
            seen: (256,), rising; what the model is given for the grey levels 0 to 255 where
                preprocessing scales them; None: k / 255.
        """
        scalers, last = split_pipeline(self.estimator)
        levels = torch.arange(_GREY_LEVELS, dtype=torch.float32) / (_GREY_LEVELS - 1)
        column = as_rows((levels if seen is None else seen.cpu()).view(-1, 1, 1, 1), self.dtype)
        grid = np.repeat(column, self.estimator.n_features_in_, axis=1)
        return tree_boxes(last, scalers, grid, levels)

    def relaxed(self) -> nn.Module | None:
        """Return a differentiable stand-in for k nearest neighbours; None for the others."""
        scalers, last = split_pipeline(self.estimator)
        soft = SoftNeighbours.of(last, scalers)
        return None if soft is None else soft.to(self._device())

    def _device(self) -> torch.device:
        first = next(self.buffers(), None)
        return torch.device("cpu") if first is None else first.device

    def _estimator_scores(self, images: Images) -> Logits:
        rows = as_rows(images, self.dtype)
        if self.method == "predict":
            scores = np.eye(self.info.classes)[self._predicted(rows)]
            return torch.from_numpy(scores).to(images)
        answer: NDArray[Any] = self._call(self.method, rows)
        scores = np.stack((-answer, answer), 1) if answer.ndim == 1 else answer
        last = split_pipeline(self.estimator)[1]
        highest = type(last).__name__ in _HIGHEST_SCORE
        labels = scores.argmax(1) if highest else self._predicted(rows)
        result: Tensor = torch.from_numpy(np.ascontiguousarray(scores)).to(images)
        return agreeing(result, torch.from_numpy(labels).to(result.device))

    def _predicted(self, rows: NDArray[Any]) -> NDArray[np.int64]:
        """Return the positions of the predicted classes, (n,)."""
        labels = self._call("predict", rows)
        return np.searchsorted(self.estimator.classes_, labels).astype(np.int64)

    def _call(self, method: str, rows: NDArray[Any]) -> NDArray[Any]:
        with warnings.catch_warnings():
            # it was fitted on a data frame: the order of the columns is that of the pixels
            warnings.filterwarnings("ignore", message="X does not have valid feature names")
            answer: NDArray[Any] = getattr(self.estimator, method)(rows)
        return answer

    def extra_repr(self) -> str:
        """Return the estimator's settings: they are part of what the model is."""
        return " ".join(repr(self.estimator).split())


def agreeing(scores: Tensor, labels: Tensor) -> Tensor:
    """Raise the score of a label above all others where it is not the first of the highest.

    Scores tie when they are rounded to float32, and predict() of some estimators (support vector
    machines, nearest centroids, tuned thresholds) is not the highest of their scores.

    Args:
        scores: (n, k).
        labels: (n,), int64.

    Returns:
        (n, k), whose argmax is labels; gradients are those of scores.

    Example:
        >>> agreeing(torch.tensor([[0.5, 0.5], [0.7, 0.3]]), torch.tensor([1, 0])).argmax(1)
        tensor([1, 0])
    """
    other = scores.argmax(1) != labels
    if not bool(other.any()):
        return scores
    best = scores.detach().amax(1)
    # enough to outlive a logarithm in the same precision
    above = best + 16 * torch.finfo(scores.dtype).eps * best.abs().clamp_min(1)
    own = scores.gather(1, labels[:, None])[:, 0]
    own = torch.where(other, own - own.detach() + above, own)
    return scores.scatter(1, labels[:, None], own[:, None])


def wrap_estimator(estimator: Any, name: str) -> SklearnModel:  # noqa: ANN401 - untyped package
    """Put an estimator behind the classifier contract.

    Linear models, support vector machines and multi-layer perceptrons are written in torch, behind
    scalers and PCA too, so that gradient attacks reach them; k nearest neighbours are scored by a
    softmin over distances, and their class is that of predict(); trees show their leaves to the
    attack `boxes`; all others are black boxes.

    Args:
        estimator: a fitted classifier or pipeline of scikit-learn.
        name: for messages.

    Raises:
        InvalidInput: no fitted classifier, or classes other than 0 to k - 1.
    """
    classes = getattr(estimator, "classes_", None)
    if classes is None or not hasattr(estimator, "predict"):
        raise InvalidInput(
            f"{name}: a {type(estimator).__name__} is no fitted classifier: fit one, and save it"
        )
    if not np.array_equal(classes, np.arange(len(classes))) or len(classes) < 2:
        first = ", ".join(map(str, list(classes)[:5]))
        remedy = _renumbering(classes)
        raise InvalidInput(
            f"{name}: the classes must be 0 to k - 1 with k >= 2, got {first}{remedy}"
        )
    smooth = smooth_scores(estimator)
    if smooth is not None:
        return SklearnModel(estimator, smooth, name)
    scalers, last = split_pipeline(estimator)
    soft = SoftNeighbours.of(last, scalers)
    return SklearnModel(estimator, soft, name, approximate=soft is not None)


def _renumbering(classes: NDArray[Any]) -> str:
    """Return what to do about classes that are not 0 to k - 1."""
    if len(classes) < 2:
        return ": fit it on images of every class"
    if classes.dtype.kind in "iu" and np.array_equal(classes, classes[0] + np.arange(len(classes))):
        return f" ...: fit it on labels - {classes[0]}, and save it again"
    return (
        " ...: fit it on the labels of the data set, numbers from 0, with images of every class, "
        "and save it again"
    )
