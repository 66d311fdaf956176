"""One image under a row of eps, kept for the page."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from epsball.data import to_unit
from epsball.evaluation.engine.attacking import attack_examples
from epsball.evaluation.engine.examples import Examples, read_scores
from epsball.evaluation.settings import make_settings
from epsball.files import write_atomically
from epsball.studies.core.store import Row
from epsball.studies.judge.whole import engine_for
from epsball.types import Dataset

_LOOKED_AT = 64  # images of the class, among which one that the network gets right


def keep_strip(
    model: nn.Module,
    dataset: Dataset,
    attack: str,
    eps: Sequence[float],
    *,
    label: int,
    file: Path,
    norm: str = "linf",
    seed: int = 0,
) -> list[Row]:
    """Attack the first image of a class that the network gets right, and keep what came out.

    Args:
        model: in eval mode.
        dataset: to choose from.
        attack: with settings where wanted.
        eps: radii in norm, input units.
        label: the class.
        file: where "images" (m, c, h, w), float32, go: the clean one, then one an eps.
        norm: of the ball.
        seed: of an attack that is random.

    Returns:
        A row an image: eps (0: clean), the names of the prediction ("rejected" where the model
        does that) and of the label, confidence, and whether that is right: of an attacked image
        a rejection is.
    """
    positions = np.flatnonzero(dataset.labels == label)[:_LOOKED_AT]
    images, labels = to_unit(dataset.read(positions)), torch.full((len(positions),), label)
    engine = engine_for(model, dataset, seed, len(images))
    before = read_scores(engine.scores(images), labels, engine.info)
    first = int(
        (before.prediction == labels).int().argmax()
    )  # the first image at all, where none is right
    one, its, where = images[first : first + 1], labels[:1], torch.tensor([int(positions[first])])
    setting = make_settings([attack], norm=norm, eps=list(eps))[0]
    made = torch.cat(
        [one, *(a.images for a in attack_examples(engine, setting, Examples(one, its, where)))]
    )
    write_atomically(file, lambda beside: _write(beside, made))
    reading = read_scores(engine.scores(made), its.repeat(len(made)), engine.info)
    shared = {"attack": attack, "mode": "strip", "position": int(where)}
    names = (*dataset.class_names, "rejected")
    clean = (int(before.prediction[first] == label),)
    columns = reading.prediction.tolist(), reading.confidence.tolist(), reading.safe.tolist()
    return [
        {**shared, "eps": e, "right": int(safe), "confidence": sure}
        | {"label": names[label], "prediction": names[said]}
        for e, said, sure, safe in zip(
            [0.0, *setting.eps], *columns[:2], [*clean, *columns[2][1:]], strict=True
        )
    ]


def _write(beside: Path, made: torch.Tensor) -> None:
    with beside.open("wb") as stream:  # a name would have .npz appended
        np.savez_compressed(stream, allow_pickle=False, images=made.numpy())
