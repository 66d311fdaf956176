"""Rates by class, confusions, and attacks compared on the same images. Imports no torch."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import polars as pl

from epsball.evaluation.metrics.grouping import RIGHT_WHEN_CLEAN, by_setting, groups, in_balls, rate
from epsball.evaluation.metrics.statistics import holm, mcnemar


def per_class(records: pl.DataFrame, class_names: Sequence[str]) -> list[dict[str, Any]]:
    """Give accuracy before and after, and the relative difference, for every class."""
    rows = []
    for name, part in by_setting(records):
        for (label,), images in groups(part.sort("label", maintain_order=True), ("label",)):
            clean, clean_interval = rate(images.select(right=RIGHT_WHEN_CLEAN)["right"])
            robust, interval = rate(images["safe"])
            rows.append(
                {
                    **name,
                    "class": label,
                    "name": class_names[label],
                    "n": len(images),
                    "clean_accuracy": clean,
                    "clean_accuracy_ci": clean_interval,
                    "robust_accuracy": robust,
                    "robust_accuracy_ci": interval,
                    "relative_difference": (clean - robust) / clean if clean else None,
                }
            )
    return rows


def confusion(records: pl.DataFrame) -> dict[str, Any]:
    """Count (label, prediction) pairs, clean and under every attack; cells of zero left out."""
    images = records.unique("index", keep="first", maintain_order=True)
    return {
        "clean": _cells(images, "clean_prediction"),
        "attacked": [
            {**name, "cells": _cells(part, "prediction")} for name, part in by_setting(records)
        ],
    }


def comparisons(records: pl.DataFrame) -> list[dict[str, Any]]:
    """Test every two attacks of a norm and eps against each other on the same images."""
    rows: list[dict[str, Any]] = []
    for (norm, eps), part in groups(in_balls(records), ("norm", "eps")):
        safe = part.pivot("variant", index="index", values="safe")
        names = part["variant"].unique(maintain_order=True).to_list()
        for a, b in combinations(names, 2):
            both = safe.select(pl.col(a).alias("a"), pl.col(b).alias("b")).drop_nulls()
            only_a = int((~both["a"] & both["b"]).sum())
            only_b = int((both["a"] & ~both["b"]).sum())
            rows.append(
                {
                    "a": a,
                    "b": b,
                    "norm": norm,
                    "eps": eps,
                    "only_a": only_a,
                    "only_b": only_b,
                    "p_value": mcnemar(only_a, only_b),
                }
            )
    corrected = holm([row["p_value"] for row in rows])
    return [row | {"p_holm": p} for row, p in zip(rows, corrected, strict=True)]


def _cells(part: pl.DataFrame, prediction: str) -> list[list[int]]:
    counted = part.group_by("label", prediction).len().sort("label", prediction)
    return [list(row) for row in counted.iter_rows()]
