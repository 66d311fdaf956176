"""The rows of study `neural-rejection`, asked by subject, attack and eps. Imports no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Any

import polars as pl

from epsball.studies.claims.estimates import Estimate, difference
from epsball.studies.claims.study_rows import Point, StudyRows

CLEAN, SOURCE, LIMITED = "none", "source", "limited"
OURS, STRONGEST = "rejection", "strongest"  # the second on fewer images, of fewer subjects
SAID = {SOURCE: "the source's attack", OURS: "our rejection attack", STRONGEST: "strongest"}


@dataclass(frozen=True)
class Results:
    """What was measured.

    Args:
        rows: of all cells.
    """

    rows: pl.DataFrame

    @cached_property
    def found(self) -> StudyRows:
        """Return the rows, to be asked by point."""
        return StudyRows(self.rows)

    @cached_property
    def eps(self) -> list[float]:
        """Return the radii of the source's attack, rising; clean images are not among them."""
        return self._radii("curve")

    @cached_property
    def middle(self) -> float | None:
        """Return the one radius of the rungs and of what was kept for retraining."""
        known = self._radii("ladder", "crowded", "harvest")
        return known[0] if known else None

    def at(
        self,
        subject: str,
        attack: str,
        eps: float,
        column: str = "accuracy",
        *,
        draw: int | None = None,
    ) -> Point:
        """Return where a subject was measured.

        Args:
            subject: in `SUBJECTS`.
            attack: its name in the rows.
            eps: its radius; at 0 the attack is none.
            column: what was measured.
            draw: of which draw of images; None: of all there are.
        """
        setting: dict[str, Any] = {"subject": subject} | ({} if draw is None else {"repeat": draw})
        return Point(setting, attack, eps, column) if eps else Point(setting, CLEAN, 0.0, column)

    def estimate(
        self,
        subject: str,
        attack: str,
        eps: float,
        column: str = "accuracy",
        *,
        draw: int | None = None,
    ) -> Estimate | None:
        """Return mean and interval at the place that `at` names; None where it was not measured."""
        known = column in self.rows.columns
        point = self.at(subject, attack, eps, column, draw=draw)
        return self.found.estimate(point) if known else None

    def values(self, point: Point) -> list[float]:
        """Return one value a draw; none where it was not measured."""
        return self.found.values(point) if point.column in self.rows.columns else []

    def across(self, more: Sequence[Point], less: Sequence[Point]) -> Estimate | None:
        """Return the difference of two means over places, draw by draw.

        Args:
            more: places.
            less: likewise, one for one.

        Returns:
            The mean of more - less; None where there is no place, or one was not measured on the
            same draws as the others.
        """
        values = [[self.values(point) for point in side] for side in (more, less)]
        counts = {len(one) for side in values for one in side}
        if len(counts) != 1 or 0 in counts or len(more) != len(less):
            return None
        one, other = ([fmean(draw) for draw in zip(*side, strict=True)] for side in values)
        return difference(one, other, min(self.found.images(p) for p in (*more, *less)))

    def of_kind(self, *kinds: str, **where: str | int) -> pl.DataFrame:
        """Return the rows of some kinds with these values; none where a column is lacking."""
        if any(name not in self.rows.columns for name in ("kind", *where)):
            return self.rows.clear()
        return self.rows.filter(pl.col("kind").is_in(kinds), **where)

    def one(self, kind: str, **where: str | int) -> dict[str, Any] | None:
        """Return the first row of a kind with these values; None where there is none."""
        part = self.of_kind(kind, **where)
        return part.row(0, named=True) if len(part) else None

    def _radii(self, *kinds: str) -> list[float]:
        part = self.of_kind(*kinds)
        if "eps_asked" not in part.columns:
            return []
        return sorted({float(e) for e in part["eps_asked"].drop_nulls() if e > 0})
