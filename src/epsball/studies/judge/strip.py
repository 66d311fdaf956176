"""One image under an attack at rising eps, stored for the page."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from epsball.data import to_unit
from epsball.evaluation.engine.examples import Examples
from epsball.evaluation.settings import make_settings
from epsball.files import write_npz
from epsball.studies.core.store import Row
from epsball.studies.judge.attacking import read_images, run_attacks
from epsball.studies.judge.engine import engine_for
from epsball.types import Dataset

_CANDIDATES = 64  # images of the class, among which one that the network gets right


def attack_strip(
    model: nn.Module,
    dataset: Dataset,
    attack: str,
    eps: Sequence[float],
    *,
    label: int = 7,
    file: Path,
    norm: str = "linf",
    seed: int = 0,
) -> list[Row]:
    """Attack the first image of a class that the network gets right, and store the results.

    Args:
        model: in eval mode.
        dataset: to choose from.
        attack: with settings where wanted.
        eps: radii in norm, input units.
        label: the class, the lowest one where there is no image of it; where the network gets no
            image right, the first one is taken.
        file: where "images" (m, c, h, w), float32, go: the clean one, then one an eps.
        norm: of the ball.
        seed: of an attack that is random.

    Returns:
        A row an image: eps (0: clean), the names of the prediction ("rejected" where the model
        does that) and of the label, confidence, and whether that is right: of an attacked image
        a rejection is.
    """
    label = label if (dataset.labels == label).any() else int(dataset.labels.min())
    positions = np.flatnonzero(dataset.labels == label)[:_CANDIDATES]
    images, labels = to_unit(dataset.read(positions)), torch.full((len(positions),), label)
    engine = engine_for(model, dataset, seed, len(images))
    right = read_images(engine, images, labels).prediction == labels
    chosen = int(right.int().argmax())
    position = int(positions[chosen])
    clean = Examples(images[chosen : chosen + 1], labels[:1], torch.tensor([position]))
    settings = make_settings([attack], norm=norm, eps=list(eps))
    attacked = [one.attacked.images for one in run_attacks(engine, clean, settings)]
    strip = torch.cat([clean.images, *attacked])
    write_npz(file, {"images": strip.numpy()})
    reading = read_images(engine, strip, labels[:1].repeat(len(strip)))
    names = (*dataset.class_names, "rejected")
    columns = (
        [0.0, *settings[0].eps],
        [bool(right[chosen]), *reading.safe.tolist()[1:]],
        reading.confidence.tolist(),
        reading.prediction.tolist(),
    )
    shared: Row = {"attack": attack, "mode": "strip", "position": position, "label": names[label]}
    return [
        {
            **shared,
            "eps": e,
            "right": int(safe),
            "confidence": confidence,
            "prediction": names[predicted],
        }
        for e, safe, confidence, predicted in zip(*columns, strict=True)
    ]
