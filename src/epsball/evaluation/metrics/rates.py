"""From records to rates. Imports no torch.

Two readings of "accuracy under attack" are kept apart. `robust_accuracy` of one attack is the share
of all images, those already wrong included, that the attacked model still gets right (or rejects).
The worst case counts an image as robust only if it is right when clean and safe under every attack
in the ball, smaller eps of the same norm included.
"""

from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Any

import polars as pl

from epsball.evaluation.metrics.statistics import holm, mcnemar, wilson

SETTING = ("variant", "norm", "eps")
_NAMED = ("attack", "steps", "restarts", "objective", "direction", "reference")
_SURVIVALS = ("survives_8bit", "survives_png", "survives_jpeg90", "survives_jpeg75")
_SIZES = ("l0", "l1", "l2", "linf")
# every rate of a result; a blocking finding turns them into null
RATES = (
    "confidence",
    "confidence_ci",
    "confidence_correct",
    "confidence_wrong",
    "sizes",
    "median_distance",
    *(
        name + end
        for end in ("", "_ci")
        for name in (
            "clean_accuracy",
            "robust_accuracy",
            "target_reached",
            "top1_error",
            "top1_error_all",
            "top5_error",
            "top5_error_all",
            "rejected",
            "accepted_accuracy",
            *_SURVIVALS,
        )
    ),
)
_FIVE = 5
_MANY_IMAGES = 30  # fewer make the normal interval of a mean a pretence

_RIGHT_CLEAN = pl.col("clean_prediction") == pl.col("label")


def rate(column: pl.Series) -> tuple[float, list[float]]:
    """Return the share of true entries and its 95 % Wilson interval."""
    successes = int(column.sum())
    return successes / len(column), list(wilson(successes, len(column)))


def clean_summary(records: pl.DataFrame, classes: int) -> dict[str, Any]:
    """Summarise the clean pass: accuracy, confidence, top five.

    Args:
        records: of any attacks on the same images.
        classes: k.
    """
    images = records.unique("index", keep="first", maintain_order=True)
    right = images.select(right=_RIGHT_CLEAN)["right"]
    accuracy, interval = rate(right)
    in_five = pl.col("clean_top5").list.contains(pl.col("label"))
    return {
        "n": len(images),
        "accuracy": accuracy,
        "accuracy_ci": interval,
        **_confidence(images["clean_confidence"], right),
        "top5_accuracy": None if classes <= _FIVE else float(images.select(in_five.mean()).item()),
        **_proportion("rejected", images["clean_rejected"]),
        **_proportion("accepted_accuracy", right.filter(~images["clean_rejected"])),
    }


def results(records: pl.DataFrame, classes: int) -> list[dict[str, Any]]:
    """Summarise every attack at every eps, in the order of the records."""
    return [_result(name, part, classes) for name, part in _by_setting(records)]


def _result(name: dict[str, Any], part: pl.DataFrame, classes: int) -> dict[str, Any]:
    right = part.select(right=pl.col("prediction") == pl.col("label"))["right"]
    first = part.row(0, named=True)
    return {
        **name,
        **{key: first[key] for key in _NAMED},
        "n": len(part),
        **_proportion("clean_accuracy", part.select(right=_RIGHT_CLEAN)["right"]),
        **_proportion("robust_accuracy", part["safe"]),
        **_reached(part),
        **_confidence(part["confidence"], right),
        **_top_errors(part, classes),
        **_proportion("rejected", part["rejected"]),
        **_proportion("accepted_accuracy", right.filter(~part["rejected"])),
        **{k: v for name in _SURVIVALS for k, v in _proportion(name, part[name]).items()},
        "sizes": {norm: part[norm].median() for norm in _SIZES},
        "median_distance": _median_distance(part),
        "forwards": int(part["forwards"].sum()),
        "backwards": int(part["backwards"].sum()),
        "queries": None if part["queries"].is_null().all() else int(part["queries"].sum()),
    }


def _reached(part: pl.DataFrame) -> dict[str, Any]:
    """Return how many of the images right when clean, and not of the target's class, reach it."""
    aimed = part.filter(_RIGHT_CLEAN & (pl.col("target") != pl.col("label")))
    reached = aimed.select(reached=pl.col("prediction") == pl.col("target"))["reached"]
    return {"aimed": len(aimed), **_proportion("target_reached", reached)}


def _median_distance(part: pl.DataFrame) -> float | None:
    """Return the median way to the border, of images right when clean; null if most have none."""
    known = part.filter(_RIGHT_CLEAN)["distance"].drop_nulls()
    middle = None if known.is_empty() else float(known.median() or 0)  # type: ignore[arg-type]  # a float column's median
    return None if middle is None or middle == float("inf") else middle


def _confidence(confidence: pl.Series, right: pl.Series) -> dict[str, Any]:
    """Mean probability of the predicted class: over all images, the right ones, the wrong ones."""
    confidence = confidence.fill_nan(None)
    mean = _mean(confidence)
    half = None
    if len(confidence) >= _MANY_IMAGES and mean is not None:
        half = 1.96 * float(confidence.std() or 0) / len(confidence) ** 0.5  # type: ignore[arg-type]  # a float column's std is a float
    return {
        "confidence": mean,
        "confidence_ci": None
        if half is None or mean is None
        else [max(0.0, mean - half), min(1.0, mean + half)],
        "confidence_correct": _mean(confidence.filter(right)),
        "confidence_wrong": _mean(confidence.filter(~right)),
    }


def _top_errors(part: pl.DataFrame, classes: int) -> dict[str, Any]:
    """Top-1 and top-5 error as the sources count them, and over all images.

    The sources ask: of the images whose label was first (among the first five) when clean, how
    many have lost it? The `_all` versions count every image.
    """
    first = (pl.col("prediction") != pl.col("label")).alias("lost")
    fifth = (~pl.col("top5").list.contains(pl.col("label"))).alias("lost")
    was_fifth = pl.col("clean_top5").list.contains(pl.col("label"))
    has_five = classes > _FIVE
    return {
        **_proportion("top1_error", part.filter(_RIGHT_CLEAN).select(first)["lost"]),
        **_proportion("top1_error_all", part.select(first)["lost"]),
        **_proportion("top5_error", part.filter(was_fifth & has_five).select(fifth)["lost"]),
        **_proportion("top5_error_all", part.filter(has_five).select(fifth)["lost"]),
    }


def _proportion(name: str, column: pl.Series) -> dict[str, Any]:
    """Return a share and its interval, both null where no image counts."""
    known = column.drop_nulls()
    share, interval = rate(known) if len(known) else (None, None)
    return {name: share, f"{name}_ci": interval}


def worst_case(records: pl.DataFrame) -> list[dict[str, Any]]:
    """Count, for each norm and eps, the images that no attack in that ball fools.

    An adversarial image of a smaller eps lies in the larger ball too, so it counts there.
    """
    rows = []
    for (norm, eps), _ in _groups(_in_balls(records), ("norm", "eps")):
        inside = records.filter((pl.col("norm") == norm) & (pl.col("eps") <= eps))
        at_eps = inside.filter(pl.col("eps") == eps)
        verdicts = inside.group_by("index").agg(robust=pl.col("safe").all() & _RIGHT_CLEAN.all())
        robust, interval = rate(verdicts["robust"])
        rows.append(
            {
                "norm": norm,
                "eps": eps,
                "n": len(verdicts),
                "robust_accuracy": robust,
                "robust_accuracy_ci": interval,
                "parts": at_eps["variant"].unique(maintain_order=True).to_list(),
            }
        )
    return rows


def _in_balls(records: pl.DataFrame) -> pl.DataFrame:
    """Leave out attacks that know no ball: a rotation and a small eps are no common threat."""
    return records.filter(pl.col("norm") != "none")


def per_class(records: pl.DataFrame, class_names: Sequence[str]) -> list[dict[str, Any]]:
    """Give accuracy before and after, and the relative difference, for every class."""
    rows = []
    for name, part in _by_setting(records):
        for (label,), images in _groups(part.sort("label", maintain_order=True), ("label",)):
            clean, clean_interval = rate(images.select(right=_RIGHT_CLEAN)["right"])
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
            {**name, "cells": _cells(part, "prediction")} for name, part in _by_setting(records)
        ],
    }


def comparisons(records: pl.DataFrame) -> list[dict[str, Any]]:
    """Test every two attacks of a norm and eps against each other on the same images."""
    rows: list[dict[str, Any]] = []
    for (norm, eps), part in _groups(_in_balls(records), ("norm", "eps")):
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


def _by_setting(records: pl.DataFrame) -> Iterable[tuple[dict[str, Any], pl.DataFrame]]:
    for key, part in _groups(records, SETTING):
        yield dict(zip(SETTING, key, strict=True)), part


def _groups(
    frame: pl.DataFrame, by: Sequence[str]
) -> Iterable[tuple[tuple[Any, ...], pl.DataFrame]]:
    return frame.group_by(by, maintain_order=True)


def _mean(column: pl.Series) -> float | None:
    """Return the mean of what is known; None where nothing is."""
    mean = column.fill_nan(None).mean() if column.dtype.is_float() else column.mean()
    return None if mean is None else float(mean)  # type: ignore[arg-type]  # boolean and float columns have float means
