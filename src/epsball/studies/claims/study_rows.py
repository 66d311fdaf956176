"""Rows by setting: one value per seed, means and intervals over them. Imports no torch."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from epsball.studies.claims.estimates import Estimate, difference, over_seeds
from epsball.studies.core.cell import Plain

Setting = Mapping[str, Plain]


@dataclass(frozen=True)
class Point:
    """Where something was measured.

    Args:
        setting: values of parameters; those left out may have any value.
        attack: its name in the rows; "none" for clean images.
        eps: its radius; 0 for clean images.
        column: what was measured: "accuracy", "confidence" ...
    """

    setting: Setting
    attack: str = "none"
    eps: float = 0.0
    column: str = "accuracy"


@dataclass(frozen=True)
class StudyRows:
    """The rows of a study.

    Args:
        rows: as `Store.read` gives them.
    """

    rows: pl.DataFrame

    def values(self, point: Point) -> list[float]:
        """Return one value per seed, in the order of seeds; empty where not measured."""
        rows = sorted(self._at(point), key=lambda row: row["repeat"])
        return [float(row[point.column]) for row in rows if row[point.column] is not None]

    def images(self, point: Point) -> int:
        """Return the number of images; 0 where not measured."""
        rows = self._at(point)
        return int(rows[0]["n"]) if rows else 0

    def estimate(self, point: Point) -> Estimate | None:
        """Return mean and interval; None where not measured."""
        values = self.values(point)
        return over_seeds(values, self.images(point)) if values else None

    def gap(self, more: Point, less: Point) -> Estimate | None:
        """Return the difference of two points, seed by seed; None where one was not measured."""
        one, other = self.values(more), self.values(less)
        if not one or len(one) != len(other):
            return None
        return difference(one, other, min(self.images(more), self.images(less)))

    def settings(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """Return the settings that were measured, in the order of the plan."""
        settings = self.rows.filter(pl.col("kind") == "train").select(names)
        return settings.unique(maintain_order=True).to_dicts()

    @cached_property
    def _by_attack(self) -> Mapping[str, Sequence[dict[str, Any]]]:
        """Return the rows as plain data: thousands of points would be one filter each."""
        if not {"attack", "eps", "mode"} <= set(self.rows.columns):
            return {}
        parts: dict[str, list[dict[str, Any]]] = {}
        for row in self.rows.filter(pl.col("mode") != "strip").iter_rows(named=True):
            parts.setdefault(row["attack"], []).append(row)
        return parts

    def _at(self, point: Point) -> list[dict[str, Any]]:
        if any(name not in self.rows.columns for name in (*point.setting, point.column)):
            return []
        return [
            row
            for row in self._by_attack.get(point.attack, ())
            if row["eps"] is not None
            and math.isclose(row["eps"], point.eps)
            and all(row[name] == value for name, value in point.setting.items())
        ]
