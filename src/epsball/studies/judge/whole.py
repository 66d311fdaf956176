"""How a study judges a network: by every image's whole attack, or by verdicts alone."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from epsball.data import to_unit
from epsball.evaluation.audit import audit
from epsball.evaluation.engine.attacking import attack_examples
from epsball.evaluation.engine.config import EngineConfig
from epsball.evaluation.engine.engine import Engine
from epsball.evaluation.engine.examples import Examples, Reading, read_scores
from epsball.evaluation.engine.measuring import resolved
from epsball.evaluation.inputs import sample_of
from epsball.evaluation.records.shards import read_clean, shards_of
from epsball.evaluation.settings import AttackSetting, make_settings
from epsball.evaluation.subject import Subject, open_model
from epsball.studies.core.store import Row
from epsball.tensors import Classifier
from epsball.types import Dataset, Precision

Searched: TypeAlias = Precision | Literal["fast"]
CLEAN = "none"  # the attack's name in rows of clean images
_AT_ONCE = 1000  # images held in memory with all their attacked versions
# fixed: a measured one would differ from machine to machine; larger ones leave the caches
MICRO_BATCH = 250


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
    sums = {(CLEAN, 0.0): _Sum()} | {(s.variant, e): _Sum() for s in settings for e in s.eps}
    for shard in shards_of(np.arange(len(dataset)), _AT_ONCE):
        clean = read_clean(engine, dataset, shard.positions)
        sums[CLEAN, 0.0].add(clean.reading, clean.labels)
        for setting in settings:
            _attack(engine, setting, clean, sums)
    return [{"attack": a, "eps": e, "mode": "whole", **s.row()} for (a, e), s in sums.items()]


def engine_for(
    model: nn.Module,
    dataset: Dataset,
    seed: int,
    micro_batch: int = MICRO_BATCH,
    precision: Searched = "float32",
) -> Engine:
    """Return an engine that gives every image the full budget.

    Args:
        model: in eval mode.
        dataset: what it will be asked about.
        seed: of all that is random.
        micro_batch: images a forward pass.
        precision: of the search: "fast" for the copy that suits the device; scores are the model's
            own in float32, whatever it is.
    """
    held = _HELD.get(model, _Held())
    subject = held.subject = held.subject or open_model(model, sample_of(dataset, 2)[0], "auto")
    searched = resolved(precision, subject.device)
    config = EngineConfig(
        device=subject.device,
        precision=searched,
        micro_batch=micro_batch,
        threads=torch.get_num_threads(),
    )
    engine = Engine(subject.model, subject.info, config, seed, held.copies.get(searched))
    if engine.surrogate is not None:
        held.copies[searched] = engine.surrogate
    return engine


@dataclass
class _Held:
    """What was found out about a model, and the copies that were made of it to search on."""

    subject: Subject | None = None
    copies: dict[Precision, Classifier] = field(default_factory=dict)


_HELD: dict[nn.Module, _Held] = {}


def hold(model: nn.Module) -> None:
    """Let `engine_for` remember what it makes of a model, until another one is held.

    A model with gigabytes of support vectors takes longer to open and to copy than many a cell
    takes to attack it.

    Args:
        model: nobody changes its weights any more.
    """
    if model not in _HELD:
        _HELD.clear()
        _HELD[model] = _Held()


def _attack(
    engine: Engine, setting: AttackSetting, clean: Examples, sums: dict[tuple[str, float], "_Sum"]
) -> None:
    attacked = attack_examples(engine, setting, clean)
    for eps, one in zip(setting.eps, attacked, strict=True):
        reading = read_scores(engine.scores(one.images), clean.labels, engine.info)
        sums[setting.variant, eps].add(reading, clean.labels, one.forwards, one.backwards)


class _Sum:
    """Counts and sums of confidence over shards."""

    def __init__(self) -> None:
        self.images = self.right = self.forwards = self.backwards = 0
        self.sure = {True: 0.0, False: 0.0}

    def add(
        self,
        reading: Reading,
        labels: Tensor,
        forwards: Tensor | None = None,
        backwards: Tensor | None = None,
    ) -> None:
        right = reading.prediction == labels
        self.images += len(labels)
        self.right += int(right.sum())
        for kind in (True, False):
            self.sure[kind] += float(reading.confidence[right == kind].sum())
        self.forwards += 0 if forwards is None else int(forwards.sum())
        self.backwards += 0 if backwards is None else int(backwards.sum())

    def row(self) -> dict[str, float | int | None]:
        wrong = self.images - self.right
        return {
            "n": self.images,
            "right": self.right,
            "accuracy": self.right / self.images,
            "confidence": (self.sure[True] + self.sure[False]) / self.images,
            "confidence_right": self.sure[True] / self.right if self.right else None,
            "confidence_wrong": self.sure[False] / wrong if wrong else None,
            "forwards": self.forwards,
            "backwards": self.backwards,
        }


def judge_losses(model: nn.Module, dataset: Dataset, split: str) -> list[Row]:
    """Measure cross-entropy and accuracy on clean images.

    Args:
        model: in eval mode; gives logits.
        dataset: all are used.
        split: their name in the row.
    """
    engine = engine_for(model, dataset, seed=0)
    losses, right = [], 0
    for shard in shards_of(np.arange(len(dataset)), _AT_ONCE):
        scores = engine.scores(to_unit(dataset.read(shard.positions))).double()
        labels = torch.from_numpy(dataset.labels[shard.positions])
        losses.append(cross_entropy(scores, labels, reduction="none"))
        right += int((scores.argmax(1) == labels).sum())
    each, count = torch.cat(losses), len(dataset)
    row: Row = {
        "mode": "losses",
        "split": split,
        "n": count,
        "loss": float(each.mean()),
        "loss_error": float(each.std()) / count**0.5,
        "right": right,
        "accuracy": right / count,
    }
    return [row]


def judge_verdicts(
    model: nn.Module,
    dataset: Dataset,
    attack: str,
    eps: Sequence[float],
    *,
    restarts: int,
    seed: int,
    run: Path,
    norm: str = "linf",
    precision: str = "float32",
) -> list[Row]:
    """Ask for verdicts alone, with every check of an audit; killed, it goes on where it was.

    Args:
        model: in eval mode.
        dataset: all are used.
        attack: with settings where wanted.
        eps: radii in norm, input units.
        restarts: of an attack that is random.
        seed: of all that is random.
        run: directory of the audit.
        norm: of the ball.
        precision: of the search; "fast" where the network convolves. Verdicts are float32.

    Returns:
        One row an eps: n, right, accuracy, passes spent, the attack's seconds (the checks' not
        among them), and the codes of findings that are more than notes, apart by spaces. With a
        blocking finding right and accuracy are None.
    """
    found = audit(
        model,
        dataset,
        attacks=[attack],
        norm=norm,
        eps=list(eps),
        restarts=restarts,
        seed=seed,
        precision=precision,
        micro_batch=MICRO_BATCH,
        out=run,
    )
    doubts = sorted({f.code for f in found.findings if f.severity != "info"})
    return [
        {
            "attack": attack,
            "eps": result["eps"],
            "mode": "verdicts",
            "steps": result["steps"],
            "restarts": restarts,
            "n": result["n"],
            "accuracy": result["robust_accuracy"],
            "right": _count(result["robust_accuracy"], result["n"]),
            "forwards": result["forwards"],
            "backwards": result["backwards"],
            "attack_seconds": result["seconds"],
            "findings": " ".join(doubts),
        }
        for result in found.summary["results"]
    ]


def judge_unchecked(
    model: nn.Module,
    dataset: Dataset,
    attack: str,
    eps: Sequence[float],
    *,
    restarts: int,
    seed: int,
    norm: str = "linf",
) -> list[Row]:
    """Ask for verdicts without an audit's checks, which ask again in float32, and at length.

    Args:
        model: in eval mode; searched on a cheaper copy, every success confirmed in float32.
        dataset: all are used, at once.
        attack: with settings where wanted.
        eps: radii in norm, input units.
        restarts: of an attack that is random.
        seed: of all that is random.
        norm: of the ball.

    Returns:
        As `judge_verdicts`, without findings.
    """
    whole = engine_for(model, dataset, seed, precision="fast")
    engine = whole.changed(full_budget=False)
    setting = make_settings([attack], norm=norm, eps=list(eps), restarts=restarts)[0]
    clean = read_clean(engine, dataset, np.arange(len(dataset)))
    started = time.perf_counter()
    results = attack_examples(engine, setting, clean)
    seconds = (time.perf_counter() - started) / len(setting.eps)
    rows: list[Row] = []
    for one, attacked in zip(setting.eps, results, strict=True):
        safe = read_scores(engine.scores(attacked.images), clean.labels, engine.info).safe
        rows.append(
            {
                "attack": attack,
                "eps": one,
                "mode": "verdicts",
                "restarts": restarts,
                "steps": setting.knobs.get("steps"),
                "n": len(safe),
                "right": int(safe.sum()),
                "accuracy": float(safe.double().mean()),
                "forwards": int(attacked.forwards.sum()),
                "backwards": int(attacked.backwards.sum()),
                "attack_seconds": seconds,
            }
        )
    return rows


def _count(share: float | None, images: int) -> int | None:
    return None if share is None else round(share * images)
