"""How well a model that rejects tells attacked images from clean ones. Imports no torch."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from epsball.defences.false_rejection import threshold_for
from epsball.evaluation.metrics.acceptance import (
    auroc,
    auroc_interval,
    rates_at,
    risk_curve,
)

FALSE_REJECTIONS = (0.01, 0.05, 0.1)
_BY = ("variant", "norm", "eps")


def rejections(
    records: pl.DataFrame, false_rejections: Sequence[float] = FALSE_REJECTIONS
) -> list[dict[str, Any]]:
    """Summarise for every attack and eps how well a model tells attacked images from clean ones.

    Args:
        records: with the columns of `epsball.evaluation.records.schema.SCHEMA`, of a run with the
            full budget: where an image is done with at its first success its acceptance says
            nothing.
        false_rejections: shares of the clean images with the right class that a threshold
            may reject; see `threshold_for`.

    Returns:
        For each setting `n`, the images whose class is right when clean, rejected or not;
        `auroc` of their acceptance, clean against attacked, with its interval; `clean_area` and
        `area`, those of `risk_curve` over all images; `at`, one entry a share: `false_rejection`,
        `threshold`, and the rates of `rates_at` over all images, clean (`clean_...`) and
        attacked. Empty where nothing is known of acceptance.
    """
    rows = []
    known = records.filter(
        pl.col("acceptance").is_not_nan() & pl.col("clean_acceptance").is_not_nan()
    )
    for key, part in known.group_by(_BY, maintain_order=True):
        clean, attacked = part["clean_acceptance"].to_numpy(), part["acceptance"].to_numpy()
        fine, still = _named(part, "clean_top5"), _named(part, "top5")
        if not fine.any():
            continue
        area = auroc(clean[fine], attacked[fine])
        rows.append(
            {
                **dict(zip(_BY, key, strict=True)),
                "n": int(fine.sum()),
                "auroc": area,
                "auroc_ci": list(auroc_interval(area, int(fine.sum()), int(fine.sum()))),
                "clean_area": risk_curve(clean, fine).area,
                "area": risk_curve(attacked, still).area,
                "at": [_at(share, clean, fine, attacked, still) for share in false_rejections],
            }
        )
    return rows


def _at(
    share: float,
    clean: NDArray[np.float64],
    fine: NDArray[Any],
    attacked: NDArray[np.float64],
    still: NDArray[Any],
) -> dict[str, Any]:
    threshold = threshold_for(clean[fine], share)
    before = {f"clean_{k}": v for k, v in rates_at(threshold, clean, fine).items()}
    before = {k: v for k, v in before.items() if not k.startswith("clean_safe")}
    return {
        "false_rejection": share,
        "threshold": threshold,
        **before,
        **rates_at(threshold, attacked, still),
    }


def _named(part: pl.DataFrame, column: str) -> NDArray[np.bool_]:
    """Return (n,), whether the likeliest class is the label, rejected or not."""
    return part.select(pl.col(column).list.first() == pl.col("label")).to_series().to_numpy()
