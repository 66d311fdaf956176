"""What is audited: a model on pictures, both checked before anything is written."""

import copy
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from epsball.data import load_data, to_unit
from epsball.errors import BrokenContract, EpsballError, InvalidInput
from epsball.evaluation.checks_before import check_mode, check_range
from epsball.evaluation.engine import Counted, is_out_of_memory
from epsball.evaluation.settings import AttackSetting
from epsball.models import as_logits, count_parameters, fingerprint, load_model, probe
from epsball.objectives import named_objective
from epsball.randomness import ImageStreams
from epsball.tensors import Classifier
from epsball.types import Dataset, Finding, ModelInfo, Positions

Model: TypeAlias = str | nn.Module | Callable[[torch.Tensor], torch.Tensor]
Data: TypeAlias = str | Dataset | tuple[Any, Any]
_READ = 500  # pictures read at once while the content is hashed
_FEW = 2


@dataclass(frozen=True)
class Subject:
    """A model, ready to be attacked, and what is known of it.

    Args:
        model: gives scores that can be attacked like logits; on its device.
        info: what is known of it.
        spec: as it was asked for.
        name: short, for titles.
        sha256: of its weights.
        parameters: how many it has; None where it cannot be told.
        device: where it is.
        findings: doubts that were seen on the way.
    """

    model: Classifier
    info: ModelInfo
    spec: str
    name: str
    sha256: str
    parameters: int | None
    device: str
    findings: tuple[Finding, ...] = ()


def open_data(data: Data) -> Dataset:
    """Load data by name, or take a data set or (images, labels) as they are.

    Args:
        data: "mnist", a `Dataset`, or a pair: (n, c, h, w) uint8 or float, and (n,) integers.

    Raises:
        InvalidInput: the pair does not fit together.
    """
    if isinstance(data, str):
        return load_data(data)
    if isinstance(data, Dataset):
        return data
    images, labels = (_as_array(part) for part in data)
    if images.ndim != 4 or labels.shape != (len(images),):  # noqa: PLR2004 - n, c, h, w
        raise InvalidInput(
            "data given as a pair must be images (n, c, h, w) and labels (n,), "
            f"got {images.shape} and {labels.shape}"
        )
    if not np.issubdtype(labels.dtype, np.integer) or not len(labels) or labels.min() < 0:
        raise InvalidInput(f"labels must be integers >= 0, got {labels.dtype}: {labels[:5]}")
    if images.dtype != np.uint8:
        images = images.astype(np.float32)
    names = tuple(str(i) for i in range(int(labels.max()) + 1))
    channels, height, width = images.shape[1:]
    shape = (channels, height, width)
    return Dataset("tensors", labels.astype(np.int64), names, shape, lambda p: images[p])


def _as_array(part: Any) -> NDArray[Any]:  # noqa: ANN401 - tensors, arrays, lists
    array: NDArray[Any] = part.detach().cpu().numpy() if torch.is_tensor(part) else np.asarray(part)
    return array


def open_model(model: Model, sample: torch.Tensor, device: str, **loading: Any) -> Subject:  # noqa: ANN401 - load_model's own
    """Load or take a model, put it on its device, and find out what it gives.

    Args:
        model: a spec such as "zoo:squeezenet", or a callable. A module is left as it is: where the
            device is another one, a copy goes there.
        sample: (m, c, h, w), float, a few clean pictures.
        device: "auto": a GPU where there is one; for a module, where it is.
        **loading: weights, mean, std, resize, channels for `load_model`.

    Raises:
        EpsballError: the model cannot be loaded, raises, or gives no scores.
    """
    spec = model if isinstance(model, str) else _name_of(model)
    place = choose_device(device, model)
    classifier, name = _placed(model, place, loading)
    findings = tuple(check_mode(classifier))
    # a forward pass in train mode would change its statistics: such a model is not asked at all
    info = ModelInfo(classes=0) if findings else probe(classifier, sample.to(place))
    return Subject(
        model=as_logits(classifier, info),
        info=info,
        spec=spec,
        name=name,
        sha256=fingerprint(classifier, spec),
        parameters=count_parameters(classifier),
        device=place,
        findings=findings,
    )


def _placed(model: Model, place: str, loading: dict[str, Any]) -> tuple[Classifier, str]:
    """Return the classifier on its device, and its short name."""
    if isinstance(model, str):
        loaded = load_model(model, device=place, **loading)
        return loaded.model, loaded.name
    given = [key for key, value in loading.items() if value is not None]
    if given:
        raise InvalidInput(
            f"{', '.join(given)}: only for a model named by a spec such as 'zoo:base-cnn'; "
            "put preprocessing into your own model"
        )
    if isinstance(model, nn.Module) and _device_of(model) not in (None, place):
        model = copy.deepcopy(model).to(place)
    return model, _name_of(model)


def choose_device(device: str, model: Model | None = None) -> str:
    """Resolve "auto", and refuse a device that is not there."""
    if device == "auto":
        own = _device_of(model) if isinstance(model, nn.Module) else None
        return own or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InvalidInput(f"--device {device} cannot be used ({reason}); try auto") from None
    return device


def _device_of(model: nn.Module) -> str | None:
    first = next(iter([*model.parameters(), *model.buffers()]), None)
    return None if first is None else str(first.device)


def _name_of(model: Callable[..., Any]) -> str:
    return (
        type(model).__name__
        if isinstance(model, nn.Module)
        else getattr(model, "__qualname__", type(model).__name__)
    )


@dataclass(frozen=True)
class Content:
    """What was found while every picture was read once, before the run.

    Args:
        sha256: of pixels and labels, in order.
        findings: pictures outside [0, 1].
    """

    sha256: str
    findings: tuple[Finding, ...]


def read_through(
    data: Dataset, positions: Positions, advance: Callable[[int], None] = lambda _: None
) -> Content:
    """Read every picture once: a bad file stops the run here, before anything is written.

    Raises:
        InvalidInput: a picture cannot be read, or holds NaN.
    """
    digest = hashlib.sha256()
    lowest, highest = np.inf, -np.inf
    for first in range(0, len(positions), _READ):
        chosen = positions[first : first + _READ]
        pixels = np.ascontiguousarray(data.read(chosen))
        digest.update(f"{pixels.dtype}{pixels.shape[1:]}".encode())
        digest.update(pixels.tobytes())
        digest.update(data.labels[chosen].tobytes())
        if pixels.dtype != np.uint8:
            finite = np.isfinite(pixels).reshape(len(pixels), -1).all(1)
            if not finite.all():
                where = int(chosen[int(np.flatnonzero(~finite)[0])])
                raise InvalidInput(f"{data.name}: picture {where} holds NaN or infinity; mend it")
            lowest = min(lowest, float(pixels.min()))
            highest = max(highest, float(pixels.max()))
        advance(len(chosen))
    findings = check_range(lowest, highest) if highest >= lowest else []
    return Content(digest.hexdigest(), tuple(findings))


def check_fit(subject: Subject, data: Dataset, positions: Positions) -> None:
    """Refuse labels that the model has no class for."""
    labels = data.labels[positions]
    classes = subject.info.classes
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        where = int(positions[wrong[0]])
        raise InvalidInput(
            f"{data.name}: label {int(labels[wrong[0]])} of picture {where} is out of range: "
            f"{subject.name} has {classes} classes, 0 to {classes - 1}; give matching labels or "
            "another model"
        )


def rehearse(
    subject: Subject,
    settings: Sequence[AttackSetting],
    sample: tuple[torch.Tensor, torch.Tensor],
) -> None:
    """Run every attack for one step on two pictures, so that a bad setting stops the run here.

    Raises:
        InvalidInput: the attack refuses its settings, or needs a gradient that is not there.
        BrokenContract: the model raises.
    """
    images, labels = sample
    images, labels = images[:_FEW].to(subject.device), labels[:_FEW].to(subject.device)
    for setting in settings:
        if setting.spec.needs_gradient and not subject.info.differentiable:
            raise InvalidInput(
                f"{setting.attack} needs a gradient, and {subject.name} gives none with respect to "
                "its input: remove torch.no_grad(), .detach() or numpy from its forward, or use "
                "--attack noise, which needs none"
            )
        knobs: dict[str, Any] = setting.knobs | (
            {"steps": min(1, setting.knobs["steps"])} if "steps" in setting.knobs else {}
        )
        if "objective" in knobs:
            knobs["objective"] = named_objective(knobs["objective"])
        streams = ImageStreams.of(range(len(labels)), seed=0, purpose="rehearsal")
        streams = replace(streams, keys=streams.keys.to(subject.device))
        try:
            setting.spec.attack(
                Counted(subject.model, subject.info, "float32"),
                images,
                labels,
                eps=setting.eps[-1],
                norm=setting.norm,
                generator=streams,
                **knobs,
            )
        except EpsballError:
            raise
        except Exception as error:
            if is_out_of_memory(error):
                raise
            reason = str(error).strip().splitlines()[0] if str(error).strip() else ""
            raise BrokenContract(
                f"{subject.name} failed under {setting.variant} with {type(error).__name__}: "
                f"{reason}"
            ) from error


def sample_of(data: Dataset, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Read the first pictures: (m, c, h, w) float32 and (m,) labels."""
    chosen = np.arange(min(count, len(data)))
    return to_unit(data.read(chosen)), torch.from_numpy(data.labels[chosen])


def spread(positions: Positions, count: int) -> Positions:
    """Choose some positions, evenly over all."""
    places = np.linspace(0, len(positions) - 1, min(count, len(positions)))
    return np.asarray(positions[np.unique(places.astype(np.int64))])
