"""How a study judges models that may reject: every image's whole attack, and what gives it away.

A rejected attacked image counts as right, a rejected clean one does not.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from epsball.defences.false_rejection import threshold_for
from epsball.errors import InvalidInput
from epsball.evaluation.engine.attacking import Attacked, attack_examples
from epsball.evaluation.engine.engine import Engine
from epsball.evaluation.engine.examples import Examples, Reading, read_scores
from epsball.evaluation.metrics.acceptance import (
    auroc,
    auroc_interval,
    rates_at,
    risk_curve,
)
from epsball.evaluation.metrics.rejection import FALSE_REJECTIONS
from epsball.evaluation.records.shards import read_clean
from epsball.evaluation.settings import make_settings
from epsball.files import write_atomically
from epsball.studies.core.store import Row
from epsball.studies.judge.whole import CLEAN, Searched, engine_for
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
    precision: Searched = "float32",
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
        precision: of the search; what it finds is judged in float32.
        file: where "images" (n, c, h, w), float32, are kept; None: nowhere.

    Returns:
        One row: n, accuracy (right; when attacked: or rejected), rejected, named (the likeliest
        class is the label, rejected or not), passes spent, mean perturbation. For a model that
        rejects also auroc, and at thresholds that reject 1, 5 and 10 % of the clean images:
        safe_at_5 ...; then rows of mode "coverage": the accuracy of the most trusted images.
    """
    engine = engine_for(model, dataset, seed, precision=precision)
    clean = read_clean(engine, dataset, np.arange(len(dataset)))
    if eps == 0:
        rows = _row(clean.reading, clean.labels, {"attack": CLEAN, "eps": 0.0}, clean=True)
        return [rows, *_coverage(clean.reading, clean.labels, 0.0)]
    made, reading = _attack(engine, clean, attack, eps)
    if file is not None:
        write_atomically(file, lambda beside: _write(beside, made.images))
    moved = (made.images - clean.images).flatten(1).norm(dim=1)
    where: Row = {
        "attack": name,
        "eps": eps,
        "forwards": int(made.forwards.sum()),
        "backwards": int(made.backwards.sum()),
        "moved": float(moved.mean()),
    }
    row = _row(reading, clean.labels, where, clean=False)
    return [dict(row) | _apart(clean, reading), *_coverage(reading, clean.labels, eps)]


def judge_shown(
    model: nn.Module, dataset: Dataset, file: Path, eps: float, *, name: str
) -> list[Row]:
    """Show a model the images that were made on another one.

    Args:
        model: in eval mode.
        dataset: those they were made of, for their labels.
        file: as `judge_attacked` keeps it.
        eps: what they were made with.
        name: of the attack in the rows.

    Returns:
        One row, as `judge_attacked` has it.

    Raises:
        InvalidInput: the file is gone.
    """
    if not file.exists():
        raise InvalidInput(
            f"study: {file} is gone: delete {file.parent.parent / 'rows' / file.stem}.parquet too, "
            "and give the command again"
        )
    engine = engine_for(model, dataset, seed=0)
    clean = read_clean(engine, dataset, np.arange(len(dataset)))
    with np.load(file, allow_pickle=False) as kept:
        images = torch.from_numpy(kept["images"])
    reading = read_scores(engine.scores(images), clean.labels, engine.info)
    row = _row(reading, clean.labels, {"attack": name, "eps": eps}, clean=False)
    return [dict(row) | _apart(clean, reading)]


def fooled_images(
    model: nn.Module,
    dataset: Dataset,
    attack: str,
    eps: float,
    *,
    seed: int,
    file: Path,
    precision: Searched = "float32",
) -> list[Row]:
    """Attack images in L2 and keep those that then pass as another class, and did not before.

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
    clean = read_clean(engine, dataset, np.arange(len(dataset)))
    made, reading = _attack(engine, clean, attack, eps)
    fooled = clean.not_yet_adversarial & ~reading.safe
    kept, labels = made.images[fooled], clean.labels[fooled]
    write_atomically(file, lambda beside: _write(beside, kept, labels))
    return [
        {
            "mode": "harvest",
            "n": len(dataset),
            "kept": len(labels),
            "backwards": int(made.backwards.sum()),
        }
    ]


def _attack(engine: Engine, clean: Examples, attack: str, eps: float) -> tuple[Attacked, Reading]:
    """Attack all clean images, and read what the model says of what came out."""
    setting = make_settings([attack], norm="l2", eps=[eps])[0]
    made = attack_examples(engine, setting, clean)[0]
    return made, read_scores(engine.scores(made.images), clean.labels, engine.info)


def _row(reading: Reading, labels: Tensor, where: Row, *, clean: bool) -> Row:
    right = reading.prediction == labels if clean else reading.safe
    rejected, named = reading.rejected, reading.top5[:, 0] == labels
    return dict(where) | {
        "mode": "whole",
        "n": len(labels),
        "right": int(right.sum()),
        "accuracy": float(right.double().mean()),
        "rejected": float(rejected.double().mean()),
        "named": float(named.double().mean()),
    }


def _apart(clean: Examples, reading: Reading) -> dict[str, float]:
    """Say how well acceptance tells attacked images from the clean ones they were made of."""
    if clean.reading.acceptance is None or reading.acceptance is None:
        return {}
    fine = _named(clean.reading, clean.labels)
    before, after = clean.reading.acceptance.numpy(), reading.acceptance.numpy()
    if not fine.any():
        return {}
    area = auroc(before[fine], after[fine])
    low, high = auroc_interval(area, int(fine.sum()), int(fine.sum()))
    told = {"auroc": area, "auroc_low": low, "auroc_high": high}
    for share in FALSE_REJECTIONS:
        cut = threshold_for(before[fine], share)
        rates = rates_at(cut, after, _named(reading, clean.labels))
        told[f"safe_at_{share:.0%}"] = rates["safe"]
        told[f"clean_at_{share:.0%}"] = rates_at(cut, before, fine)["accuracy"]
    return told


def _coverage(reading: Reading, labels: Tensor, eps: float) -> list[Row]:
    """Follow accuracy among the accepted as ever more images are accepted."""
    if reading.acceptance is None:
        return []
    curve = risk_curve(reading.acceptance.numpy(), _named(reading, labels))
    at = np.searchsorted(curve.coverage, _COVERAGES - 1e-12).clip(max=len(curve.coverage) - 1)
    told: list[Row] = []
    for i in at:
        share, error = float(curve.coverage[i]), float(curve.risk[i])
        where: Row = {"mode": "coverage", "at_eps": eps, "coverage": share}
        told.append(dict(where) | {"accepted_accuracy": 1 - error, "area": curve.area})
    return told


def _named(reading: Reading, labels: Tensor) -> NDArray[np.bool_]:
    named: NDArray[np.bool_] = (reading.top5[:, 0] == labels).numpy()
    return named


def _write(beside: Path, images: Tensor, labels: Tensor | None = None) -> None:
    arrays = {"images": images.numpy()}
    arrays |= {} if labels is None else {"labels": labels.numpy()}
    with beside.open("wb") as stream:  # a name would have .npz appended
        np.savez_compressed(stream, allow_pickle=False, **arrays)
