"""Two networks compared image by image: what rarity does to the images both get right.

Imports no torch.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import fmean, stdev
from typing import Any

import numpy as np
import polars as pl
from scipy.stats import t

from epsball.evaluation.metrics.statistics import holm, mcnemar
from epsball.studies.class_imbalance.coding import named_counts, read_mask, read_values

Record = dict[str, Any]
_ENDS = 2  # classes at each end of a long tail that count as its head and its tail


@dataclass(frozen=True)
class Pair:
    """One class in two networks, on the images that both get right when clean.

    Args:
        images: how many those are.
        kept: how many of them survive the attack in the network in question.
        kept_reference: and in the reference.
        p_value: McNemar's, of the images that survive in one of the two only.
    """

    images: int
    kept: int
    kept_reference: int
    p_value: float

    @property
    def difference(self) -> float:
        """Return how much larger the share of survivors is than in the reference."""
        return (self.kept - self.kept_reference) / self.images


@dataclass(frozen=True)
class Effect:
    """A difference over classes, each class being one observation.

    Args:
        mean: over classes, of the mean over seeds.
        low: lower end of the 95 % interval, Student's over classes; NaN with one class.
        high: upper end.
        classes: how many.
        clear: in how many of them McNemar's test, with Holm's correction, finds a difference.
        each: the difference of each class.
    """

    mean: float
    low: float
    high: float
    classes: int
    clear: int
    each: dict[str, float]

    def within(self, least: float, most: float) -> "Effect":
        """Return the effect with its interval cut to the values that a mean can have."""
        low, high = np.clip([self.low, self.high], least, most).tolist()  # NaN stays
        return replace(self, low=low, high=high)


def pair_of(record: Record, reference: Record) -> Pair | None:
    """Compare two rows of the same images; None where no image is right in both.

    Args:
        record: a probed row with "right_mask" and "safe_mask".
        reference: likewise, of the other network.
    """
    count = min(record["n"], reference["n"])
    right, safe = (read_mask(record[name], record["n"])[:count] for name in _MASKS)
    there, safe_there = (read_mask(reference[name], reference["n"])[:count] for name in _MASKS)
    both = right & there
    if not both.any():
        return None
    kept, kept_reference = safe[both], safe_there[both]
    only, only_reference = int((kept & ~kept_reference).sum()), int((~kept & kept_reference).sum())
    return Pair(
        int(both.sum()), int(kept.sum()), int(kept_reference.sum()), mcnemar(only, only_reference)
    )


_MASKS = ("right_mask", "safe_mask")


@dataclass(frozen=True)
class Probes:
    """The probed rows of the study.

    Args:
        rows: of all cells.
    """

    rows: pl.DataFrame

    @cached_property
    def _records(self) -> list[Record]:
        if "mode" not in self.rows.columns:
            return []
        return self.rows.filter(pl.col("mode") == "probed").sort("repeat").to_dicts()

    @cached_property
    def _index(self) -> dict[tuple[Any, ...], list[Record]]:
        index: dict[tuple[Any, ...], list[Record]] = {}
        for row in self._records:
            key = (row["remedy"], row["set"], row["dose"], row["role"], row["attack"], row["scale"])
            index.setdefault(key, []).append(row)
        return index

    def records(
        self, remedy: str, kind: str, dose: int, role: str, *, attack: str, scale: str = "own"
    ) -> list[Record]:
        """Return the rows of all classes and seeds at one place."""
        return self._index.get((remedy, kind, dose, role, attack, scale), [])

    def values(self, name: str) -> list[Any]:
        """Return the values of a column that were probed in the rare role, each once, in order."""
        values = (row[name] for row in self._records if row["set"] == "under")
        return list(dict.fromkeys(values))

    def _with_reference(
        self, remedy: str, dose: int, role: str, attack: str, scale: str
    ) -> list[tuple[Record, Record]]:
        """Return rows of rare classes, each with that of the balanced network of its seed."""
        base = "adversarial" if remedy.startswith("adversarial") else "none"
        references = {
            (row["label"], row["repeat"]): row
            for row in self.records(base, "balanced", 1, "reference", attack=attack, scale=scale)
        }
        records = self.records(remedy, "under", dose, role, attack=attack, scale=scale)
        keyed = [(row, references.get((row["label"], row["repeat"]))) for row in records]
        return [(row, other) for row, other in keyed if other is not None]

    def survival(
        self, remedy: str, dose: int, role: str, attack: str, scale: str = "own"
    ) -> Effect | None:
        """Return how much smaller the share of survivors is, of images right in both networks.

        Args:
            remedy: in `REMEDIES`.
            dose: how many times rarer the class is.
            role: "target", the rare class, or "control", one that was left alone.
            attack: "fgsm", "pgd" or "strongest".
            scale: of the logits: the network's "own" or "unit".
        """
        pairs: dict[str, list[Pair]] = {}
        for row, other in self._with_reference(remedy, dose, role, attack, scale):
            pair = pair_of(row, other)
            if pair is not None:
                pairs.setdefault(row["label"], []).append(pair)
        each = {name: fmean(p.difference for p in each_seed) for name, each_seed in pairs.items()}
        p_values = [p.p_value for each_seed in pairs.values() for p in each_seed]
        return effect_of(each, sum(p < 0.05 for p in holm(p_values)))

    def accuracy(
        self, remedy: str, dose: int, role: str, attack: str, scale: str = "own"
    ) -> Effect | None:
        """Return the change of accuracy over all images of the class, wrong when clean or not."""
        gaps: dict[str, list[float]] = {}
        for row, other in self._with_reference(remedy, dose, role, attack, scale):
            gaps.setdefault(row["label"], []).append(row["accuracy"] - other["accuracy"])
        return effect_of({name: fmean(values) for name, values in gaps.items()}, 0)

    def distance(self, remedy: str, dose: int, role: str) -> Effect | None:
        """Return the change of the median distance to the nearest error, in shares of the latter.

        Of the images that both networks get right when clean.
        """
        shares: dict[str, list[float]] = {}
        for row, other in self._with_reference(remedy, dose, role, "fmn", "own"):
            count = min(row["n"], other["n"])
            rare, reference = (read_values(r["distances"])[:count] for r in (row, other))
            both = (rare > 0) & (reference > 0)
            if both.any() and np.isfinite(np.median(reference[both])):
                share = float(np.median(rare[both]) / np.median(reference[both])) - 1
                shares.setdefault(row["label"], []).append(share)
        return effect_of({name: fmean(values) for name, values in shares.items()}, 0)

    def reference_distances(self, label: str) -> list[float]:
        """Return the distances of a class in the balanced network, images right when clean."""
        rows = self.records("none", "balanced", 1, "reference", attack="fmn")
        values = [read_values(row["distances"]) for row in rows if row["label"] == label]
        return [float(one) for some in values for one in some if one > 0]

    def ends(
        self, remedy: str, attack: str, names: Sequence[str]
    ) -> dict[str, float | None] | None:
        """Return survival of the two most frequent classes and of the two rarest of long tails.

        Args:
            remedy: in `REMEDIES`.
            attack: "fgsm", "pgd" or "strongest".
            names: all classes, in the order of the labels.

        Returns:
            "head" and "tail": means over the tails that were trained, which begin at different
            classes, so that difficulty does not pass for rarity; of an end without any image that
            is right when clean None. None instead of both unless some were probed.
        """
        doses = {row["dose"] for row in self._records if row["set"] == "long-tail"}
        shares: dict[str, list[float]] = {"head": [], "tail": []}
        for dose in doses:
            for row in self.records(remedy, "long-tail", dose, "reference", attack=attack):
                rank = (names.index(row["label"]) - names.index(row["class"])) % len(names)
                end = "head" if rank < _ENDS else "tail" if rank >= len(names) - _ENDS else None
                right, safe = (read_mask(row[name], row["n"]) for name in _MASKS)
                if end is not None and right.any():
                    shares[end].append(float(safe.sum() / right.sum()))
        if not any(shares.values()):
            return None
        return {end: fmean(values) if values else None for end, values in shares.items()}

    def to_frequent(
        self, remedy: str, attack: str, names: Sequence[str]
    ) -> tuple[float, float] | None:
        """Return the share of wrong answers that name one of the more frequent half of the classes.

        Returns:
            That of networks trained on a long tail, and that of the balanced one for the same
            classes; None unless both were probed.
        """
        half, sums = len(names) // 2, {"tail": [0, 0], "balanced": [0, 0]}
        base = {
            (row["label"], row["repeat"]): row
            for row in self.records(remedy, "balanced", 1, "reference", attack=attack)
        }
        doses = {row["dose"] for row in self._records if row["set"] == "long-tail"}
        for dose in doses:
            for row in self.records(remedy, "long-tail", dose, "reference", attack=attack):
                other = base.get((row["label"], row["repeat"]))
                first, label = names.index(row["class"]), names.index(row["label"])
                frequent = {(first + rank) % len(names) for rank in range(half)} - {label}
                for key, one in (("tail", row), ("balanced", other)):
                    counts = named_counts(one["named"]) if one else []
                    wrong = sum(c for i, c in enumerate(counts) if i != label)
                    sums[key][0] += sum(counts[i] for i in frequent) if counts else 0
                    sums[key][1] += wrong
        if not all(whole for _, whole in sums.values()):
            return None
        tail, balanced = (part / whole for part, whole in sums.values())
        return tail, balanced


def effect_of(each: dict[str, float], clear: int) -> Effect | None:
    """Average over classes; None without any."""
    if not each:
        return None
    values = list(each.values())
    mean = fmean(values)
    half = math.nan
    if len(values) > 1:
        quantile = float(t.ppf(0.975, len(values) - 1))
        half = quantile * stdev(values) / math.sqrt(len(values))
    return Effect(mean, mean - half, mean + half, len(values), clear, each)
