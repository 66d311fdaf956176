"""Sums fake records up the way an audit does."""

import math
from itertools import combinations
from typing import Any

import polars as pl

from epsball.evaluation.metrics.rejection import rejections

KEY = ["variant", "norm", "eps"]
SURVIVES = ["survives_8bit", "survives_png", "survives_jpeg90", "survives_jpeg75"]


def wilson(right: float, n: int) -> list[float]:
    z = 1.959964
    share, squared = right / n, z * z
    middle = (share + squared / (2 * n)) / (1 + squared / n)
    half = z / (1 + squared / n) * math.sqrt(share * (1 - share) / n + squared / (4 * n * n))
    return [max(0.0, middle - half), min(1.0, middle + half)]


def mean(values: pl.Series) -> float:
    return float(values.cast(pl.Float64).to_numpy().mean())


def summarise(
    records: pl.DataFrame, classes: int, findings: list[dict[str, Any]]
) -> dict[str, Any]:
    records = records.with_columns(
        right=pl.col("clean_prediction") == pl.col("label"),
        kept=pl.col("safe") & (pl.col("clean_prediction") == pl.col("label")),
    )
    blocked = any(finding["severity"] == "blocking" for finding in findings)
    settings = [
        (dict(zip(KEY, key, strict=True)), rows)
        for key, rows in records.group_by(KEY, maintain_order=True)
    ]
    results = [setting | _result(rows, classes) for setting, rows in settings]
    worst = _worst(records)
    last = worst[len(worst) // 2]
    cost = {name: int(records[name].sum()) for name in ("forwards", "backwards")}
    summary: dict[str, Any] = {
        "schema": 1,
        "headline": None if blocked else _headline(last),
        "complete": True,
        "clean": _clean(settings[0][1], classes),
        "results": results,
        "worst_case": worst,
        "per_class": [s | c for s, rows in settings for c in _classes(rows)],
        "confusion": {
            "clean": _cells(settings[0][1], "clean_prediction"),
            "attacked": [s | {"cells": _cells(rows, "prediction")} for s, rows in settings],
        },
        "rejection": rejections(records),
        "comparisons": _comparisons(records),
        "findings": findings,
        "cost": cost | {"seconds": 12.5},
    }
    return _without_rates(summary) if blocked else summary


def _headline(worst: dict[str, Any]) -> str:
    low, high = worst["robust_accuracy_ci"]
    return (
        f"Right on at most {100 * worst['robust_accuracy']:.1f} % (95 % interval of the sample: "
        f"{100 * low:.1f} to {100 * high:.1f}) against {', '.join(worst['parts'])} within "
        f"{worst['eps']:g} in {worst['norm']}; a stronger attack can only lower it"
    )


def _clean(rows: pl.DataFrame, classes: int) -> dict[str, Any]:
    right, confidence = rows["right"], rows["clean_confidence"]
    return {
        "n": len(rows),
        "accuracy": right.mean(),
        "accuracy_ci": wilson(mean(right) * len(rows), len(rows)),
        "confidence": confidence.mean(),
        "confidence_correct": confidence.filter(right).mean(),
        "confidence_wrong": confidence.filter(~right).mean(),
        "top5_accuracy": 0.8 if classes > 5 else None,
        **_rejected(rows, "clean_"),
    }


def _result(rows: pl.DataFrame, classes: int) -> dict[str, Any]:
    first, n, fooled = rows.row(0, named=True), len(rows), rows.filter(~pl.col("safe"))
    names = ["attack", "steps", "restarts", "objective", "direction", "reference"]
    kept, confidence = mean(rows["kept"]), mean(rows["confidence"])
    return {name: first[name] for name in names} | {
        "n": n,
        "clean_accuracy": rows["right"].mean(),
        "robust_accuracy": kept,
        "robust_accuracy_ci": wilson(kept * n, n),
        "confidence": confidence,
        "confidence_ci": [confidence - 0.02, min(1.0, confidence + 0.02)],
        "confidence_correct": rows.filter("kept")["confidence"].mean(),
        "confidence_wrong": rows.filter(~pl.col("kept"))["confidence"].mean(),
        "top1_error": 1 - kept,
        "top1_error_all": 1 - kept,
        "top5_error": (1 - kept) / 3 if classes > 5 else None,
        "top5_error_all": (1 - kept) / 3 if classes > 5 else None,
        **_rejected(rows, ""),
        **{name: fooled[name].mean() for name in SURVIVES},
        "sizes": {name: rows[name].median() for name in ("l0", "l1", "l2", "linf")},
        **{name: int(rows[name].sum()) for name in ("forwards", "backwards", "queries")},
        "seconds": round(0.001 * int(rows["forwards"].sum()) + 0.2, 3),
        "parts": None,
    }


def _rejected(rows: pl.DataFrame, prefix: str) -> dict[str, Any]:
    refused = int(rows[f"{prefix}rejected"].sum())
    right = int((rows[f"{prefix}prediction"] == rows["label"]).sum())
    return {
        "rejected": refused / len(rows),
        "rejected_ci": wilson(refused, len(rows)),
        "accepted_accuracy": right / (len(rows) - refused),
        "accepted_accuracy_ci": wilson(right, len(rows) - refused),
    }


def _worst(records: pl.DataFrame) -> list[dict[str, Any]]:
    each = records.group_by("norm", "eps", "index", maintain_order=True).agg(pl.col("kept").all())
    parts = records["variant"].unique(maintain_order=True).to_list()
    return [
        {
            "norm": norm,
            "eps": eps,
            "n": len(rows),
            "robust_accuracy": rows["kept"].mean(),
            "robust_accuracy_ci": wilson(mean(rows["kept"]) * len(rows), len(rows)),
            "parts": parts,
        }
        for (norm, eps), rows in each.group_by("norm", "eps", maintain_order=True)
    ]


def _classes(rows: pl.DataFrame) -> list[dict[str, Any]]:
    results = []
    for (label,), group in rows.sort("label").group_by("label", maintain_order=True):
        n, right, kept = len(group), int(group["right"].sum()), int(group["kept"].sum())
        results.append(
            {
                "class": label,
                "n": n,
                "clean_accuracy": right / n,
                "clean_accuracy_ci": wilson(right, n),
                "robust_accuracy": kept / n,
                "robust_accuracy_ci": wilson(kept, n),
                "relative_difference": (right - kept) / right if right else None,
            }
        )
    return results


def _cells(rows: pl.DataFrame, field: str) -> list[list[int]]:
    counted = rows.group_by("label", field).len().sort("label", field)
    return [list(row) for row in counted.iter_rows()]


def _comparisons(records: pl.DataFrame) -> list[dict[str, Any]]:
    results = []
    for (norm, eps), rows in records.group_by("norm", "eps", maintain_order=True):
        wide = rows.pivot("variant", index="index", values="safe")
        for a, b in combinations([name for name in wide.columns if name != "index"], 2):
            only_a = int((~wide[a] & wide[b]).sum())
            only_b = int((wide[a] & ~wide[b]).sum())
            p = mcnemar(only_a, only_b)
            results.append(
                {"a": a, "b": b, "norm": norm, "eps": eps, "only_a": only_a, "only_b": only_b}
                | {"p_value": p, "p_holm": min(1.0, 3 * p)}
            )
    return results


def mcnemar(a: int, b: int) -> float:
    n = a + b
    tail: float = sum(math.comb(n, i) for i in range(min(a, b) + 1)) / 2**n
    return min(1.0, 2 * tail)


def _without_rates(summary: dict[str, Any]) -> dict[str, Any]:
    rate = ("accuracy", "confidence", "error", "survives", "difference", "rejected")

    def strip(entry: dict[str, Any]) -> dict[str, Any]:
        return {k: None if any(word in k for word in rate) else v for k, v in entry.items()}

    summary["results"] = [strip(entry) | {"sizes": None} for entry in summary["results"]]
    summary["clean"], summary["worst_case"], summary["per_class"] = None, [], []
    summary["comparisons"] = summary["rejection"] = []
    summary["confusion"] = {"clean": [], "attacked": []}
    return summary
