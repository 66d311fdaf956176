"""Saliency of a run's images, clean and attacked, beside its records."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn

from epsball.errors import InvalidInput
from epsball.evaluation.engine.examples import read_scores
from epsball.evaluation.records.schema import (
    SALIENCY,
    read_records,
    read_saved_images,
    read_summary,
)
from epsball.evaluation.subject import Model, Subject, open_model
from epsball.files import write_npz
from epsball.saliency.maps import convolutions, feature_maps, saliency_maps
from epsball.saliency.units import rising_units, unit_images
from epsball.types import Positions

_SHOWN = 5  # images
_CHANNELS = 6  # of a layer
# a model differs from the run's records if more of its predictions do, or its confidence by more
_UNKNOWN = -2  # no prediction, nor a rejection
_OTHER, _APART = 0.5, 0.05
_STEPS, _STEP_SIZE = 30, 0.05  # of the search for what drives a unit


def explain(
    run: Path,
    model: Model,
    *,
    device: str = "auto",
    **loading: Any,  # noqa: ANN401 - load_model's own
) -> Path:
    """Compute what the predictions of a run's images depend on, clean and attacked.

    The strongest attack of the run at its largest eps is taken, and of its kept images the first
    that changed. Each map explains the class that the model predicts for that very image.

    Args:
        run: directory of a finished audit that kept images.
        model: the audited model.
        device: see `epsball.audit`.
        **loading: see `epsball.audit`.

    Returns:
        The file, `saliency.npz`: clean_images, images (m, c, h, w); clean_classes, classes (m,);
        and for each method clean_map_METHOD and map_METHOD (m, h, w), in [0, 1]. Of a network
        that convolves also feature_layer, feature_channels, clean_features and features
        (m, channels, h', w'), of its first convolution; and unit_layer, unit_channels, unit_clean,
        unit_attacked (mean activations) and unit_images (units, c, h, w), of its last one.

    Raises:
        InvalidInput: the run kept no images, the model gives no gradient, or is another one than
            the run recorded.
    """
    saved = read_saved_images(run)
    if saved is None:
        raise InvalidInput(f"saliency: {run} kept no images: audit into a directory of its own")
    variant, norm, eps = _hardest(run, list(saved.adversarial))
    attacked = saved.adversarial[variant, norm, eps]
    changed = np.flatnonzero((attacked != saved.clean).reshape(len(attacked), -1).any(1))[:_SHOWN]
    if not len(changed):
        raise InvalidInput(f"saliency: {variant} changed none of the images that {run} kept")
    pairs = [torch.from_numpy(part[changed]) for part in (saved.clean, attacked)]
    subject = open_model(model, pairs[0][:2], device, **loading)
    if not subject.info.differentiable:
        raise InvalidInput(f"saliency: {subject.name} gives no gradient: leave --saliency out")
    columns: dict[str, Any] = {
        "positions": saved.positions[changed],
        "labels": saved.labels[changed],
        "setting": np.array([variant, norm, repr(eps)]),
    }
    recorded = _records(run, saved.positions[changed], variant, norm, eps)
    for prefix, images in zip(("clean_", ""), pairs, strict=True):
        inputs = images.to(subject.device)
        with torch.no_grad():
            scores: Tensor = subject.model(inputs)
        # a run that seeks verdicts only records no confidence of attacked images
        known = [
            recorded[f"{prefix}{name}"].fill_null(missing).to_list()
            for name, missing in (("prediction", _UNKNOWN), ("confidence", math.nan))
        ]
        _check_same(subject, scores.float().cpu(), *map(torch.tensor, known), run=run)
        classes = scores[:, : subject.info.classes].argmax(1)
        maps = saliency_maps(subject.model, inputs, classes)
        columns |= {f"{prefix}images": images.numpy(), f"{prefix}classes": classes.cpu().numpy()}
        columns |= {f"{prefix}map_{name}": one.cpu().numpy() for name, one in maps.items()}
    if isinstance(subject.model, nn.Module) and convolutions(subject.model):
        columns |= _inside(subject.model, *(images.to(subject.device) for images in pairs))
    return write_npz(run / SALIENCY, columns)


def _records(run: Path, positions: Positions, variant: str, norm: str, eps: float) -> pl.DataFrame:
    """Return the records of some images under an attack, in the order of the images."""
    rows = read_records(run).filter(
        (pl.col("variant") == variant) & (pl.col("norm") == norm) & (pl.col("eps") == eps)
    )
    return pl.DataFrame({"index": positions}).join(
        rows, on="index", how="left", maintain_order="left"
    )


def _check_same(
    subject: Subject, scores: Tensor, predictions: Tensor, confidence: Tensor, *, run: Path
) -> None:
    """Refuse a model that predicts otherwise, or more or less surely, than the run recorded.

    A model that answers at random may do so a little, or for a few of the images.
    """
    ours = read_scores(scores, torch.zeros_like(predictions), subject.info)
    differ = (ours.prediction != predictions) & (predictions != _UNKNOWN)
    other = float(differ.double().mean())
    apart = float((ours.confidence - confidence).abs().nanmedian())  # NaN: none is recorded
    if other > _OTHER or apart > _APART:
        raise InvalidInput(
            f"saliency: {subject.name} is not the model that {run} recorded: it predicts another "
            f"class for {other:.0%} of the images, and its confidence differs by {apart:.2f} in "
            "the median; give the audited model"
        )


def _inside(module: nn.Module, clean: Tensor, attacked: Tensor) -> dict[str, Any]:
    """Return feature maps, the units of the last convolution that rise most, and their images."""
    features = feature_maps(module, torch.cat([clean, attacked]), count=_CHANNELS)
    before, after = features.maps.cpu().numpy().reshape(2, len(clean), *features.maps.shape[1:])
    layer = convolutions(module)[-1]
    rise = rising_units(module, layer, clean, attacked, count=_CHANNELS)
    shape = (clean.shape[1], clean.shape[2], clean.shape[3])
    generator = torch.Generator().manual_seed(0)
    best = unit_images(
        module, layer, rise.channels, shape, steps=_STEPS, step_size=_STEP_SIZE, generator=generator
    )
    return {
        "feature_layer": np.array(features.layer),
        "feature_channels": np.array(features.channels),
        "clean_features": before,
        "features": after,
        "unit_layer": np.array(layer),
        "unit_channels": np.array(rise.channels),
        "unit_clean": np.array(rise.clean),
        "unit_attacked": np.array(rise.attacked),
        "unit_images": best.cpu().numpy(),
    }


def _hardest(run: Path, saved: list[tuple[str, str, float]]) -> tuple[str, str, float]:
    """Return the kept setting with the lowest robust accuracy; of equal ones the largest eps."""
    accuracies = {
        (row["variant"], row["norm"], row["eps"]): row["robust_accuracy"]
        for row in read_summary(run)["results"]
        if row["robust_accuracy"] is not None
    }
    return min(saved, key=lambda key: (accuracies.get(key, 1.0), -key[2]))
