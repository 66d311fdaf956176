"""The audited model: loaded, placed on its device and probed."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import nn

from epsball.attacks import expectation
from epsball.errors import InvalidInput
from epsball.evaluation.checks.before import check_mode
from epsball.evaluation.checks.findings import finding
from epsball.evaluation.defended import SCHEME, open_defended
from epsball.evaluation.manifest import ModelEntry
from epsball.kinds.class_names import names_of_classes
from epsball.machine.hardware import choose_device
from epsball.models import (
    MODELS,
    as_logits,
    class_names_of,
    count_parameters,
    fingerprint,
    load_model,
    probe,
)
from epsball.models.loading.request import options_given
from epsball.models.precision import in_own_precision
from epsball.models.readiness import check_ready
from epsball.models.state import KeptState
from epsball.object_graph import modules_behind
from epsball.tensors import Classifier
from epsball.types import Finding, ModelInfo

Model: TypeAlias = str | nn.Module | Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Subject:
    """A model, ready to be attacked, and what is known of it.

    Args:
        model: gives scores that can be attacked like logits; on its device.
        info: what is known of it.
        spec: as it was given.
        name: short, for titles.
        sha256: of its weights.
        parameters: how many it has; None where that is unknown.
        device: where it is.
        findings: doubts that came up while it was opened.
        state: its tensors and modes as they were before it was asked.
        class_names: what the model calls its classes, in the order of its scores; None: unknown.
        noted: findings about how it was opened; none of them blocks.
        declared: whether the model says itself what it gives, by its `info`.
    """

    model: Classifier
    info: ModelInfo
    spec: str
    name: str
    sha256: str
    parameters: int | None
    device: str
    findings: tuple[Finding, ...] = ()
    state: KeptState | None = None
    class_names: tuple[str, ...] | None = None
    noted: tuple[Finding, ...] = ()
    declared: bool = False

    def restore(self) -> None:
        """Put back what calling the model has moved."""
        if self.state is not None:
            self.state.restore()

    def refuse_findings(self) -> None:
        """Refuse a model with a doubt that came up while it was opened.

        Raises:
            InvalidInput: there is one, such as train mode.
        """
        for one in self.findings:
            raise InvalidInput(f"{one.message}: {one.remedy}")

    def entry(self) -> ModelEntry:
        """Return what a manifest holds of it."""
        return ModelEntry(
            spec=self.spec,
            name=self.name,
            sha256=self.sha256,
            parameters=self.parameters,
            classes=self.info.classes,
            gives=self.info.gives,
            rejects=self.info.rejects,
        )


def open_model(
    model: Model,
    sample: torch.Tensor,
    device: str,
    *,
    draws: int | None = None,
    seed: int = 0,
    **loading: Any,  # noqa: ANN401 - load_model's own
) -> Subject:
    """Load or take a model, put it on its device, and probe its outputs.

    Args:
        model: a spec such as "zoo:squeezenet" or "defended:FOLDER", or a callable. A module is
            left as it is: where the device is another one, a copy goes there.
        sample: (m, c, h, w), float, a few clean images.
        device: "auto": a GPU where there is one; for a module, where it is.
        draws: of a random model, whose mean is attacked and judged; None: the model itself.
        seed: names these draws.
        **loading: weights, mean, std, resize, channels for `load_model`.

    Raises:
        EpsballError: the model cannot be loaded, raises, or gives no scores.
    """
    spec = model if isinstance(model, str) else _name_of(model)
    _check_callable(model)
    check_ready(model)
    place = device_for(device, model)
    classifier, name, noted = _placed(model, sample, place, loading)
    state = KeptState(classifier)
    findings = tuple(check_mode(classifier))
    # a forward pass in train mode would change its statistics: such a model is not asked at all
    info = ModelInfo(classes=0)
    try:
        if not findings:
            classifier = in_own_precision(classifier, sample.to(place))
        if draws is not None:
            generator = torch.Generator().manual_seed(seed)
            classifier = expectation(classifier, samples=draws, generator=generator)
        if not findings:
            info = probe(classifier, sample.to(place))
    except BaseException:
        state.restore()
        raise
    return Subject(
        model=as_logits(classifier, info),
        info=info,
        spec=spec,
        name=name,
        sha256=fingerprint(classifier, spec),
        parameters=count_parameters(classifier),
        device=place,
        findings=findings,
        state=state,
        class_names=class_names_of(classifier) or _published_names(spec, loading),
        noted=noted,
        declared=isinstance(getattr(classifier, "info", None), ModelInfo),
    )


def _check_callable(model: object) -> None:
    """Refuse a class in place of a network, and what holds weights alone."""
    if isinstance(model, type):
        raise InvalidInput(
            f"model must be a network, got the class {model.__name__}: give an object of it, "
            f"{model.__name__}(...), with its weights loaded and in eval mode"
        )
    if not (isinstance(model, str) or callable(model)):
        raise InvalidInput(
            f"model must be a name or map images (n, c, h, w) to scores (n, k), got "
            f"{type(model).__name__}: load weights into their network first"
        )


def _published_names(spec: str, loading: dict[str, Any]) -> tuple[str, ...] | None:
    """Return the classes of published weights of the zoo that name those of ImageNet."""
    zoo = MODELS.get(spec.removeprefix("zoo:")) if spec.startswith("zoo:") else None
    if zoo is None or not zoo.names_imagenet or loading.get("weights") is not None:
        return None
    return names_of_classes(zoo.classes)


def _placed(
    model: Model, sample: torch.Tensor, place: str, loading: dict[str, Any]
) -> tuple[Classifier, str, tuple[Finding, ...]]:
    """Return the classifier on its device, its short name, and what was done to it."""
    if isinstance(model, str) and model.startswith(SCHEME):
        return *open_defended(model, sample, place, loading), ()
    if isinstance(model, str):
        loaded = load_model(model, device=place, **loading)
        message = f"{loaded.name} came in train mode and was put into eval mode"
        noted = (finding("put-in-eval", message),) if loaded.put_in_eval else ()
        return loaded.model, loaded.name, noted
    options = [key for key in options_given(loading) if key != "trust"]
    if options:
        raise InvalidInput(
            f"{', '.join(options)}: only for a model named by a spec such as 'zoo:base-cnn'; "
            "put preprocessing into your own model"
        )
    if isinstance(model, nn.Module) and (
        _device_of(model) not in (None, place) or any(t.is_inference() for t in model.parameters())
    ):
        model = copy.deepcopy(model).to(place)
    return model, _name_of(model), ()


def device_for(device: str, model: Model | None = None) -> str:
    """Resolve "auto", which leaves a model where it is, and refuse a device that is not there."""
    modules = modules_behind(model).values()
    return choose_device(device, next(filter(None, map(_device_of, modules)), None))


def _device_of(model: nn.Module) -> str | None:
    first = next(iter([*model.parameters(), *model.buffers()]), None)
    return None if first is None else str(first.device)


def _name_of(model: Callable[..., Any]) -> str:
    return (
        type(model).__name__
        if isinstance(model, nn.Module)
        else getattr(model, "__qualname__", type(model).__name__)
    )
