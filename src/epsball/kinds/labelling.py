"""The kinds of adversarial image. Imports no torch."""

from typing import Literal, TypeAlias, get_args

import numpy as np
import polars as pl
from numpy.typing import NDArray

from epsball.kinds.relatives import Related

Kind: TypeAlias = Literal[
    "not fooled", "benign", "wrong to wrong", "co-natural", "re-focused", "true"
]
KINDS: tuple[Kind, ...] = get_args(Kind)  # in order of precedence


def kinds_of(
    labels: NDArray[np.int64],
    clean_top5: NDArray[np.int64],
    predictions: NDArray[np.int64],
    related: Related,
) -> NDArray[np.str_]:
    """Label each attacked image with the kind of mistake that it causes.

    The first kind that applies counts: "not fooled", the prediction is the clean one; "benign", a
    wrong clean prediction becomes the right one; "wrong to wrong", it becomes another wrong one;
    "co-natural", the new class is closely related to the true one; "re-focused", the new class was
    among the model's clean top five; "true", any other.

    Args:
        labels: (n,), the true classes.
        clean_top5: (n, m), the most likely classes of the clean image, most likely first; m is 5,
            or the number of classes where there are fewer.
        predictions: (n,), the classes that the attacked images get; -1 or k for a rejection, which
            is "not fooled".
        related: (k, k), bool, closely related classes.

    Returns:
        (n,), each one of `KINDS`.

    Example:
        >>> related = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 0]], dtype=bool)
        >>> top = np.array([[0, 2], [0, 2], [0, 1], [1, 0]])
        >>> kinds_of(np.zeros(4, int), top, np.array([0, 1, 2, 0]), related).tolist()
        ['not fooled', 'co-natural', 'true', 'benign']

    Source: Billovits, Eric and Agarwala 2016, as reported by Possas (slides). They give no rule for
        "closely related" nor for precedence; both are ours. "Wrong to wrong" and "not fooled" are
        added so that every image has a kind.
    """
    clean = clean_top5[:, 0]
    rejected = (predictions < 0) | (predictions >= len(related))
    inside = np.where(rejected, 0, predictions)
    tests = {
        "not fooled": (predictions == clean) | rejected,
        "benign": predictions == labels,
        "wrong to wrong": clean != labels,
        "co-natural": related[labels, inside],
        "re-focused": (clean_top5 == predictions[:, None]).any(1),
    }
    return np.select(list(tests.values()), list(tests), default="true")


def label_records(records: pl.DataFrame, related: Related) -> pl.DataFrame:
    """Add the column "kind" to records.

    Args:
        records: with label, clean_top5 (a list) and prediction.
        related: (k, k), bool, closely related classes.

    Returns:
        The records with "kind".
    """
    if not len(records):
        return records.with_columns(kind=pl.lit(None, dtype=pl.String))
    kinds = kinds_of(
        records["label"].to_numpy(),
        np.array(records["clean_top5"].to_list()),
        records["prediction"].to_numpy(),
        related,
    )
    return records.with_columns(kind=pl.Series(kinds.tolist(), dtype=pl.String))


def kind_shares(records: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    """Count the kinds of each group of records.

    Args:
        records: with "kind", see `label_records`.
        by: the columns that make a group.

    Returns:
        Per group and kind: count, and share of the group's images that are fooled (null for "not
        fooled").
    """
    fooled = (pl.col("kind") != "not fooled").sum().over(by)
    return (
        records.with_columns(fooled=fooled)
        .group_by([*by, "kind"], maintain_order=True)
        .agg(count=pl.len(), fooled=pl.first("fooled"))
        .with_columns(
            share=pl.when(pl.col("kind") != "not fooled").then(pl.col("count") / pl.col("fooled"))
        )
        .drop("fooled")
    )
