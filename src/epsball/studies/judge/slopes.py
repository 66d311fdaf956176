"""How logits move along the sign of the gradient, and what 8 bits leave of a small perturbation."""

import numpy as np
import torch
from torch import Tensor, nn

from epsball.attacks import fgsm
from epsball.evaluation.inputs import sample_of
from epsball.studies.core.store import Row
from epsball.types import Dataset

_STEPS = 21  # places from -eps to eps
_SHOWN = 5  # logits of the image that is drawn, the highest when clean
LEVEL = 1 / 255
_FRACTIONS = (0.45, 0.9)  # of a grey level: below and above where rounding turns


def judge_slopes(model: nn.Module, dataset: Dataset, eps: float) -> list[Row]:
    """Follow logits along eta = sign(grad_x L): how much of each is a straight line in eps?

    Args:
        model: in eval mode.
        dataset: all are used.
        eps: how far, both ways, input units.

    Returns:
        First a row with the median of R^2 of straight lines through all logits of all images, as
        "accuracy" (a share in [0, 1], one number an image: the mean over its logits, weighted by
        how much each moves); then the logits of the first image for a figure.

    Source: Goodfellow et al. 2015, arXiv:1412.6572, figure 4. Pixels are not clipped, as there.
    """
    images, labels = sample_of(dataset, len(dataset))
    place = next(model.parameters()).device
    images, labels = images.to(place), labels.to(place)
    side = fgsm(model, images, labels, eps=eps, clip=False) - images
    along = torch.linspace(-1, 1, _STEPS, device=place)
    with torch.no_grad():
        logits = torch.stack([model(images + share * side) for share in along]).double()
    straight = _straightness(logits, along.double())  # (n,)
    first: Row = {
        "attack": "slopes",
        "eps": eps,
        "mode": "slopes",
        "n": len(dataset),
        "accuracy": float(straight.median()),
    }
    return [first, *_logit_rows(logits[:, 0], (eps * along).tolist(), dataset)]


def _straightness(logits: Tensor, along: Tensor) -> Tensor:
    """Return R^2 of each image: explained over whole spread, summed over its logits.

    Args:
        logits: (steps, n, k).
        along: (steps,), evenly around 0.
    """
    centred = logits - logits.mean(0)
    slope = (along.view(-1, 1, 1) * centred).sum(0) / along.square().sum()  # (n, k)
    explained = slope.square().sum(1) * along.square().sum()
    whole = centred.square().sum((0, 2))
    return explained / whole.clamp_min(1e-12)


def _logit_rows(logits: Tensor, eps: list[float], dataset: Dataset) -> list[Row]:
    """Return the logits of one image, (steps, k), as rows."""
    middle = logits[len(logits) // 2]
    classes = middle.topk(min(_SHOWN, len(middle))).indices.tolist()
    return [
        {
            "attack": "slopes",
            "eps": e,
            "mode": "logit",
            "class": dataset.class_names[c],
            "logit": float(logits[i, c]),
            "label": dataset.class_names[int(dataset.labels[0])],
        }
        for c in classes
        for i, e in enumerate(eps)
    ]


def judge_levels(model: nn.Module, dataset: Dataset) -> list[Row]:
    """Measure how much of an FGSM perturbation below one grey level remains with 8 bits.

    Args:
        model: in eval mode.
        dataset: all are used; of 8 bits.

    Returns:
        A row for each size below one level: the share of the moved pixels that are no more what
        they were once the image is rounded to the nearest level, as "accuracy".
    """
    images, labels = sample_of(dataset, len(dataset))
    place = next(model.parameters()).device
    rows: list[Row] = []
    for fraction in _FRACTIONS:
        moved = fgsm(model, images.to(place), labels.to(place), eps=fraction * LEVEL).cpu()
        before, after = ((x.double() * 255).round().numpy() for x in (images, moved))
        changed = (moved != images).numpy()
        share_left = float(np.mean((before != after)[changed])) if changed.any() else 0.0
        rows.append(
            {
                "attack": "levels",
                "eps": fraction * LEVEL,
                "mode": "levels",
                "n": len(dataset),
                "accuracy": share_left,
            }
        )
    return rows
