"""From records to rates. Imports no torch.

Two readings of "accuracy under attack" are kept apart. `robust_accuracy` of one attack is the share
of all images, those already wrong included, that the attacked model still gets right (or rejects).
The worst case counts an image as robust only if it is right when clean and safe under every attack
in the ball, smaller eps of the same norm included.
"""

from collections.abc import Iterable
from typing import Any

import polars as pl

from epsball.evaluation.metrics.grouping import (
    RIGHT_WHEN_CLEAN,
    by_setting,
    groups,
    in_balls,
    rate,
    robust_images,
)
from epsball.evaluation.metrics.sequential import anytime_interval

_NAMED = ("attack", "steps", "restarts", "objective", "direction", "reference")
_SURVIVALS = (
    "survives_8bit",
    "survives_png",
    "survives_jpeg90",
    "survives_jpeg75",
    "survives_through",
)
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
            "clean_through",
            "destruction_rate",
        )
    ),
)
_MANY_IMAGES = 30  # fewer make the normal interval of a mean a pretence


def clean_summary(records: pl.DataFrame, classes: int) -> dict[str, Any]:
    """Summarise the clean pass: accuracy, confidence, top five.

    Args:
        records: of any attacks on the same images.
        classes: k.
    """
    images = records.unique("index", keep="first", maintain_order=True)
    right = images.select(right=RIGHT_WHEN_CLEAN)["right"]
    accuracy, interval = rate(right)
    in_five = pl.col("clean_top5").list.contains(pl.col("label"))
    return {
        "n": len(images),
        "accuracy": accuracy,
        "accuracy_ci": interval,
        **_confidence(images["clean_confidence"], right),
        "top5_accuracy": None if classes <= 5 else float(images.select(in_five.mean()).item()),
        **_proportion("rejected", images["clean_rejected"]),
        **_proportion("accepted_accuracy", right.filter(~images["clean_rejected"])),
    }


def results_by_setting(records: pl.DataFrame, classes: int) -> list[dict[str, Any]]:
    """Summarise every attack at every eps, in the order of the records."""
    return [_result(name, part, classes) for name, part in by_setting(records)]


def _result(name: dict[str, Any], part: pl.DataFrame, classes: int) -> dict[str, Any]:
    right = part.select(right=pl.col("prediction") == pl.col("label"))["right"]
    first = part.row(0, named=True)
    return {
        **name,
        **{key: first[key] for key in _NAMED},
        "n": len(part),
        **_proportion("clean_accuracy", part.select(right=RIGHT_WHEN_CLEAN)["right"]),
        **_proportion("robust_accuracy", part["safe"]),
        **_reached(part),
        **_confidence(part["confidence"], right),
        **_top_errors(part, classes),
        **_proportion("rejected", part["rejected"]),
        **_proportion("accepted_accuracy", right.filter(~part["rejected"])),
        **{k: v for name in _SURVIVALS for k, v in _proportion(name, part[name]).items()},
        **_proportion("clean_through", part["clean_through"]),
        **_proportion("destruction_rate", _destroyed(part)),
        "sizes": {norm: part[norm].median() for norm in _SIZES},
        "median_distance": _median_distance(part),
        "forwards": int(part["forwards"].sum()),
        "backwards": int(part["backwards"].sum()),
        "queries": None if part["queries"].is_null().all() else int(part["queries"].sum()),
    }


def _destroyed(part: pl.DataFrame) -> pl.Series:
    """Return, of images right when clean and fooled, which the transformation makes harmless.

    Source: Kurakin et al. 2017, arXiv:1607.02533, equation 1.
    """
    return ~part.filter(RIGHT_WHEN_CLEAN)["survives_through"].drop_nulls()


def _reached(part: pl.DataFrame) -> dict[str, Any]:
    """Return how many of the images right when clean, and not of the target's class, reach it."""
    aimed = part.filter(RIGHT_WHEN_CLEAN & (pl.col("target") != pl.col("label")))
    reached = aimed.select(reached=pl.col("prediction") == pl.col("target"))["reached"]
    return {"aimed": len(aimed), **_proportion("target_reached", reached)}


def _median_distance(part: pl.DataFrame) -> float | None:
    """Return the median way to the border, of images right when clean; null if most have none."""
    known = part.filter(RIGHT_WHEN_CLEAN)["distance"].drop_nulls()
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
    has_five = classes > 5
    return {
        **_proportion("top1_error", part.filter(RIGHT_WHEN_CLEAN).select(first)["lost"]),
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
    for (norm, eps), _ in groups(in_balls(records), ("norm", "eps")):
        inside = records.filter((pl.col("norm") == norm) & (pl.col("eps") <= eps))
        at_eps = inside.filter(pl.col("eps") == eps)
        robust, interval = rate(robust_images(inside)["robust"])
        rows.append(
            {
                "norm": norm,
                "eps": eps,
                "n": inside["index"].n_unique(),
                "robust_accuracy": robust,
                "robust_accuracy_ci": interval,
                "parts": at_eps["variant"].unique(maintain_order=True).to_list(),
            }
        )
    return rows


def judged(records: pl.DataFrame) -> list[dict[str, Any]]:
    """Return the rates that a gate judges: the worst case, or without a ball those of all attacks.

    Args:
        records: of at least one image.

    Returns:
        Rows with n and robust_accuracy.
    """
    if worst := worst_case(records):
        return worst[-1:]
    return [
        {"n": len(part), "robust_accuracy": part["safe"].mean()} for _, part in by_setting(records)
    ]


def hold_anytime(rows: Iterable[dict[str, Any]], *names: str) -> None:
    """Replace the intervals of rates of n images by such that hold whenever the run ends."""
    for row in rows:
        for name in names:
            successes = round(row[name] * row["n"])
            row[f"{name}_ci"] = list(anytime_interval(successes, row["n"]))


def _mean(column: pl.Series) -> float | None:
    """Return the mean of what is known; None where nothing is."""
    mean = column.fill_nan(None).mean() if column.dtype.is_float() else column.mean()
    return None if mean is None else float(mean)  # type: ignore[arg-type]  # boolean and float columns have float means
