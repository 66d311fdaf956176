"""An estimator of scikit-learn as a classifier of images."""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from epsball.errors import BrokenContract, InvalidInput
from epsball.models.sklearn.features import split_pipeline
from epsball.models.sklearn.neighbours import SoftNeighbours
from epsball.models.sklearn.smooth import smooth_scores
from epsball.models.sklearn.trees import tree_boxes
from epsball.tensors import Boxes, Images, Logits
from epsball.types import Gives, ModelInfo

_METHODS: tuple[tuple[str, Gives], ...] = (
    ("predict_proba", "probabilities"),
    ("decision_function", "logits"),
)
_GREY_LEVELS = 256


class SklearnModel(nn.Module):
    """Flattens images in the order (c, h, w), in [0, 1], and asks an estimator.

    Args:
        estimator: fitted; its classes are 0 to k - 1.
        smooth: the same scores in torch, through which gradients flow; None: the estimator itself
            is asked, and gives none.
        name: for messages.
    """

    def __init__(self, estimator: Any, smooth: nn.Module | None, name: str) -> None:  # noqa: ANN401 - untyped package
        super().__init__()
        self.estimator = estimator
        self.smooth = smooth
        self.name = name
        classes = len(estimator.classes_)
        gives: Gives = "labels"
        self.method = "predict"
        for method, kind in _METHODS:
            if hasattr(estimator, method):
                self.method, gives = method, kind
                break
        if smooth is not None:
            gives = "logits"
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
        if self.smooth is not None:
            logits: Logits = self.smooth(images.flatten(1))
            return logits
        return self._estimator_scores(images)

    def boxes(self) -> Boxes | None:
        """Return the leaves of a decision tree as boxes of grey levels; None: it is no tree.

        A tree behind scalers of single features has them as well.
        """
        scalers, last = split_pipeline(self.estimator)
        levels = np.arange(_GREY_LEVELS, dtype=np.float32) / np.float32(_GREY_LEVELS - 1)
        grid = np.repeat(levels[:, None], self.estimator.n_features_in_, axis=1)
        return tree_boxes(last, scalers, grid)

    def relaxed(self) -> nn.Module | None:
        """Return a differentiable stand-in for k nearest neighbours; None for the others."""
        scalers, last = split_pipeline(self.estimator)
        soft = SoftNeighbours.of(last, scalers)
        return None if soft is None else soft.to(self._device())

    def _device(self) -> torch.device:
        first = next(self.buffers(), None)
        return torch.device("cpu") if first is None else first.device

    def _estimator_scores(self, images: Images) -> Logits:
        rows = images.detach().flatten(1).cpu().numpy().astype(np.float32)
        answer: NDArray[Any] = getattr(self.estimator, self.method)(rows)
        if self.method == "predict":
            scores = np.eye(self.info.classes)[answer]
        elif answer.ndim == 1:  # one score for two classes
            scores = np.stack((-answer, answer), 1)
        else:
            scores = answer
        result: Tensor = torch.from_numpy(np.ascontiguousarray(scores)).to(images)
        return result

    def extra_repr(self) -> str:
        """Return the estimator's settings: they are part of what the model is."""
        return " ".join(repr(self.estimator).split())


def wrap_estimator(estimator: Any, name: str) -> SklearnModel:  # noqa: ANN401 - untyped package
    """Put an estimator behind the classifier contract.

    Linear models, support vector machines and multi-layer perceptrons are written in torch, behind
    scalers and PCA too, so that gradient attacks reach them; trees show their leaves to the attack
    `boxes`, k nearest neighbours have a differentiable stand-in; all others are black boxes.

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
        raise InvalidInput(
            f"{name}: the classes must be 0 to k - 1 with k >= 2, got {list(classes)[:5]}: fit it "
            "on numbered labels, every class among them"
        )
    return SklearnModel(estimator, smooth_scores(estimator), name)
