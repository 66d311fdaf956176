"""The engine with which a study attacks: fixed sizes, the full budget for every image."""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import torch
from torch import nn

from epsball.evaluation.engine.config import EngineConfig
from epsball.evaluation.engine.engine import Engine
from epsball.evaluation.engine.measuring import resolved
from epsball.evaluation.inputs import sample_of
from epsball.evaluation.subject import Subject, open_model
from epsball.tensors import Classifier
from epsball.types import Dataset, Precision

SearchPrecision: TypeAlias = Precision | Literal["fast"]
# fixed: a measured one would differ from machine to machine; larger ones leave the caches
MICRO_BATCH = 250


def engine_for(
    model: nn.Module,
    dataset: Dataset,
    seed: int,
    micro_batch: int = MICRO_BATCH,
    precision: SearchPrecision = "float32",
) -> Engine:
    """Return an engine that gives every image the full budget.

    Args:
        model: in eval mode.
        dataset: the images that will be attacked; two of them probe the model.
        seed: of all that is random.
        micro_batch: images a forward pass.
        precision: of the search: "fast" for the copy that suits the device; scores are the model's
            own in float32, whatever it is.
    """
    cached = _CACHE.get(model, _Opened())
    subject = cached.subject = cached.subject or open_model(model, sample_of(dataset, 2)[0], "auto")
    searched = resolved(precision, subject.device)
    config = EngineConfig(
        device=subject.device,
        precision=searched,
        micro_batch=micro_batch,
        threads=torch.get_num_threads(),
    )
    engine = Engine(subject.model, subject.info, config, seed, cached.surrogates.get(searched))
    if engine.surrogate is not None:
        cached.surrogates[searched] = engine.surrogate
    return engine


@dataclass
class _Opened:
    """An opened model and its surrogates by their precision."""

    subject: Subject | None = None
    surrogates: dict[Precision, Classifier] = field(default_factory=dict)


_CACHE: dict[nn.Module, _Opened] = {}


def keep_open(model: nn.Module) -> None:
    """Let `engine_for` keep a model open, with its surrogates, until it keeps another one open.

    A model with gigabytes of support vectors takes longer to open and to copy than many a cell
    takes to attack it.

    Args:
        model: its weights do not change any more.
    """
    if model not in _CACHE:
        _CACHE.clear()
        _CACHE[model] = _Opened()
