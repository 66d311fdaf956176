"""How a study judges models that may reject: the full budget, and what gives an attack away.

A rejected attacked image counts as right, a rejected clean one does not.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from epsball.defences.false_rejection import threshold_for
from epsball.evaluation.engine.engine import Engine
from epsball.evaluation.engine.examples import Examples, Reading
from epsball.evaluation.metrics.acceptance import (
    auroc,
    auroc_interval,
    rates_at,
    risk_curve,
)
from epsball.evaluation.metrics.rejection import FALSE_REJECTIONS
from epsball.evaluation.records.shards import read_clean
from epsball.evaluation.settings import make_settings
from epsball.files import write_npz
from epsball.studies.core.store import Row
from epsball.studies.core.workspace import read_examples_of
from epsball.studies.judge.attacking import Outcome, accuracy_of, attack_shards, read_images
from epsball.studies.judge.engine import SearchPrecision, engine_for
from epsball.studies.judge.whole import CLEAN
from epsball.types import Dataset

_COVERAGES = np.linspace(0.05, 1, 20)


def judge_attacked(
    model: nn.Module,
    dataset: Dataset,
    attack: str,
    eps: float,
    *,
    name: str,
    seed: int,
    precision: SearchPrecision = "float32",
    file: Path | None = None,
) -> list[Row]:
    """Attack every image in L2 with the full budget, those already wrong or rejected included.

    Args:
        model: in eval mode.
        dataset: all are used, at once.
        attack: with settings where wanted.
        eps: radius, input units; 0: the clean images.
        name: of the attack in the rows.
        seed: of all that is random.
        precision: of the search; its results are judged in float32.
        file: where "images" (n, c, h, w), float32, are stored; None: nowhere.

    Returns:
        One row: n, accuracy (right; when attacked: or rejected), rejected, named (the likeliest
        class is the label, rejected or not), passes spent, mean perturbation. For a model that
        rejects also auroc, and at thresholds that reject 1, 5 and 10 % of the clean images:
        safe_at_5 ...; then rows of mode "coverage": the accuracy of the most trusted images.
    """
    engine = engine_for(model, dataset, seed, precision=precision)
    if eps == 0:
        clean = read_clean(engine, dataset, np.arange(len(dataset)))
        right = clean.reading.prediction == clean.labels
        rates = _rates(clean.reading, clean.labels, right)
        return [
            {"attack": CLEAN, "eps": 0.0, **rates},
            *_coverage(clean.reading, clean.labels, 0.0),
        ]
    one = _attack(engine, dataset, attack, eps)
    images, labels = one.attacked.images, one.clean.labels
    if file is not None:
        write_npz(file, {"images": images.numpy()})
    row: Row = {
        "attack": name,
        "eps": eps,
        "forwards": int(one.attacked.forwards.sum()),
        "backwards": int(one.attacked.backwards.sum()),
        "moved": float((images - one.clean.images).flatten(1).norm(dim=1).mean()),
        **_rates(one.reading, labels, one.reading.safe),
        **_detection(one.clean, one.reading),
    }
    return [row, *_coverage(one.reading, labels, eps)]


def judge_stored(
    model: nn.Module, dataset: Dataset, file: Path, eps: float, *, name: str
) -> list[Row]:
    """Judge a model on images that were attacked on another one.

    Args:
        model: in eval mode.
        dataset: the clean images.
        file: as `judge_attacked` writes it.
        eps: of the attack.
        name: of the attack in the rows.

    Returns:
        One row, as `judge_attacked` has it.

    Raises:
        InvalidInput: the file is missing.
    """
    images = torch.from_numpy(read_examples_of(file)["images"])
    engine = engine_for(model, dataset, seed=0)
    clean = read_clean(engine, dataset, np.arange(len(dataset)))
    reading = read_images(engine, images, clean.labels)
    rates = _rates(reading, clean.labels, reading.safe)
    return [{"attack": name, "eps": eps, **rates, **_detection(clean, reading)}]


def store_successes(
    model: nn.Module,
    dataset: Dataset,
    attack: str,
    eps: float,
    *,
    seed: int,
    file: Path,
    precision: SearchPrecision = "float32",
) -> list[Row]:
    """Attack images in L2 and store those that then pass as another class, and did not before.

    Args:
        model: in eval mode.
        dataset: all are attacked.
        attack: with settings where wanted.
        eps: radius, input units.
        seed: of all that is random.
        file: where "images" (m, c, h, w), float32, and "labels" (m,) go.
        precision: of the search.

    Returns:
        One row: n attacked, kept, passes spent.
    """
    engine = engine_for(model, dataset, seed, precision=precision)
    one = _attack(engine, dataset, attack, eps)
    success = one.clean.not_yet_adversarial & ~one.reading.safe
    images, labels = one.attacked.images[success].numpy(), one.clean.labels[success].numpy()
    write_npz(file, {"images": images, "labels": labels})
    passes = int(one.attacked.backwards.sum())
    return [{"mode": "harvest", "n": len(dataset), "kept": len(labels), "backwards": passes}]


def _attack(engine: Engine, dataset: Dataset, attack: str, eps: float) -> Outcome:
    """Attack all images at once."""
    settings = make_settings([attack], norm="l2", eps=[eps])
    ((_, outcomes),) = attack_shards(engine, dataset, settings, len(dataset))
    (one,) = outcomes
    return one


def _rates(reading: Reading, labels: Tensor, right: Tensor) -> Row:
    return {
        "mode": "whole",
        **accuracy_of(right),
        "rejected": float(reading.rejected.double().mean()),
        "named": float(_named(reading, labels).mean()),
    }


def _detection(clean: Examples, reading: Reading) -> dict[str, float]:
    """Measure how well acceptance separates attacked images from the clean ones."""
    if clean.reading.acceptance is None or reading.acceptance is None:
        return {}
    right = _named(clean.reading, clean.labels)
    if not right.any():
        return {}
    before, after = clean.reading.acceptance.numpy(), reading.acceptance.numpy()
    area = auroc(before[right], after[right])
    low, high = auroc_interval(area, int(right.sum()), int(right.sum()))
    rates = {"auroc": area, "auroc_low": low, "auroc_high": high}
    for share in FALSE_REJECTIONS:
        threshold = threshold_for(before[right], share)
        after_rates = rates_at(threshold, after, _named(reading, clean.labels))
        rates[f"safe_at_{share:.0%}"] = after_rates["safe"]
        rates[f"clean_at_{share:.0%}"] = rates_at(threshold, before, right)["accuracy"]
    return rates


def _coverage(reading: Reading, labels: Tensor, eps: float) -> list[Row]:
    """Return the accuracy among the accepted images as more of them are accepted."""
    if reading.acceptance is None:
        return []
    curve = risk_curve(reading.acceptance.numpy(), _named(reading, labels))
    at = np.searchsorted(curve.coverage, _COVERAGES - 1e-12).clip(max=len(curve.coverage) - 1)
    return [
        {
            "mode": "coverage",
            "at_eps": eps,
            "coverage": float(curve.coverage[i]),
            "accepted_accuracy": 1 - float(curve.risk[i]),
            "area": curve.area,
        }
        for i in at
    ]


def _named(reading: Reading, labels: Tensor) -> NDArray[np.bool_]:
    """Say whose likeliest class is the label, rejected or not."""
    named: NDArray[np.bool_] = (reading.top5[:, 0] == labels).numpy()
    return named
