"""Saliency of a run's images, clean and attacked, beside its records."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from epsball.errors import InvalidInput
from epsball.evaluation.records.schema import SALIENCY, read_saved_images, read_summary
from epsball.evaluation.subject import Model, open_model
from epsball.files import write_npz
from epsball.saliency.maps import saliency_maps

_SHOWN = 5  # images


def explain(
    run: Path,
    model: Model,
    *,
    device: str = "auto",
    **loading: Any,  # noqa: ANN401 - load_model's own
) -> Path:
    """Compute which pixels the predictions of a run's images depend on, clean and attacked.

    The strongest attack of the run at its largest eps is taken, and of its kept images the first
    that changed. Each map explains the class that the model predicts for that very image.

    Args:
        run: directory of a finished audit that kept images.
        model: the audited model.
        device: see `epsball.audit`.
        **loading: see `epsball.audit`.

    Returns:
        The file, `saliency.npz`: clean, adversarial (m, c, h, w); clean_classes, classes (m,);
        and for each method clean_METHOD and METHOD (m, h, w), in [0, 1].

    Raises:
        InvalidInput: the run kept no images, or the model gives no gradient.
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
    for prefix, images in zip(("clean_", ""), pairs, strict=True):
        inputs = images.to(subject.device)
        with torch.no_grad():
            scores: Tensor = subject.model(inputs)[:, : subject.info.classes]
        classes = scores.argmax(1)
        maps = saliency_maps(subject.model, inputs, classes)
        columns |= {f"{prefix}images": images.numpy(), f"{prefix}classes": classes.cpu().numpy()}
        columns |= {f"{prefix}map_{name}": one.cpu().numpy() for name, one in maps.items()}
    return write_npz(run / SALIENCY, columns)


def _hardest(run: Path, saved: list[tuple[str, str, float]]) -> tuple[str, str, float]:
    """Return the kept setting with the lowest robust accuracy; of equal ones the largest eps."""
    accuracies = {
        (row["variant"], row["norm"], row["eps"]): row["robust_accuracy"]
        for row in read_summary(run)["results"]
        if row["robust_accuracy"] is not None
    }
    return min(saved, key=lambda key: (accuracies.get(key, 1.0), -key[2]))
