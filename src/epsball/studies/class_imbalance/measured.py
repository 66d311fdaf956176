"""The rows of study `class-imbalance`, by network, class and attack. Imports no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Any

import polars as pl

from epsball.studies.claims.estimates import Estimate, difference, over_seeds
from epsball.studies.class_imbalance.coding import named_counts

Record = dict[str, Any]
# the columns of table 6.1: training set, whose gradient
COLUMNS = (
    ("under", "different"), ("over", "different"), ("balanced", "same"), ("under", "same"),
    ("over", "same"),
)  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """The rows of the source's part, for one remedy and the source's dose.

    Args:
        rows: of all cells.
        class_names: all classes, in the order of the labels.
    """

    rows: pl.DataFrame
    class_names: tuple[str, ...]

    @cached_property
    def _judged(self) -> dict[tuple[str, str, str, str], list[Record]]:
        """Return judged rows by (training set, class, attack, gradient), in the order of seeds."""
        records: dict[tuple[str, str, str, str], list[Record]] = {}
        if "mode" not in self.rows.columns or "label" not in self.rows.columns:
            return records
        for row in self.rows.filter(pl.col("mode") == "judged").iter_rows(named=True):
            if row["label"] is not None:
                key = (row["set"], row["class"] or "", row["label"], row["gradient"] or "none")
                records.setdefault(key, []).append(row)
        for some in records.values():
            some.sort(key=lambda row: row["repeat"])
        return records

    def records(self, kind: str, label: str, gradient: str = "none") -> list[Record]:
        """Return one row a seed: the class `label` in the network in which it is the target."""
        target = "" if kind == "balanced" else label
        return self._judged.get((kind, target, label, gradient), [])

    def cross(self, kind: str, target: str, label: str) -> list[Record]:
        """Return one row a seed: a clean class in the network in which another is the target."""
        return self._judged.get((kind, target, label, "none"), [])

    def accuracies(self, kind: str, label: str, gradient: str = "none") -> list[float]:
        """Return one accuracy a seed; none where it was not measured."""
        return [row["accuracy"] for row in self.records(kind, label, gradient)]

    def accuracy(self, kind: str, label: str, gradient: str = "none") -> Estimate | None:
        """Return the accuracy with its interval; None where it was not measured."""
        records = self.records(kind, label, gradient)
        return over_seeds([r["accuracy"] for r in records], records[0]["n"]) if records else None

    def mean(self, kind: str, gradient: str) -> Estimate | None:
        """Return the mean over all classes; None unless every class was measured."""
        by_class = [self.records(kind, name, gradient) for name in self.class_names]
        seeds = min((len(records) for records in by_class), default=0)
        if not seeds:
            return None
        means = [fmean(records[i]["accuracy"] for records in by_class) for i in range(seeds)]
        return over_seeds(means, sum(records[0]["n"] for records in by_class))

    def gap(self, more: tuple[str, str], less: tuple[str, str], label: str) -> Estimate | None:
        """Return how much more accurate a class is in one setting (set, gradient) than another."""
        one, other = self.records(more[0], label, more[1]), self.records(less[0], label, less[1])
        count = min(len(one), len(other))
        if not count:
            return None
        values = [[r["accuracy"] for r in records[:count]] for records in (one, other)]
        return difference(values[0], values[1], min(one[0]["n"], other[0]["n"]))

    def relative_differences(self, kind: str, label: str) -> list[float]:
        """Return (clean - attacked) / clean of a class, one a seed, under a network's own FGSM."""
        clean, under = self.accuracies(kind, label), self.accuracies(kind, label, "same")
        return [(a - b) / a for a, b in zip(clean, under, strict=False) if a]

    def confusion(self, kind: str, label: str, other: str, gradient: str = "none") -> list[float]:
        """Return the share of a class that is taken for another, one a seed."""
        at = self.class_names.index(other)
        records = self.records(kind, label, gradient)
        return [named_counts(row["named"])[at] / row["n"] for row in records]

    def whole(self, column: str) -> list[Record]:
        """Return the rows of the balanced network that have a value in a column, one a seed."""
        if column not in self.rows.columns or "set" not in self.rows.columns:
            return []
        chosen = (pl.col("set") == "balanced") & pl.col(column).is_not_null()
        chosen &= pl.col("remedy") == "none"
        return self.rows.filter(chosen).sort("repeat").to_dicts()

    def classes(self, columns: Sequence[tuple[str, str]] = COLUMNS) -> list[str]:
        """Return the classes for which all of some (set, gradient) were measured."""
        return [
            name for name in self.class_names if all(self.records(s, name, g) for s, g in columns)
        ]
