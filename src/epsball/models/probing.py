"""Finding out what a callable gives, by showing it a few images."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from epsball.answers import check_answer, is_finite
from epsball.errors import BrokenContract, EpsballError, InvalidInput
from epsball.models.loading.messages import one_line
from epsball.tensors import Classifier
from epsball.types import Gives, ModelInfo

# how torch complains about operands of two types
_TYPES = re.compile(r"(?i)scalar type|same dtype|should be the same|dtype")
SHOWN = 8  # clean images the model is shown; as many of noise
# A sum of softmax outputs is this close to 1 in the coarsest precision.
TOLERANCES = {torch.bfloat16: 2e-2, torch.float16: 5e-3}
TOLERANCE = 1e-3


def probe(model: Classifier, images: Tensor) -> ModelInfo:
    """Find out how many classes a model names, what it gives and whether that has a gradient.

    The model is shown a few of the images and as many of noise. Its mode, parameters, buffers and
    stored gradients stay as they are, and so does torch's global random state.

    Args:
        model: (n, c, h, w) in [0, 1] to scores (n, k). Its `info`, where it has one, is believed,
            but the shape of its scores is checked all the same.
        images: (n, c, h, w), float, in [0, 1]; clean images, the first few are used.

    Returns:
        The properties of the model.

    Raises:
        BrokenContract: the model raises, or gives something that is not one row of scores a
            image.

    Example:
        >>> probe(lambda x: x.flatten(1)[:, :3], torch.rand(4, 1, 2, 2))
        ModelInfo(classes=3, rejects=False, gives='logits', differentiable=True)
    """
    batch = _with_noise(images[:SHOWN].detach())
    with _untouched(model, batch):
        with torch.no_grad():
            scores = _scores(model, batch)
        declared = getattr(model, "info", None)
        if isinstance(declared, ModelInfo):
            return _believed(declared, scores)
        differentiable = _has_gradient(model, batch)
    return ModelInfo(
        classes=scores.shape[1],
        gives=_kind(scores.double(), differentiable=differentiable, dtype=scores.dtype),
        differentiable=differentiable,
    )


def _with_noise(images: Tensor) -> Tensor:
    if not images.is_floating_point() or not len(images):
        raise InvalidInput(
            f"probe needs at least one image of floats in [0, 1], got {tuple(images.shape)} "
            f"{images.dtype}: divide uint8 images by 255"
        )
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(images.shape, generator=generator).to(images)
    return torch.cat([images, noise])  # (2 n, c, h, w)


@contextmanager
def _untouched(model: Classifier, images: Tensor) -> Iterator[None]:
    """Put buffers (BatchNorm's in train mode) and the random state (dropout's) back afterwards."""
    buffers = list(model.buffers()) if isinstance(model, nn.Module) else []
    saved = [buffer.clone() for buffer in buffers]
    devices = [images.device] if images.is_cuda else []
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        with torch.no_grad():
            for buffer, value in zip(buffers, saved, strict=True):
                buffer.copy_(value)


def _scores(model: Classifier, images: Tensor) -> Tensor:
    shape = tuple(images.shape)
    try:
        output = model(images.clone())  # one that works in place changes nothing of ours
    except (EpsballError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise BrokenContract(
            f"the model raised {one_line(error)}: it was given a batch of shape {shape} in "
            f"{str(images.dtype).removeprefix('torch.')}; {_remedy(error)}"
        ) from error
    scores = check_answer(output, len(images))
    if not is_finite(scores):
        raise BrokenContract(
            f"the model returned scores of shape {tuple(scores.shape)} that hold NaN or infinity: "
            "check its weights and preprocessing"
        )
    return scores


def _remedy(error: Exception) -> str:
    """Say what may help against an error that a model raised."""
    if _TYPES.search(str(error)):
        return "if it computes in another type, call .float() on it or convert its input inside"
    if "DataParallel" in str(error) or "different device" in str(error):
        return "put all of the model on one device"
    return "if it wants images of another size or colour, say so with --resize or --channels"


def _believed(info: ModelInfo, scores: Tensor) -> ModelInfo:
    columns = info.classes + info.rejects
    if scores.shape[1] != columns:
        raise BrokenContract(
            f"the model's info promises {columns} columns (classes={info.classes}, "
            f"rejects={info.rejects}), its scores have {scores.shape[1]}: mend one of them"
        )
    return info


def _kind(scores: Tensor, *, differentiable: bool, dtype: torch.dtype) -> Gives:
    near = TOLERANCES.get(dtype, TOLERANCE)
    ones = torch.ones_like(scores[:, 0])
    if (
        scores.min() >= 0
        and scores.max() <= 1 + near
        and scores.sum(1).allclose(ones, rtol=0, atol=near)
    ):
        one_hot = bool(((scores == 0) | (scores == 1)).all())
        return "labels" if one_hot and not differentiable else "probabilities"
    total = scores.logsumexp(1)
    if scores.max() <= near and total.allclose(torch.zeros_like(ones), rtol=0, atol=near):
        return "log-probabilities"
    return "logits"


def _has_gradient(model: Classifier, images: Tensor) -> bool:
    point = images.clone().requires_grad_()
    try:
        with torch.enable_grad():
            # a copy, so that a model may work in place on what it is given
            torch.autograd.grad(model(point.clone()).sum(), point)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError:  # no graph behind the scores, none to the images, or no derivative
        return False
    return True
