"""What all rejectors share: fitting, the threshold, the column that means "reject", saving."""

import copy
import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from epsball.defences.base import model as base_model
from epsball.defences.base import thresholds
from epsball.defences.base.calibration import acceptances, predictions, too_few_images
from epsball.defences.base.checks import check_count, plain
from epsball.defences.base.fitted import FittedModule
from epsball.defences.base.images import ImageSet, Marks, Stored, read_images, read_labels
from epsball.defences.false_rejection import threshold_for
from epsball.identity import model_hash
from epsball.tensors import Classifier, Images, Logits, Values
from epsball.types import Gives, ModelInfo


class Rejector(FittedModule, ABC):
    """A classifier around another one that may reject an image.

    A method implements what it learns (`_learn`) and how it judges images (`_judge`); `gives` is
    one of two kinds:

    - "log-odds": every class has a probability p of its own; columns are log(p / (1 - p)), the last
      one is that of the threshold. Accepted when the best class's p is the threshold or more.
    - "logits": columns are the model's logits z; a score d, higher where images are more like
      those of the fit, is compared with the threshold. The last column is max z + (threshold - d) /
      scale, where scale is the standard deviation of d on the images of the fit: the same
      decision, differentiable, in comparable units.

    A rejector is always in eval mode; the model it is around has to be, and is never changed.

    Args:
        model: (n, c, h, w) in [0, 1] to scores (n, k), in eval mode.
        threshold: fixed; a probability in (0, 1), or a score. Where neither this nor
            false_rejection is given: a probability of 0.9, or a false rejection of 0.05.
        false_rejection: share of clean images to be rejected, in (0, 1): `fit` keeps every tenth
            image of each class apart to set the threshold on.
        batch_size: images a forward pass while fitting.
    """

    name: ClassVar[str]
    gives: ClassVar[Gives]
    reads_scores: ClassVar[bool] = True  # of the model, which then has to give logits
    info: ModelInfo
    base_hash_: str
    base_shape_: tuple[int, ...]
    base_scores_: tuple[tuple[float, ...], ...]

    def __init__(
        self,
        model: Classifier,
        *,
        threshold: float | None = None,
        false_rejection: float | None = None,
        batch_size: int = 256,
    ) -> None:
        super().__init__()
        self.threshold, self.false_rejection = plain(threshold), plain(false_rejection)
        thresholds.check_request(self.name, self.threshold, self.false_rejection, self.gives)
        check_count(self.name, "batch_size", batch_size)
        base_model.check_mode(model, self.name)
        self.model, self.batch_size = model, batch_size
        self._cut, self._scale = math.nan, 1.0
        self._fitted = False

    @abstractmethod
    def _learn(self, image_set: ImageSet, labels: Tensor, classes: int) -> None:
        """Learn from images and their labels (n,); set buffers and attributes ending in `_`."""

    @abstractmethod
    def _judge(self, inputs: Images) -> tuple[Tensor, Tensor]:
        """Return class columns (n, k), and what is compared with the threshold (n,)."""

    def _facts(self) -> dict[str, Any]:
        """Return what was learned and is no tensor, as plain data for defence.json."""
        return {}

    def _restore(self, facts: Mapping[str, Any]) -> None:
        """Take back what `_facts` gave, and make place for the tensors."""

    def fit(self, images: Stored, labels: Marks) -> Self:
        """Learn from clean images; what was learned before is forgotten.

        Args:
            images: (n, c, h, w), tensor or array, uint8 or float in [0, 1]; converted in batches.
            labels: (n,), integers; every class of the model has to be there.

        Returns:
            Itself.

        Raises:
            InvalidInput: images, labels or the model break a rule.
        """
        self._fitted = False
        base_model.check_mode(self.model, self.name)
        image_set = self._image_set(images)
        marks = read_labels(labels, len(image_set))
        classes = base_model.class_count(self.model, image_set.example(), marks, self.name)
        if self.reads_scores:
            base_model.check_logits(self.model, self.name, image_set.few())
        wanted = self.threshold, self.false_rejection
        threshold, share = thresholds.threshold_or_share(*wanted, self.gives)
        calibration = thresholds.calibration_mask(marks) & (threshold is None)
        if threshold is None and not bool(
            calibration.any()
        ):  # refused before a fit that takes long
            raise too_few_images(self.name)
        some, held_out = image_set.part(~calibration), image_set.part(calibration)
        self._learn(some, marks[~calibration], classes)
        if self.gives == "logits":
            self._scale = max(float(acceptances(self, some).double().std()), torch.finfo().tiny)
        self.info = base_model.info_of(self.model, classes, self.gives)
        self.base_hash_ = model_hash(self.model)
        self.base_shape_ = tuple(image_set.example().shape[1:])
        self.base_scores_ = base_model.scores_of_noise(self.model, self.base_shape_)
        if threshold is None:
            self._calibrate(held_out, share)
        self._fitted = True
        return self if threshold is None else self.set_threshold(threshold)

    def forward(self, inputs: Images) -> Logits:
        """Return scores (n, k + 1) of images (n, c, h, w) in [0, 1]; the last means "reject".

        Raises:
            NotFitted: nothing was learned yet.
        """
        self._check_fitted()
        columns, accepted = self._judge(inputs)
        if self.gives == "log-odds":
            last = torch.full_like(accepted, self._cut)
        else:
            last = columns.amax(1) + (self._cut - accepted) / self._scale
        return torch.cat([columns, last[:, None]], dim=1)

    def acceptance(self, inputs: Images) -> Values:
        """Return what is compared with the threshold, (n,); log-odds where that is a probability.

        Raises:
            NotFitted: nothing was learned yet.
        """
        self._check_fitted()
        return self._judge(inputs)[1]

    @property
    def threshold_(self) -> float:
        """Return the threshold in force: a probability, or a score."""
        self._check_fitted()
        return thresholds.probability(self._cut) if self.gives == "log-odds" else self._cut

    def set_threshold(self, value: float) -> Self:
        """Reject below another value, a probability in (0, 1) or a score, without a fit.

        Raises:
            NotFitted: nothing was learned yet.
            InvalidInput: the value breaks its rule.
        """
        self._check_fitted()
        value = plain(value)
        thresholds.check_threshold(self.name, value, self.gives)
        self._cut = thresholds.log_odds(value) if self.gives == "log-odds" else float(value)
        return self

    def calibrate(
        self, images: Stored, labels: Marks | None = None, *, false_rejection: float = 0.05
    ) -> Self:
        """Set the threshold so that a share of these clean images is rejected, without a fit.

        Args:
            images: (n, c, h, w), held-out clean images, uint8 or float in [0, 1].
            labels: (n,); where given, only images that the rejector classifies right count.
            false_rejection: the share, in (0, 1); as many images as fit into it are rejected.

        Raises:
            NotFitted: nothing was learned yet.
            InvalidInput: the share or the images break a rule.
        """
        self._check_fitted()
        image_set = self._image_set(images)
        if labels is not None:
            right = predictions(self, image_set) == read_labels(labels, len(image_set))
            image_set = image_set.part(right)
        return self._calibrate(image_set, false_rejection)

    def check_base(self) -> None:
        """Check by its hash that the model still is the one this was fitted on.

        Raises:
            NotFitted: nothing was learned yet.
            InvalidInput: it was changed since.
        """
        self._check_fitted()
        base_model.check_hash(self.name, self.model, self.base_hash_)

    def save(self, folder: Path | str) -> Path:
        """Write all that was learned to a folder, which is returned; see `epsball.defences.load`.

        Raises:
            NotFitted: nothing was learned yet.
            InvalidInput: the model was changed since the fit, or the folder cannot be written to.
        """
        from epsball.defences.base.saving import save

        self.check_base()
        return save(self, Path(folder))

    def settings(self) -> dict[str, Any]:
        """Return the arguments this was made with, without the model."""
        names = list(inspect.signature(type(self)).parameters)[1:]
        return {name: plain(getattr(self, name)) for name in names}

    def learned(self) -> dict[str, Tensor]:
        """Return every learned tensor by name; the model's own are not among them."""
        state: dict[str, Tensor] = self.state_dict()
        return {name: value for name, value in state.items() if not name.startswith("model.")}

    def relaxed(self) -> "Rejector | None":
        """Return a copy around the model's own differentiable stand-in, for an attacker, if any."""
        relaxed = base_model.stand_in_of(self.model)
        if relaxed is None:
            return None
        twin = copy.copy(self)
        twin._modules = dict(self._modules)  # else the stand-in would be put into both
        twin.model = relaxed
        return twin

    def _image_set(self, images: Stored) -> ImageSet:
        like = base_model.where(self.model)
        return read_images(images, place=like.device, dtype=like.dtype, size=self.batch_size)

    def _calibrate(self, image_set: ImageSet, share: float) -> Self:
        thresholds.check_share(self.name, share)
        if not len(image_set):
            raise too_few_images(self.name)
        self._cut = threshold_for(acceptances(self, image_set).double().numpy(), share)
        return self

    def extra_repr(self) -> str:
        """Return what decides and is no tensor: two that differ in it are not the same model."""
        return f"cut={self._cut!r}, scale={self._scale!r}"

    def _check_fitted(self) -> None:
        if not self._fitted:
            raise self.not_fitted()
