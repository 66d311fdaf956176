"""Rows asked by setting: one value a seed, means and intervals over them. Imports no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from epsball.studies.cell import Plain
from epsball.studies.estimates import Estimate, difference, over_seeds

Setting = Mapping[str, Plain]


@dataclass(frozen=True)
class Point:
    """Where something was measured.

    Args:
        setting: values of parameters; those left out may be any.
        attack: its name in the rows; "none" for clean pictures.
        eps: its radius; 0 for clean pictures.
        column: what was measured: "accuracy", "confidence" ...
    """

    setting: Setting
    attack: str = "none"
    eps: float = 0.0
    column: str = "accuracy"


@dataclass(frozen=True)
class Measured:
    """The rows of a study.

    Args:
        rows: as `Store.read` gives them.
    """

    rows: pl.DataFrame

    def values(self, point: Point) -> list[float]:
        """Return one value a seed, in the order of seeds; none where it was not measured."""
        found = self._at(point)
        return [float(v) for v in found.sort("repeat")[point.column].drop_nulls()]

    def pictures(self, point: Point) -> int:
        """Return on how many pictures; 0 where it was not measured."""
        found = self._at(point)
        return 0 if found.is_empty() else int(found["n"][0])

    def estimate(self, point: Point) -> Estimate | None:
        """Return mean and interval; None where it was not measured."""
        values = self.values(point)
        return over_seeds(values, self.pictures(point)) if values else None

    def gap(self, more: Point, less: Point) -> Estimate | None:
        """Return the difference of two points, seed by seed; None where one was not measured."""
        one, other = self.values(more), self.values(less)
        if not one or len(one) != len(other):
            return None
        return difference(one, other, min(self.pictures(more), self.pictures(less)))

    def settings(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """Return the settings that were measured, in the order of the plan."""
        found = self.rows.filter(pl.col("kind") == "train").select(names)
        return found.unique(maintain_order=True).to_dicts()

    def _at(self, point: Point) -> pl.DataFrame:
        wanted = {"attack": point.attack, "eps": point.eps} | dict(point.setting)
        lacking = [name for name in (*wanted, point.column) if name not in self.rows.columns]
        if lacking:
            return self.rows.clear()
        near = pl.col("eps").is_close(point.eps)
        same = [near if k == "eps" else pl.col(k).eq_missing(v) for k, v in wanted.items()]
        return self.rows.filter(pl.col("mode") != "strip", *same)
