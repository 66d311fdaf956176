"""How a study judges a network by all images: accuracy and confidence with the full budget."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from epsball.data import to_unit
from epsball.evaluation.engine.attacked import Attacked
from epsball.evaluation.engine.examples import Reading
from epsball.evaluation.records.shards import shards_of
from epsball.evaluation.settings import make_settings
from epsball.studies.core.store import Row
from epsball.studies.judge.attacking import SHARD, accuracy_of, attack_shards
from epsball.studies.judge.engine import MICRO_BATCH, engine_for
from epsball.types import Dataset

CLEAN = "none"  # the attack's name in rows of clean images


def judge_whole(
    model: nn.Module,
    dataset: Dataset,
    attacks: Sequence[str],
    eps: Sequence[float],
    *,
    seed: int,
    micro_batch: int = MICRO_BATCH,
) -> list[Row]:
    """Give every image the full budget, those already wrong included, as sources report it.

    Args:
        model: in eval mode.
        dataset: all are used.
        attacks: with settings where wanted: "fgsm:clip=false".
        eps: radii in linf, input units.
        seed: of all that is random.
        micro_batch: images a forward pass.

    Returns:
        A row for the clean images (attack "none", eps 0) and one for each attack and eps:
        n, right, accuracy; confidence, the mean probability of the predicted class, over all
        images, those right and those wrong; passes spent, over all images.
    """
    engine = engine_for(model, dataset, seed, micro_batch)
    settings = make_settings(attacks, norm="linf", eps=list(eps))
    keys = [(CLEAN, 0.0), *((s.variant, e) for s in settings for e in s.eps)]
    sums: dict[tuple[str, float], Counter[str]] = {key: Counter() for key in keys}
    for clean, outcomes in attack_shards(engine, dataset, settings):
        sums[CLEAN, 0.0].update(_sums(clean.reading, clean.labels))
        for one in outcomes:
            sums[one.setting.variant, one.eps].update(
                _sums(one.reading, clean.labels, one.attacked)
            )
    return [{"attack": a, "eps": e, "mode": "whole", **_row(s)} for (a, e), s in sums.items()]


def _sums(
    reading: Reading, labels: Tensor, attacked: Attacked | None = None
) -> dict[str, int | float]:
    """Return what adds up over shards."""
    right = reading.prediction == labels
    return {
        "n": len(labels),
        "right": int(right.sum()),
        "confidence_right": float(reading.confidence[right].sum()),
        "confidence_wrong": float(reading.confidence[~right].sum()),
        "forwards": 0 if attacked is None else int(attacked.forwards.sum()),
        "backwards": 0 if attacked is None else int(attacked.backwards.sum()),
    }


def _row(sums: Mapping[str, int | float]) -> dict[str, int | float | None]:
    right, wrong = sums["right"], sums["n"] - sums["right"]
    total = sums["confidence_right"] + sums["confidence_wrong"]
    return {
        **sums,
        "accuracy": right / sums["n"],
        "confidence": total / sums["n"],
        "confidence_right": sums["confidence_right"] / right if right else None,
        "confidence_wrong": sums["confidence_wrong"] / wrong if wrong else None,
    }


def judge_losses(model: nn.Module, dataset: Dataset, split: str) -> list[Row]:
    """Measure cross-entropy and accuracy on clean images.

    Args:
        model: in eval mode; gives logits.
        dataset: all are used.
        split: their name in the row.
    """
    engine = engine_for(model, dataset, seed=0)
    losses, right = [], []
    for shard in shards_of(np.arange(len(dataset)), SHARD):
        scores = engine.scores(to_unit(dataset.read(shard.positions))).double()
        labels = torch.from_numpy(dataset.labels[shard.positions])
        losses.append(cross_entropy(scores, labels, reduction="none"))
        right.append(scores.argmax(1) == labels)
    each = torch.cat(losses)
    row: Row = {
        "mode": "losses",
        "split": split,
        "loss": float(each.mean()),
        "loss_error": float(each.std()) / len(each) ** 0.5,
        **accuracy_of(torch.cat(right)),
    }
    return [row]
