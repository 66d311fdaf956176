"""Records by attack setting, and the share of a column that is true. Imports no torch."""

from collections.abc import Iterable, Sequence
from typing import Any

import polars as pl

from epsball.evaluation.metrics.statistics import wilson

SETTING = ("variant", "norm", "eps")
RIGHT_WHEN_CLEAN = pl.col("clean_prediction") == pl.col("label")


def rate(column: pl.Series) -> tuple[float, list[float]]:
    """Return the share of true entries and its 95 % Wilson interval."""
    successes = int(column.sum())
    return successes / len(column), list(wilson(successes, len(column)))


def in_balls(records: pl.DataFrame) -> pl.DataFrame:
    """Leave out attacks that know no ball: a rotation and a small eps are no common threat."""
    return records.filter(pl.col("norm") != "none")


def robust_images(records: pl.DataFrame) -> pl.DataFrame:
    """Say of every image whether it is right when clean and safe in each of its records.

    Returns:
        Columns index and robust.
    """
    return records.group_by("index").agg(robust=pl.col("safe").all() & RIGHT_WHEN_CLEAN.all())


def by_setting(records: pl.DataFrame) -> Iterable[tuple[dict[str, Any], pl.DataFrame]]:
    """Yield each attack setting with its records, in the order of the records."""
    for key, part in groups(records, SETTING):
        yield dict(zip(SETTING, key, strict=True)), part


def groups(
    frame: pl.DataFrame, by: Sequence[str]
) -> Iterable[tuple[tuple[Any, ...], pl.DataFrame]]:
    """Group records by columns, in the order of the records."""
    return frame.group_by(by, maintain_order=True)
