"""Adversarial examples that are computed on one model and judged on another."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from epsball.evaluation.settings import make_settings
from epsball.files import write_npz
from epsball.studies.core.store import Row
from epsball.studies.core.workspace import read_examples_of
from epsball.studies.judge.attacking import accuracy_of, attack_shards, read_images
from epsball.studies.judge.engine import engine_for
from epsball.types import Dataset


def make_examples(
    surrogate: nn.Module,
    dataset: Dataset,
    attacks: Sequence[str],
    eps: Sequence[float],
    *,
    seed: int,
    file: Path,
) -> list[Row]:
    """Attack every image on a model with the full budget, and store the results.

    Args:
        surrogate: in eval mode.
        dataset: all are used, misclassified or not.
        attacks: with settings where wanted.
        eps: radii in linf, input units.
        seed: of all that is random.
        file: where they go: one array (n, c, h, w), float32, for each attack and eps.

    Returns:
        A row for each attack and eps: n, and the passes that were spent.
    """
    engine = engine_for(surrogate, dataset, seed)
    settings = make_settings(attacks, norm="linf", eps=list(eps))
    keys = [(setting.variant, e) for setting in settings for e in setting.eps]
    images: dict[tuple[str, float], list[Tensor]] = {key: [] for key in keys}
    passes = dict.fromkeys(keys, 0)
    for _, outcomes in attack_shards(engine, dataset, settings):
        for one in outcomes:
            images[one.setting.variant, one.eps].append(one.attacked.images)
            passes[one.setting.variant, one.eps] += int(one.attacked.backwards.sum())
    write_npz(file, {f"{a}@{e!r}": torch.cat(parts).numpy() for (a, e), parts in images.items()})
    return [
        {"attack": f"made:{a}", "eps": e, "mode": "made", "n": len(dataset), "backwards": count}
        for (a, e), count in passes.items()
    ]


def judge_examples(model: nn.Module, dataset: Dataset, file: Path) -> list[Row]:
    """Judge a model on the examples that were computed on another one.

    Args:
        model: in eval mode.
        dataset: the clean images of the examples.
        file: as `make_examples` writes it.

    Returns:
        A row for each attack and eps, the attack named "transfer:NAME": n, right and accuracy.

    Raises:
        InvalidInput: the file is missing.
    """
    engine = engine_for(model, dataset, seed=0)
    labels = torch.from_numpy(dataset.labels)
    rows: list[Row] = []
    for name, images in read_examples_of(file).items():
        right = read_images(engine, torch.from_numpy(images), labels).prediction == labels
        attack, _, radius = name.rpartition("@")
        where: Row = {"attack": f"transfer:{attack}", "eps": float(radius), "mode": "transfer"}
        rows.append({**where, **accuracy_of(right)})
    return rows
