"""Adversarial examples made on one model and shown to another: an attack without its gradients."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from epsball.errors import InvalidInput
from epsball.evaluation.engine.attacking import attack_examples
from epsball.evaluation.engine.examples import read_scores
from epsball.evaluation.records.shards import read_clean, shards_of
from epsball.evaluation.settings import make_settings
from epsball.files import write_atomically
from epsball.studies.core.store import Row
from epsball.studies.judge.whole import engine_for
from epsball.types import Dataset

_AT_ONCE = 1000  # images held in memory with their attacked versions


def make_examples(
    maker: nn.Module,
    dataset: Dataset,
    attacks: Sequence[str],
    eps: Sequence[float],
    *,
    seed: int,
    file: Path,
) -> list[Row]:
    """Attack every image on a model with the full budget, and keep what comes out.

    Args:
        maker: in eval mode.
        dataset: all are used, whatever the model says of them when clean.
        attacks: with settings where wanted.
        eps: radii in linf, input units.
        seed: of all that is random.
        file: where they go: one array (n, c, h, w), float32, for each attack and eps.

    Returns:
        A row for each attack and eps: n, and the passes that were spent.
    """
    engine = engine_for(maker, dataset, seed)
    settings = make_settings(attacks, norm="linf", eps=list(eps))
    keys = [(setting.variant, e) for setting in settings for e in setting.eps]
    made: dict[tuple[str, float], list[Tensor]] = {key: [] for key in keys}
    spent = dict.fromkeys(keys, 0)
    for shard in shards_of(np.arange(len(dataset)), _AT_ONCE):
        clean = read_clean(engine, dataset, shard.positions)
        for setting in settings:
            whole = attack_examples(engine, setting, clean)
            for e, one in zip(setting.eps, whole, strict=True):
                made[setting.variant, e].append(one.images)
                spent[setting.variant, e] += int(one.backwards.sum())
    arrays = {_name(*key): torch.cat(parts).numpy() for key, parts in made.items()}
    write_atomically(file, lambda beside: _write(beside, arrays))
    return [
        {"attack": f"made:{a}", "eps": e, "mode": "made", "n": len(dataset), "backwards": count}
        for (a, e), count in spent.items()
    ]


def judge_examples(judged: nn.Module, dataset: Dataset, file: Path) -> list[Row]:
    """Show a model the examples that were made on another one.

    Args:
        judged: in eval mode.
        dataset: those that the examples were made of, for their labels.
        file: as `make_examples` writes it.

    Returns:
        A row for each attack and eps, the attack named "transfer:NAME": n, right and accuracy.

    Raises:
        InvalidInput: the examples are not there any more.
    """
    if not file.exists():
        raise InvalidInput(
            f"study: {file} is gone: delete {file.parent.parent / 'rows' / file.stem}.parquet too, "
            "and give the command again"
        )
    engine = engine_for(judged, dataset, seed=0)
    labels = torch.from_numpy(dataset.labels)
    rows: list[Row] = []
    with np.load(file, allow_pickle=False) as kept:
        for name in kept.files:
            reading = read_scores(engine.scores(torch.from_numpy(kept[name])), labels, engine.info)
            right = int((reading.prediction == labels).sum())
            attack, _, radius = name.rpartition("@")
            rows.append(
                {
                    "attack": f"transfer:{attack}",
                    "eps": float(radius),
                    "mode": "transfer",
                    "n": len(labels),
                    "right": right,
                    "accuracy": right / len(labels),
                }
            )
    return rows


def _name(attack: str, eps: float) -> str:
    return f"{attack}@{eps!r}"


def _write(beside: Path, arrays: dict[str, NDArray[np.float32]]) -> None:
    with beside.open("wb") as stream:  # a name would have .npz appended
        np.savez(stream, allow_pickle=False, **arrays)
