"""Builds finished runs without torch: a linear model, attacked towards another template."""

import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray
from tests.report.fake_summary import summarise

from epsball.evaluation.records.schema import SCHEMA

Floats: TypeAlias = NDArray[Any]
Ints: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True)
class Plan:
    """What a fake run is made of; images (n, c, h, w) in [0, 1], templates (k, c, h, w)."""

    model: str
    data: str
    images: Floats
    labels: Ints
    templates: Floats
    names: tuple[str, ...]
    variants: tuple[str, ...] = ("noise", "fgsm", "pgd")
    norms: tuple[str, ...] = ("linf",)
    eps: tuple[float, ...] = (0.05, 0.1, 0.2)
    rejects: bool = False
    findings: tuple[dict[str, Any], ...] = ()
    shown: int = 12

    @cached_property
    def linear(self) -> tuple[Floats, Floats]:
        """Weights and bias that name the nearest template."""
        flat = self.templates.reshape(len(self.templates), -1)
        weights = flat - flat.mean(0)
        power = (weights * weights).sum(1)
        scale = np.float32(30 / power.mean())
        return scale * weights.T, scale * (-0.5 * power - weights @ flat.mean(0))


def build(plan: Plan, path: Path) -> Path:
    """Write manifest, records, images and summary; the same plan gives the same bytes."""
    for name in ("records", "images"):
        (path / name).mkdir(parents=True, exist_ok=True)
    frames = []
    for variant in plan.variants:
        for norm in plan.norms:
            budgets = [eps * 10 if norm == "l2" else eps for eps in plan.eps]
            images = [_attack(plan, variant, norm, eps) for eps in budgets]
            rows = [
                _records(plan, variant, norm, eps, result)
                for eps, result in zip(budgets, images, strict=True)
            ]
            frame = pl.concat(rows)
            stem = f"00000-{re.sub('[^a-z0-9]', '_', variant)}-{norm}"
            frame.write_parquet(path / "records" / f"{stem}.parquet")
            np.savez(
                path / "images" / f"{stem}.npz",
                positions=np.arange(plan.shown),
                labels=plan.labels[: plan.shown],
                clean=plan.images[: plan.shown],
                variant=np.array(variant),
                norm=np.array(norm),
                eps=np.array(budgets),
                adversarial=np.stack([result[: plan.shown] for result in images]),
            )
            frames.append(frame)
    records = pl.concat(frames)
    summary = summarise(records, len(plan.names), list(plan.findings))
    (path / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    (path / "manifest.json").write_text(json.dumps(_manifest(plan)), encoding="utf-8")
    return path


def _scores(plan: Plan, images: Floats) -> Floats:
    weights, bias = plan.linear
    scores = images.reshape(len(images), -1) @ weights + bias
    if plan.rejects:
        ordered = np.sort(scores, 1)
        scores = np.concatenate([scores, ordered[:, -2:-1] + 3], 1)
    return np.asarray(scores, np.float32)


def _attack(plan: Plan, variant: str, norm: str, eps: float) -> Floats:
    x, y = plan.images, plan.labels
    if variant == "noise":
        signs = np.random.default_rng(7).choice([-1.0, 1.0], x.shape)
        return _moved(x, signs, norm, eps)
    if variant == "fgsm":
        return _moved(x, plan.templates.mean(0) - plan.templates[y], norm, eps)
    k, tries = len(plan.templates), 3
    order = np.argsort(-_scores(plan, x)[:, :k], 1)
    best, best_margin = x, np.full(len(x), np.inf)
    others = np.stack([row[row != label][:tries] for row, label in zip(order, y, strict=True)])
    for rank in range(tries):
        result = _moved(x, plan.templates[others[:, rank]] - plan.templates[y], norm, eps)
        margin = _margin(_scores(plan, result)[:, :k], y)
        better = margin < best_margin
        best = np.where(better[:, None, None, None], result, best)
        best_margin = np.where(better, margin, best_margin)
    return best.astype(np.float32)


def _moved(x: Floats, direction: Floats, norm: str, eps: float) -> Floats:
    if norm == "linf":
        step = np.sign(direction)
    else:
        step = direction / np.sqrt((direction**2).sum((1, 2, 3), keepdims=True))
    return np.asarray(np.clip(x + eps * step, 0, 1), np.float32)


def _margin(scores: Floats, y: Ints) -> Floats:
    own = np.take_along_axis(scores, y[:, None], 1)[:, 0]
    rest = scores.copy()
    np.put_along_axis(rest, y[:, None], -np.inf, 1)
    return np.asarray(own - rest.max(1), np.float32)


def _softmax(scores: Floats) -> Floats:
    grown = np.exp(scores - scores.max(1, keepdims=True))
    return np.asarray(grown / grown.sum(1, keepdims=True))


def _records(plan: Plan, variant: str, norm: str, eps: float, made: Floats) -> pl.DataFrame:
    x, y, n, k = plan.images, plan.labels, len(plan.labels), len(plan.templates)
    before, after = _scores(plan, x), _scores(plan, made)
    clean, said = before.argmax(1), after.argmax(1)
    delta = (made - x).reshape(n, -1)
    safe = (said == y) | (said == k)
    draw = np.random.default_rng(3).random((4, n))
    keeps = [
        None if ok else bool(d < s)
        for s, row in zip((0.99, 0.97, 0.8, 0.6), draw, strict=True)
        for ok, d in zip(safe, row, strict=True)
    ]
    steps = {"pgd": 40}.get(variant, 1 if variant == "fgsm" else 0)
    columns: dict[str, Any] = {
        "index": np.arange(n),
        "label": y,
        "variant": [variant] * n,
        "attack": [variant] * n,
        "norm": [norm] * n,
        "eps": [eps] * n,
        "steps": [steps] * n,
        "restarts": [1] * n,
        "objective": ["cross_entropy"] * n,
        "direction": ["ascent"] * n,
        "reference": ["true"] * n,
        "target": [None] * n,
        "clean_prediction": clean,
        "prediction": said,
        "clean_confidence": _softmax(before).max(1),
        "confidence": _softmax(after).max(1),
        "clean_top5": np.argsort(-before[:, :k], 1)[:, :5].tolist(),
        "top5": np.argsort(-after[:, :k], 1)[:, :5].tolist(),
        "clean_margin": _margin(before[:, :k], y),
        "margin": _margin(after[:, :k], y),
        "l0": (np.abs(delta) > 1e-8).sum(1),
        "l1": np.abs(delta).sum(1),
        "l2": np.sqrt((delta**2).sum(1)),
        "linf": np.abs(delta).max(1),
        "distance": [None] * n,
        "excess": [-1e-3] * n,
        "lowest": made.reshape(n, -1).min(1),
        "highest": made.reshape(n, -1).max(1),
        "forwards": np.where(safe, steps + 1, steps // 4 + 1),
        "backwards": np.where(safe, steps, steps // 4),
        "queries": [0] * n,
        "clean_rejected": clean == k,
        "rejected": said == k,
        "clean_acceptance": _acceptance(before, k),
        "acceptance": _acceptance(after, k),
        "safe": safe,
        "clean_through": [None] * n,
        "survives_through": [None] * n,
    }
    for i, name in enumerate(("8bit", "png", "jpeg90", "jpeg75")):
        columns[f"survives_{name}"] = keeps[i * n : (i + 1) * n]
    return pl.DataFrame(columns).cast(SCHEMA).select(list(SCHEMA))


def _acceptance(scores: Any, k: int) -> list[float | None]:
    rejects = scores.shape[1] > k
    return (scores[:, :k].max(1) - scores[:, k]).tolist() if rejects else [None] * len(scores)


def _manifest(plan: Plan) -> dict[str, Any]:
    c, h, w = plan.images.shape[1:]
    return {
        "command": f"epsball audit zoo:{plan.model} --data {plan.data} --eps 0.1 --out runs/x",
        "created": "2026-01-02T03:04:05+00:00",
        "seed": 0,
        "budget": None,
        "versions": {"python": "3.11.7", "epsball": "0.1.0", "torch": "2.13.0", "numpy": "2.4.6"},
        "hardware": {"machine": "x86_64", "processor": "a fast one", "cores": 2},
        "model": {
            "spec": f"zoo:{plan.model}",
            "name": plan.model,
            "sha256": "ab" * 32,
            "parameters": 1_525_738,
            "classes": len(plan.names),
            "gives": "logits",
            "rejects": plan.rejects,
        },
        "data": {
            "spec": plan.data,
            "n": len(plan.labels),
            "total": 4 * len(plan.labels),
            "shape": [c, h, w],
            "sample": "stratified",
            "sha256": "cd" * 32,
            "class_names": list(plan.names),
        },
        "attacks": [
            {
                "attack": v,
                "variant": v,
                "norm": norm,
                "eps": list(plan.eps),
                "knobs": {"steps": 9},
                "restarts": 1,
            }
            for v in plan.variants
            for norm in plan.norms
        ],
        "engine": {
            "device": "cpu",
            "precision": "float32",
            "micro_batch": 128,
            "threads": 2,
            "shard": 1024,
        },
    }
