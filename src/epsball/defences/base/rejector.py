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

from epsball.defences.base.checks import check_count, plain
from epsball.defences.base.fitted import FittedModule
from epsball.defences.base.images import ImageSet, Marks, Stored, read_images, read_labels
from epsball.defences.base.model import (
    check_logits,
    check_mode,
    class_count,
    info_of,
    scores_of_noise,
    where,
)
from epsball.defences.base.thresholds import (
    calibration_mask,
    check_one_of_two,
    check_share,
    check_threshold,
    log_odds,
    probability,
)
from epsball.defences.false_rejection import threshold_for
from epsball.errors import InvalidInput
from epsball.identity import model_hash
from epsball.tensors import Classifier, Images, Logits, Values
from epsball.types import Gives, ModelInfo

_THETA = 0.9  # of the source, for probabilities
_SHARE = 0.05  # of false rejections, for scores: no number suits them all


class Rejector(FittedModule, ABC):
    """A classifier around another one that may answer "none of your classes".

    A method says what it learns (`_learn`) and how it judges images (`_judge`); `gives` says
    which of two kinds it is:

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
        threshold, false_rejection = plain(threshold), plain(false_rejection)
        check_one_of_two(self.name, threshold, false_rejection)
        if threshold is not None:
            check_threshold(self.name, threshold, self.gives)
        if false_rejection is not None:
            check_share(self.name, false_rejection)
        check_count(self.name, "batch_size", batch_size)
        check_mode(model, self.name)
        self.model = model
        self.threshold, self.false_rejection = threshold, false_rejection
        self.batch_size = batch_size
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
        check_mode(self.model, self.name)
        image_set = self._image_set(images)
        marks = read_labels(labels, len(image_set))
        classes = class_count(self.model, image_set.example(), marks, self.name)
        if self.reads_scores:
            check_logits(self.model, self.name, image_set.few())
        threshold, share = self._wanted()
        calibration = calibration_mask(marks) & (threshold is None)
        if threshold is None and not bool(calibration.any()):  # said before a fit that takes long
            raise self._too_few()
        some, held_out = image_set.part(~calibration), image_set.part(calibration)
        self._learn(some, marks[~calibration], classes)
        if self.gives == "logits":
            self._scale = max(float(self._accepted(some).double().std()), torch.finfo().tiny)
        self.info = info_of(self.model, classes, self.gives)
        self.base_hash_ = model_hash(self.model)
        self.base_shape_ = tuple(image_set.example().shape[1:])
        self.base_scores_ = scores_of_noise(self.model, self.base_shape_)
        if threshold is None:
            self._calibrate(held_out, share)
        self._fitted = True
        return self if threshold is None else self.set_threshold(threshold)

    def _wanted(self) -> tuple[float | None, float]:
        """Return the threshold, or None and the share of false rejections that sets it."""
        if self.threshold is None and self.false_rejection is None and self.gives == "log-odds":
            return _THETA, _SHARE
        return self.threshold, _SHARE if self.false_rejection is None else self.false_rejection

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
        """Return what is compared with the threshold, (n,): low is rejected first.

        For probabilities it is the log-odds of the most probable class.

        Raises:
            NotFitted: nothing was learned yet.
        """
        self._check_fitted()
        return self._judge(inputs)[1]

    @property
    def threshold_(self) -> float:
        """Return the threshold in force: a probability, or a score."""
        self._check_fitted()
        return probability(self._cut) if self.gives == "log-odds" else self._cut

    def set_threshold(self, value: float) -> Self:
        """Reject below another value, without a fit.

        Args:
            value: a probability in (0, 1), or, for a rejector with a score, any number.

        Raises:
            NotFitted: nothing was learned yet.
            InvalidInput: the value breaks its rule.
        """
        self._check_fitted()
        value = plain(value)
        check_threshold(self.name, value, self.gives)
        self._cut = log_odds(value) if self.gives == "log-odds" else float(value)
        return self

    def calibrate(
        self, images: Stored, labels: Marks | None = None, *, false_rejection: float = 0.05
    ) -> Self:
        """Set the threshold so that a share of these clean images is rejected, without a fit.

        Args:
            images: (n, c, h, w), held-out clean images, uint8 or float in [0, 1].
            labels: (n,), where given, only images that the rejector classifies right count, so
                that its mistakes, which it ought to reject, do not set the threshold.
            false_rejection: the share, in (0, 1); as many images as fit into it are rejected.

        Raises:
            NotFitted: nothing was learned yet.
            InvalidInput: the share or the images break a rule.
        """
        self._check_fitted()
        image_set = self._image_set(images)
        if labels is not None:
            right = self._named(image_set) == read_labels(labels, len(image_set))
            image_set = image_set.part(right)
        return self._calibrate(image_set, false_rejection)

    def check_base(self) -> None:
        """Ask whether the model still is the one this was fitted on; it takes a hash of all of it.

        Raises:
            NotFitted: nothing was learned yet.
            InvalidInput: it was changed since.
        """
        self._check_fitted()
        actual = model_hash(self.model)
        if actual != self.base_hash_:
            raise InvalidInput(
                f"{self.name}: fitted on a model whose hash is {self.base_hash_}, this one's is "
                f"{actual}; give that model, or fit again"
            )

    def save(self, folder: Path | str) -> Path:
        """Write all that was learned; see `epsball.defences.load`.

        Args:
            folder: gets `defence.safetensors` and `defence.json`; made if need be.

        Returns:
            The folder.

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
        """Return a twin for an attacker around the model's own differentiable stand-in, if any."""
        inner = getattr(self.model, "relaxed", None)
        relaxed = inner() if callable(inner) else None
        if relaxed is None:
            return None
        twin = copy.copy(self)
        twin._modules = dict(self._modules)  # else the stand-in would be put into both
        twin.model = relaxed
        return twin

    def _image_set(self, images: Stored) -> ImageSet:
        like = where(self.model)
        return read_images(images, place=like.device, dtype=like.dtype, size=self.batch_size)

    @torch.no_grad()
    def _accepted(self, image_set: ImageSet) -> Tensor:
        return torch.cat([self._judge(batch)[1].cpu() for batch in image_set])

    @torch.no_grad()
    def _named(self, image_set: ImageSet) -> Tensor:
        return torch.cat([self._judge(batch)[0].argmax(1).cpu() for batch in image_set])

    def _calibrate(self, image_set: ImageSet, share: float) -> Self:
        check_share(self.name, share)
        if not len(image_set):
            raise self._too_few()
        self._cut = threshold_for(self._accepted(image_set).double().numpy(), share)
        return self

    def _too_few(self) -> InvalidInput:
        return InvalidInput(
            f"{self.name}: false_rejection needs clean images (classified right, where labels "
            "are given; in a fit, ten or more of a class), got none; give more"
        )

    def extra_repr(self) -> str:
        """Return what decides and is no tensor: two that differ in it are not the same model."""
        return f"cut={self._cut!r}, scale={self._scale!r}"

    def _check_fitted(self) -> None:
        if not self._fitted:
            raise self.not_fitted()
