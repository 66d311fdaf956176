"""The rates of study `transfer`, by source and target. Imports no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from epsball.studies.claims.estimates import Estimate, difference, over_seeds
from epsball.studies.transfer.plan import FIRST

_COUNTS = {"raw": ("wrong", "n"), "corrected": ("fooled", "both_right"), "agree": ("agree", "n")}
Key = tuple[str, str, str, str]  # source, its subset, target, its subset


@dataclass(frozen=True)
class Rates:
    """The rows of all judges.

    Args:
        rows: of the study.
    """

    rows: pl.DataFrame

    @cached_property
    def _by_pair(self) -> dict[Key, list[dict[str, Any]]]:
        pairs: dict[Key, list[dict[str, Any]]] = {}
        if "source" not in self.rows.columns:
            return pairs
        for row in self.rows.filter(pl.col("mode") == "transfer").iter_rows(named=True):
            key = (row["source"], row["source_subset"], row["technique"], row["subset"])
            pairs.setdefault(key, []).append(row)
        return pairs

    @property
    def techniques(self) -> list[str]:
        """Return the sources, in the order of the plan."""
        return list(dict.fromkeys(key[0] for key in self._by_pair))

    @property
    def targets(self) -> list[str]:
        """Return the targets, in the order of the plan; the vote of all is the last."""
        return list(dict.fromkeys(key[2] for key in self._by_pair))

    @property
    def subsets(self) -> list[str]:
        """Return the subsets."""
        return sorted({key[3] for key in self._by_pair})

    def cross(self, source: str, target: str, kind: str = "raw") -> Estimate | None:
        """Return the share of a source's images that a target of the same subset misjudges.

        Args:
            source: technique that they were made on.
            target: technique that they are shown to, or "vote".
            kind: "raw": of all images; "corrected": of those that both get right when clean;
                "agree": the share of clean images that both give the same label.
        """
        return self._estimate([(source, FIRST, target, FIRST)], kind)

    def intra(self, technique: str, kind: str = "raw") -> Estimate | None:
        """Return the mean over all pairs of different subsets of one technique."""
        return self._estimate(self._pairs(technique), kind)

    def intra_each(self, technique: str, kind: str = "raw") -> list[Estimate]:
        """Return the share of each pair of different subsets of one technique."""
        each = [self._estimate([pair], kind) for pair in self._pairs(technique)]
        return [one for one in each if one is not None]

    def column(self, target: str, techniques: Sequence[str]) -> Estimate | None:
        """Return the mean raw share over the sources of other techniques."""
        pairs = [(source, FIRST, target, FIRST) for source in techniques if source != target]
        return self._estimate(pairs, "raw")

    def clean_error(self, target: str) -> Estimate | None:
        """Return the share of clean images that a target of the first subset gets wrong."""
        rows = next(
            (rows for key, rows in self._by_pair.items() if key[2:] == (target, FIRST)), None
        )
        if rows is None:
            return None
        return over_seeds([row["clean_wrong"] / row["n"] for row in rows], rows[0]["n"])

    def images(self) -> int:
        """Return the number of test images; 0 where nothing was measured."""
        return next((int(rows[0]["n"]) for rows in self._by_pair.values()), 0)

    def _pairs(self, technique: str) -> list[Key]:
        return [key for key in self._by_pair if key[0] == key[2] == technique and key[1] != key[3]]

    def _estimate(self, pairs: Sequence[Key], kind: str) -> Estimate | None:
        rates = [self._by_pair[pair] for pair in pairs if pair in self._by_pair]
        if not rates or len(rates) < len(pairs):
            return None
        count, whole = _COUNTS[kind]
        if any(not row[whole] for rows in rates for row in rows):
            return None
        values = [
            sum(rows[seed][count] / rows[seed][whole] for rows in rates) / len(rates)
            for seed in range(len(rates[0]))
        ]
        return over_seeds(values, int(rates[0][0][whole]))


def gap(more: Estimate, less: Estimate, images: int) -> Estimate:
    """Return the difference of two shares with an interval."""
    return difference([more.value], [less.value], images)
