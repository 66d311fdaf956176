"""Adversarial examples made on one model and shown to another: an attack without its gradients."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from epsball.evaluation.engine import Choices, Engine
from epsball.evaluation.inputs import sample_of
from epsball.evaluation.measure import read_scores
from epsball.evaluation.settings import make_settings
from epsball.evaluation.shards import read_clean, shards_of
from epsball.evaluation.subject import open_model
from epsball.studies.judging import MICRO_BATCH
from epsball.studies.store import Row
from epsball.types import Dataset

_AT_ONCE = 1000  # pictures held in memory with their attacked versions


def judge_transfer(
    maker: nn.Module,
    judged: nn.Module,
    pictures: Dataset,
    attacks: Sequence[str],
    eps: Sequence[float],
    *,
    seed: int,
) -> list[Row]:
    """Attack every picture on one model with the full budget, and ask another one.

    Args:
        maker: the model the examples are made on, in eval mode.
        judged: the model that is asked, in eval mode.
        pictures: all are used, whatever either model says of them when clean.
        attacks: with settings where wanted.
        eps: radii in linf, input units.
        seed: of all that is random.

    Returns:
        A row for each attack and eps, the attack named "transfer:NAME": n, right and accuracy of
        the model that is asked, and the passes that the maker spent.
    """
    making, asking = _engine(maker, pictures, seed), _engine(judged, pictures, seed)
    settings = make_settings(attacks, norm="linf", eps=list(eps))
    right = {(s.variant, e): 0 for s in settings for e in s.eps}
    spent = dict.fromkeys(right, 0)
    for shard in shards_of(np.arange(len(pictures)), _AT_ONCE):
        clean = read_clean(making, pictures, shard.positions)
        for setting in settings:
            made = making.attack(setting, clean.images, clean.labels, clean.positions)
            for e, one in zip(setting.eps, made, strict=True):
                reading = read_scores(asking.scores(one.images), clean.labels, asking.info)
                right[setting.variant, e] += int((reading.prediction == clean.labels).sum())
                spent[setting.variant, e] += int(one.backwards.sum())
    count = len(pictures)
    return [
        {
            "attack": f"transfer:{name}", "eps": e, "mode": "transfer", "n": count, "right": found,
            "accuracy": found / count, "backwards": spent[name, e],
        }
        for (name, e), found in right.items()
    ]  # fmt: skip


def _engine(model: nn.Module, pictures: Dataset, seed: int) -> Engine:
    subject = open_model(model, sample_of(pictures, 2)[0], "auto")
    choices = Choices(subject.device, "float32", MICRO_BATCH, torch.get_num_threads())
    return Engine(subject.model, subject.info, choices, seed)
