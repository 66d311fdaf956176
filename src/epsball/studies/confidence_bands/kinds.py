"""Attacked images joined with the predictions of their clean images. Imports no torch."""

from collections.abc import Sequence

import polars as pl

from epsball.kinds.labelling import label_records
from epsball.kinds.relatives import related_by


def with_kinds(
    clean: pl.DataFrame, attacked: pl.DataFrame, names: Sequence[str], hierarchy: str
) -> pl.DataFrame:
    """Join attacked images with the predictions of their clean images, and label their kind.

    Args:
        clean: rows of clean images.
        attacked: rows of the same images under attack, at any number of settings.
        names: of the classes.
        hierarchy: see `related_by`.

    Returns:
        The rows of attacked images with clean_prediction, clean_confidence, clean_label_rank,
        clean_top5 and kind.
    """
    top = sorted(column for column in clean.columns if column.startswith("top"))
    before = clean.select(
        "index",
        clean_prediction="prediction",
        clean_confidence="confidence",
        clean_label_rank="label_rank",
        clean_label_probability="label_probability",
        clean_top5=pl.concat_list(top),
    )
    labels, predictions = clean["label"].to_numpy(), clean["prediction"].to_numpy()
    related = related_by(hierarchy, names, labels, predictions)
    return label_records(attacked.join(before, on="index", how="left"), related)
