"""A model that a study attacks without training it: named, identified and read."""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from epsball.data import to_unit
from epsball.errors import InvalidInput
from epsball.evaluation.engine.asking import ask
from epsball.evaluation.engine.measuring import resolved
from epsball.evaluation.engine.memory_format import formats_agree
from epsball.evaluation.engine.surrogate import checked_surrogate
from epsball.evaluation.subject import Subject, device_for, open_model
from epsball.models import fingerprint
from epsball.studies.core.workspace import Workspace
from epsball.tensors import Classifier
from epsball.types import Dataset, Precision

_PIXELS = 50 * 3 * 224 * 224  # of a batch
_PIXELS_CPU = 8 * 3 * 224 * 224  # activations of more leave the caches, and fill the memory
_MOST = 500  # images of a batch
_SAMPLE = 8  # images on which the cheaper copy is compared with the model
NOWHERE = Path()  # nothing is written while a model is opened


@dataclass(frozen=True)
class Victim:
    """The attacked model and the copy that gives the gradients.

    Args:
        subject: the model, in float32; its scores are the verdicts.
        gradients: the copy; the model itself where the precision is float32.
        batch: images of a forward pass.
        channels_last: whether the model is given images in that memory format, which halves the
            time of convolutions in float32 on a CPU; not where its answers would be others.
    """

    subject: Subject
    gradients: Classifier
    batch: int
    channels_last: bool = False

    def __call__(self, images: Tensor) -> Tensor:
        """Return the model's scores (n, k), float32, with their gradient."""
        inputs = images.to(self.subject.device)
        return ask(self.subject.model, inputs, channels_last=self.channels_last).float()

    def scores(self, images: Tensor) -> Tensor:
        """Return scores (n, k), float32, on the CPU."""
        with torch.no_grad():
            return self(images).cpu()


def open_victim(workspace: Workspace, model: str, weights: str, precision: str) -> Victim:
    """Load the model, once a process.

    Args:
        workspace: names data and device.
        model: as `load_model` takes it.
        weights: file of weights; "": the published ones.
        precision: of the gradients: "float32", "float32-copy" or "bfloat16".

    Raises:
        InvalidInput: the model cannot be loaded, gives no gradient, or has other classes than
            the data have.
    """
    return _opened(workspace.data, workspace.device, model, weights, precision)


@cache
def _opened(data: str, device: str, model: str, weights: str, precision: Precision) -> Victim:
    images = Workspace(NOWHERE, data).test_set()
    sample = to_unit(images.read(np.arange(min(_SAMPLE, len(images)))))
    subject = open_model(model, sample, device, weights=weights or None)
    _check(subject, images)
    gradients: Classifier | None = subject.model
    if precision != "float32":
        gradients = checked_surrogate(subject.model, sample.to(subject.device), precision)
    if gradients is None:
        raise InvalidInput(
            f"{model}: a {precision} copy disagrees with the model: add precision=float32 to --grid"
        )
    size = int(np.prod(images.shape))
    pixels = _PIXELS_CPU if subject.device.startswith("cpu") else _PIXELS
    agree = formats_agree(subject.model, sample.to(subject.device))
    return Victim(subject, gradients, max(1, min(_MOST, pixels // size)), agree)


def identity_of(workspace: Workspace, model: str, weights: str) -> str:
    """Return a hash of the weights and the structure of a model: equal hashes, equal scores."""
    inner = open_victim(workspace, model, weights, "float32").subject.model
    if not isinstance(inner, nn.Module):
        return fingerprint(inner, model)[:32]
    digest = hashlib.sha256(repr(inner).encode())
    for name, value in inner.state_dict().items():
        digest.update(name.encode() + value.detach().cpu().numpy().tobytes())
    return digest.hexdigest()[:32]


def precision_of(requested: str, device: str) -> Precision:
    """Resolve "fast" to the copy that suits the device."""
    known = ("fast", "float32", "float32-copy", "bfloat16")
    if requested not in known:
        raise InvalidInput(f"grid: precision must be one of {', '.join(known)}, got {requested!r}")
    return resolved(requested, device_for(device))  # type: ignore[arg-type]  # checked two lines above


def _check(subject: Subject, images: Dataset) -> None:
    info = subject.info
    if info.rejects or not info.differentiable:
        raise InvalidInput(
            f"the study needs a model with gradients that does not reject, "
            f"{subject.name} is none: name another with --grid model=..."
        )
    if info.classes != len(images.class_names):
        raise InvalidInput(
            f"study: {subject.name} has {info.classes} classes and "
            f"{images.name} has {len(images.class_names)}: give data with the model's classes "
            "(a folder with classes.txt), or another model"
        )
