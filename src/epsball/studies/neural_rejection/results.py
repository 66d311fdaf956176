"""The rows of study `neural-rejection`, by subject, attack and eps. Imports no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Any

import polars as pl

from epsball.studies.claims.estimates import Estimate, difference
from epsball.studies.claims.study_rows import Point, StudyRows
from epsball.studies.core.notes import read_notes

NOTES = read_notes("epsball.studies.neural_rejection")
CLEAN, SOURCE, LIMITED = "none", "source", "limited"
OURS, STRONGEST = "rejection", "strongest"  # the second on fewer images, of fewer subjects
TITLES = {SOURCE: "the source's attack", OURS: "our rejection attack", STRONGEST: "strongest"}


@dataclass(frozen=True)
class Results:
    """The rows of the study.

    Args:
        rows: of all cells.
    """

    rows: pl.DataFrame

    @cached_property
    def points(self) -> StudyRows:
        """Return the rows with access by point."""
        return StudyRows(self.rows)

    @cached_property
    def eps(self) -> list[float]:
        """Return the radii of the source's attack, rising; clean images are not among them."""
        return self._radii("curve")

    @cached_property
    def middle(self) -> float | None:
        """Return the radius of the attack variants and of the examples for retraining."""
        return next(iter(self._radii("ladder", "crowded", "harvest")), None)

    def at(
        self, subject: str, attack: str, eps: float, column: str = "accuracy", *, draw: int | None
    ) -> Point:
        """Return the point of a subject.

        Args:
            subject: in `SUBJECTS`.
            attack: its name in the rows.
            eps: its radius; at 0 the attack is none.
            column: what was measured.
            draw: of images; None: all draws.
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
        """Return mean and interval at a point, see `at`; None where not measured."""
        return self.points.estimate(self.at(subject, attack, eps, column, draw=draw))

    def images(self, subject: str, attack: str, eps: float, draw: int | None = None) -> int:
        """Return the number of images at a point, see `at`; 0 where not measured."""
        return self.points.images(self.at(subject, attack, eps, draw=draw))

    def gap(
        self,
        more: tuple[str, str],
        less: tuple[str, str],
        eps: Sequence[float],
        column: str = "accuracy",
        *,
        draw: int | None = None,
    ) -> Estimate | None:
        """Return the difference of two means over eps, draw by draw.

        Args:
            more: subject and attack.
            less: subject and attack.
            eps: the radii.
            column: what was measured.
            draw: of images; None: all draws.

        Returns:
            The mean of more - less; None where there is no eps, or one point was not measured on
            the same draws as the others.
        """
        points = [[self.at(*side, e, column, draw=draw) for e in eps] for side in (more, less)]
        values = [[self.points.values(point) for point in side] for side in points]
        counts = {len(one) for side in values for one in side}
        if len(counts) != 1 or 0 in counts:
            return None
        one, other = ([fmean(draw) for draw in zip(*side, strict=True)] for side in values)
        images = min(self.points.images(point) for side in points for point in side)
        return difference(one, other, images)

    def of_kind(self, *kinds: str, **where: str | int) -> pl.DataFrame:
        """Return the rows of some kinds with these values; empty where a column is missing."""
        if any(name not in self.rows.columns for name in ("kind", *where)):
            return self.rows.clear()
        return self.rows.filter(pl.col("kind").is_in(kinds), **where)

    def one(self, kind: str, **where: str | int) -> dict[str, Any] | None:
        """Return the first row of a kind with these values, or None."""
        part = self.of_kind(kind, **where)
        return part.row(0, named=True) if len(part) else None

    def _radii(self, *kinds: str) -> list[float]:
        part = self.of_kind(*kinds)
        if "eps_asked" not in part.columns:
            return []
        return sorted({float(e) for e in part["eps_asked"].drop_nulls() if e > 0})
