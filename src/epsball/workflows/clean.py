"""Accuracy on clean images alone."""

from typing import Any

import numpy as np
import torch

from epsball.evaluation.class_matching import fit_labels
from epsball.evaluation.engine.config import EngineConfig
from epsball.evaluation.engine.engine import Engine
from epsball.evaluation.engine.examples import Examples
from epsball.evaluation.inputs import Data, open_data, sample_of
from epsball.evaluation.metrics.statistics import wilson
from epsball.evaluation.planning.rehearsal import check_fit
from epsball.evaluation.records.shards import read_clean, shards_of
from epsball.evaluation.subject import Model, open_model

_AT_ONCE = 256


def clean_accuracy(
    model: Model,
    data: Data,
    *,
    device: str = "auto",
    **loading: Any,  # noqa: ANN401 - load_model's own
) -> tuple[float, tuple[float, float], int]:
    """Return a model's accuracy on clean images.

    Args:
        model: see `epsball.audit`.
        data: see `epsball.audit`.
        device: see `epsball.audit`.
        **loading: see `epsball.audit`.

    Returns:
        The share of right answers, its 95 % Wilson interval, and the number of images.
    """
    accuracy, _, count = clean_rates(model, data, device=device, **loading)
    return accuracy, wilson(round(accuracy * count), count), count


def clean_rates(
    model: Model,
    data: Data,
    *,
    device: str = "auto",
    **loading: Any,  # noqa: ANN401 - load_model's own
) -> tuple[float, float, int]:
    """Return what a model makes of clean images, which it may reject.

    Args:
        model: see `epsball.audit`.
        data: see `epsball.audit`.
        device: see `epsball.audit`.
        **loading: see `epsball.audit`.

    Returns:
        The shares that get their label and that are rejected, and the number of images.
    """
    images = open_data(data)
    subject = open_model(model, sample_of(images, 2)[0], device, **loading)
    subject.refuse_findings()
    images, _ = fit_labels(subject, images)
    positions = np.arange(len(images))
    check_fit(subject, images, positions)
    config = EngineConfig(
        device=subject.device, micro_batch=_AT_ONCE, threads=torch.get_num_threads()
    )
    engine = Engine(subject.model, subject.info, config)
    counts = np.zeros(2)
    for shard in shards_of(positions, _AT_ONCE):
        clean = read_clean(engine, images, shard.positions)
        counts += (_count_right(clean), int(clean.reading.rejected.sum()))
    right, rejected = (float(count) / len(images) for count in counts)
    return right, rejected, len(images)


def _count_right(clean: Examples) -> int:
    """Count the images that get their label; one that is rejected does not."""
    reading = clean.reading
    return int(((reading.prediction == clean.labels) & reading.safe).sum())
