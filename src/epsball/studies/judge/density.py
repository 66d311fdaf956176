"""An attack that keeps away from where no image is: the density term on a rejecting model."""

import numpy as np
import torch
from torch import nn

from epsball.attacks import rejection
from epsball.data import to_unit
from epsball.defences import KernelDensity
from epsball.evaluation.engine.examples import read_scores
from epsball.evaluation.records.shards import read_clean
from epsball.randomness import ImageStreams
from epsball.studies.core.store import Row
from epsball.studies.judge.whole import engine_for
from epsball.types import Dataset, Search

_EACH = 200  # images of a class that make the density


class _Pixels(nn.Module):
    """Stands in for a network whose features are the pixels; its scores mean nothing."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.pixels, self.classes = nn.Flatten(), classes

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        pixels: torch.Tensor = self.pixels(inputs)
        return pixels[:, : self.classes]


def judge_crowded(
    model: nn.Module,
    dataset: Dataset,
    known: Dataset,
    eps: float,
    *,
    weight: float,
    name: str,
    seed: int,
) -> list[Row]:
    """Attack in L2 by `rejection` with a kernel density of pixels as a second term.

    Args:
        model: in eval mode.
        dataset: all are attacked.
        known: whose images make the density, the first 200 of each class.
        eps: radius, input units.
        weight: of the density, at least 0.
        name: of the attack in the rows.
        seed: of the random starts.

    Returns:
        One row: n, accuracy (right, or rejected), and the mean log-density of what was made.
    """
    engine = engine_for(model, dataset, seed, precision="fast")
    clean = read_clean(engine, dataset, np.arange(len(dataset)))
    place = torch.device(engine.config.device)
    density = _density(known).to(place)
    safe, crowd = [], []
    size = engine.config.micro_batch
    search = Search(
        retire=False, confirm=engine.model, precision=engine.config.precision, micro_batch=size
    )
    for rows in (slice(at, at + size) for at in range(0, len(dataset), size)):
        streams = ImageStreams.of(
            clean.positions[rows], seed=seed, purpose="rejection", device=place
        )
        images, labels = clean.images[rows].to(place), clean.labels[rows].to(place)
        searched = engine.recorder(len(images), surrogate=True)
        made = rejection(
            searched,
            images,
            labels,
            eps=eps,
            norm="l2",
            density=density.log_density,
            density_weight=weight,
            generator=streams,
            search=search,
        )
        reading = read_scores(engine.scores(made), clean.labels[rows], engine.info)
        safe.append(reading.safe)
        crowd.append(density.log_density(made).detach().cpu())
    held = torch.cat(safe)
    return [
        {
            "attack": name,
            "eps": eps,
            "mode": "crowded",
            "n": len(held),
            "right": int(held.sum()),
            "accuracy": float(held.double().mean()),
            "log_density": float(torch.cat(crowd).mean()),
        }
    ]


def _density(known: Dataset) -> KernelDensity:
    classes = len(known.class_names)
    rows = np.concatenate([np.flatnonzero(known.labels == k)[:_EACH] for k in range(classes)])
    images = to_unit(known.read(rows))
    fitted = KernelDensity(_Pixels(classes).eval(), layer="pixels")
    return fitted.fit(images, known.labels[rows])
