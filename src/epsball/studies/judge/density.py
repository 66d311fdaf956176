"""An attack that keeps away from where no image is: the density term on a rejecting model."""

import numpy as np
import torch
from torch import nn

from epsball.attacks import rejection
from epsball.data import to_unit
from epsball.defences import KernelDensity
from epsball.evaluation.records.shards import read_examples
from epsball.randomness import ImageStreams
from epsball.studies.core.store import Row
from epsball.studies.judge.attacking import accuracy_of, read_images
from epsball.studies.judge.engine import engine_for
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


def judge_density(
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
        One row: n, accuracy (right, or rejected), and the mean log-density of the attacked images.
    """
    engine = engine_for(model, dataset, seed, precision="fast")
    config, examples = engine.config, read_examples(dataset, np.arange(len(dataset)))
    density = _density(known).to(torch.device(config.device))
    search = Search(
        retire=False,
        confirm=engine.model,
        precision=config.precision,
        micro_batch=config.micro_batch,
    )
    safe, log_density = [], []
    for micro_batch in engine.batches(len(examples)):
        with micro_batch as rows:
            batch = examples.rows(rows)
            attacked = rejection(
                engine.recorder(len(batch), surrogate=True),
                batch.images.to(config.device),
                batch.labels.to(config.device),
                eps=eps,
                norm="l2",
                density=density.log_density,
                density_weight=weight,
                generator=ImageStreams.of(
                    batch.positions, seed=seed, purpose="rejection", device=config.device
                ),
                search=search,
            )
            safe.append(read_images(engine, attacked, batch.labels).safe)
            log_density.append(density.log_density(attacked).detach().cpu())
    return [
        {
            "attack": name,
            "eps": eps,
            "mode": "crowded",
            **accuracy_of(torch.cat(safe)),
            "log_density": float(torch.cat(log_density).mean()),
        }
    ]


def _density(known: Dataset) -> KernelDensity:
    classes = len(known.class_names)
    rows = np.concatenate([np.flatnonzero(known.labels == k)[:_EACH] for k in range(classes)])
    images = to_unit(known.read(rows))
    fitted = KernelDensity(_Pixels(classes).eval(), layer="pixels")
    return fitted.fit(images, known.labels[rows])
