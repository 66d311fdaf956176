"""What a rejector asks of the model it is put around."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from epsball.errors import BrokenContract, InvalidInput
from epsball.identity import model_hash
from epsball.modes import parts_in_training
from epsball.runs.likeness import sample_scores
from epsball.tensors import Classifier
from epsball.types import Gives, ModelInfo

_SHOWN = 5  # classes in a message
_NEAR = 2e-3  # of 1: what probabilities add up to, in half precision too


def check_mode(model: Classifier, name: str) -> None:
    """Refuse a model any part of which is in train mode.

    Raises:
        InvalidInput: it is.
    """
    if parts := parts_in_training(model):
        raise InvalidInput(
            f"{name}: the model is in train mode ({parts[0]}); call .eval() on it first"
        )


def where(model: Classifier) -> Tensor:
    """Return a tensor of the device and dtype that the model wants its images in."""
    parts = (*model.parameters(), *model.buffers()) if isinstance(model, nn.Module) else ()
    return next((part for part in parts if part.is_floating_point()), torch.zeros(()))


def base_scores(model: Classifier, inputs: Tensor) -> Tensor:
    """Return the model's scores (n, k).

    Raises:
        BrokenContract: it gives something else.
    """
    scores = model(inputs)
    if not isinstance(scores, Tensor):
        raise BrokenContract(
            f"the model must return scores (n, k), got a {type(scores).__name__}: wrap it so that "
            "it returns the tensor alone"
        )
    if scores.dim() != 2 or len(scores) != len(inputs):
        raise BrokenContract(
            f"the model must return scores (n, k), got {tuple(scores.shape)} for images "
            f"{tuple(inputs.shape)}"
        )
    return scores


def scores_of_noise(model: Classifier, shape: Sequence[int]) -> tuple[tuple[float, ...], ...]:
    """Return a model's scores of a few fixed images of noise; see `epsball.runs.likeness`."""
    place = where(model)

    def scores(images: Tensor) -> Tensor:
        with torch.no_grad():
            return base_scores(model, images.to(place.device, place.dtype)).float()

    return sample_scores(scores, shape)


def check_logits(model: Classifier, name: str, example: Tensor) -> None:
    """Refuse a model that does not give logits, by its `info` or by its scores.

    An attack on a defence around probabilities would go through a saturated softmax, and find
    little.

    Args:
        model: what is to be defended.
        name: who asks, for messages.
        example: an image or more, (n, c, h, w).

    Raises:
        InvalidInput: it does.
    """
    known = getattr(model, "info", None)
    if isinstance(known, ModelInfo):
        gives: str = known.gives
    else:
        # negatives and darker ones as well: logits of a few images may look like it by chance
        shown = torch.cat([example, 1 - example, example / 2])
        with torch.no_grad():
            scores = base_scores(model, shown).double()
        sums = scores.sum(1)
        shares = bool((scores >= 0).all()) and sums.allclose(torch.ones_like(sums), atol=_NEAR)
        gives = "probabilities" if shares else "logits"
    if gives not in {"logits", "log-probabilities"}:
        raise InvalidInput(
            f"{name}: needs a model that gives logits, this one gives {gives}; leave what turns "
            "logits into them out of it, or put epsball.models.as_logits around it"
        )


def info_of(model: Classifier, classes: int, gives: Gives) -> ModelInfo:
    """Return the `info` of a rejector around a model."""
    known = getattr(model, "info", None)
    through = known.differentiable if isinstance(known, ModelInfo) else True
    return ModelInfo(classes, rejects=True, gives=gives, differentiable=through)


def class_count(model: Classifier, example: Tensor, labels: Tensor, name: str) -> int:
    """Return k, and refuse labels that do not name each of the model's classes.

    Args:
        model: what is to be defended.
        example: an image or more, (n, c, h, w).
        labels: (m,), int64, of the fit.
        name: who asks, for messages.

    Raises:
        InvalidInput: the model rejects already or names one class; a label is too large; a class
            has no image.
    """
    known = getattr(model, "info", None)
    if isinstance(known, ModelInfo) and known.rejects:
        raise InvalidInput(f"{name}: the model rejects already; give the one inside it")
    with torch.no_grad():
        classes = base_scores(model, example).shape[1]
    if classes < 2:
        raise InvalidInput(f"{name}: the model must name 2 classes or more, got {classes}")
    if int(labels.max()) >= classes:
        raise InvalidInput(
            f"{name}: labels must be below the model's {classes} classes, got {int(labels.max())}"
        )
    missing = sorted(set(range(classes)) - set(labels.tolist()))
    if missing:
        raise InvalidInput(
            f"{name}: the model names {classes} classes, the fit has images of only "
            f"{classes - len(missing)} of them, and none of class "
            f"{', '.join(map(str, missing[:_SHOWN]))}: give images of every class"
        )
    return classes


def check_hash(name: str, model: Classifier, fitted_hash: str) -> None:
    """Refuse a model that is not the one a defence was fitted on.

    Raises:
        InvalidInput: its hash is another one.
    """
    actual = model_hash(model)
    if actual != fitted_hash:
        raise InvalidInput(
            f"{name}: fitted on a model whose hash is {fitted_hash}, this one's is "
            f"{actual}; give that model, or fit again"
        )


def stand_in_of(model: Classifier) -> Classifier | None:
    """Return the differentiable stand-in that a model has for attackers, if any."""
    relaxed = getattr(model, "relaxed", None)
    return relaxed() if callable(relaxed) else None
