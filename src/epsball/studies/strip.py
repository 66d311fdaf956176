"""One picture under a row of eps, kept for the page."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from epsball.data import to_unit
from epsball.evaluation.engine import Choices, Engine
from epsball.evaluation.measure import read_scores
from epsball.evaluation.settings import make_settings
from epsball.evaluation.subject import open_model
from epsball.files import write_atomically
from epsball.studies.store import Row
from epsball.types import Dataset

_LOOKED_AT = 64  # pictures of the class, among which one that the network gets right


def keep_strip(
    model: nn.Module,
    pictures: Dataset,
    attack: str,
    eps: Sequence[float],
    *,
    label: int,
    file: Path,
) -> list[Row]:
    """Attack the first picture of a class that the network gets right, and keep what came out.

    Args:
        model: in eval mode.
        pictures: to choose from.
        attack: one that is not random, with settings where wanted.
        eps: radii in linf, input units.
        label: the class.
        file: where "pictures" (m, c, h, w), float32, go: the clean one, then one an eps.

    Returns:
        A row a picture: eps (0: clean), prediction, the label, and their names; confidence.
    """
    positions = np.flatnonzero(pictures.labels == label)[:_LOOKED_AT]
    images, labels = to_unit(pictures.read(positions)), torch.full((len(positions),), label)
    subject = open_model(model, images[:2], "auto")
    choices = Choices(subject.device, "float32", len(images), torch.get_num_threads())
    engine = Engine(subject.model, subject.info, choices)
    right = read_scores(engine.scores(images), labels, engine.info).safe
    first = int(right.int().argmax())  # the first picture at all, where none is right
    one, its, where = images[first : first + 1], labels[:1], torch.tensor([int(positions[first])])
    setting = make_settings([attack], norm="linf", eps=list(eps))[0]
    made = torch.cat([one, *(a.images for a in engine.attack(setting, one, its, where))])
    write_atomically(file, lambda beside: _write(beside, made))
    reading = read_scores(engine.scores(made), its.repeat(len(made)), engine.info)
    shared = {"attack": attack, "mode": "strip", "position": int(where)}
    return [
        {**shared, "eps": e, "right": int(said == label), "confidence": sure}
        | {"label": pictures.class_names[label], "prediction": pictures.class_names[said]}
        for e, said, sure in zip(
            [0.0, *setting.eps],
            reading.prediction.tolist(),
            reading.confidence.tolist(),
            strict=True,
        )
    ]


def _write(beside: Path, made: torch.Tensor) -> None:
    with beside.open("wb") as stream:  # a name would have .npz appended
        np.savez_compressed(stream, allow_pickle=False, pictures=made.numpy())
