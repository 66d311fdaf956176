"""Error rates, a logistic fit, risk-coverage and calibration from the rows. Imports no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from epsball.studies.claims.estimates import Estimate, over_seeds
from epsball.studies.confidence_bands.bands import Band, bands_of, members
from epsball.studies.confidence_bands.kinds import with_kinds

_SETTING = ("method", "reference", "scale", "steps", "radius")


@dataclass(frozen=True)
class Setting:
    """An attack at one eps."""

    method: str
    reference: str
    eps: float
    scale: str = "log-softmax"
    steps: int = 10


@dataclass(frozen=True)
class Bands:
    """The rows of the study, and how they are read.

    Args:
        clean: rows of clean images.
        attacked: rows of attacked images, their kind, and the predictions of their clean images.
        bands: from the lowest to the highest.
        per_band: images of a band, the first ones; 0: all.
        k: of the top-k error.
    """

    clean: pl.DataFrame
    attacked: pl.DataFrame
    bands: tuple[Band, ...]
    per_band: int
    k: int

    @cached_property
    def confidence(self) -> NDArray[np.float64]:
        """Return the clean top-1 probabilities of all images, (n,)."""
        return self.clean["confidence"].to_numpy()

    def positions(self, band: Band | None) -> NDArray[np.int64]:
        """Return the images of a band; None: of all bands together."""
        if band is not None:
            return members(band, self.confidence, self.per_band)
        return np.sort(np.concatenate([self.positions(one) for one in self.bands]))

    def rows(self, setting: Setting, band: Band | None = None) -> pl.DataFrame:
        """Return the rows of a setting, of a band; empty where it was not run."""
        part = self._by_setting.get(
            (
                setting.method,
                setting.reference,
                setting.scale,
                _steps(setting),
                round(setting.eps, 9),
            )
        )
        if part is None:
            return self.attacked.clear()
        return part.filter(pl.col("index").is_in(self.positions(band).tolist()))

    def error(
        self, setting: Setting, band: Band | None, k: int, *, all_images: bool = False
    ) -> Estimate | None:
        """Return the top-k error: the label was among the first k and no longer is.

        Args:
            setting: the attack.
            band: of which images; None: of all.
            k: 1 or more.
            all_images: over all images of the band: the label is not among the first k, whether or
                not it was.

        Returns:
            The share with Wilson's interval; None where it was not run or no image counts.
        """
        rows = self.rows(setting, band)
        counted = rows if all_images else rows.filter(pl.col("clean_label_rank") <= k)
        if not len(counted):
            return None
        return over_seeds([float((counted["label_rank"] > k).mean())], len(counted))  # type: ignore[arg-type]  # polars' mean of booleans

    def eps(self, setting: Setting) -> list[float]:
        """Return the eps at which a setting, its own eps aside, was run; rising."""
        same = (setting.method, setting.reference, setting.scale, _steps(setting))
        return sorted(float(str(key[-1])) for key in self._by_setting if key[:-1] == same)

    @cached_property
    def _by_setting(self) -> Mapping[tuple[object, ...], pl.DataFrame]:
        rounded = self.attacked.with_columns(pl.col("radius").round(9))
        parts = rounded.partition_by(_SETTING, as_dict=True)
        return dict(parts)


def _steps(setting: Setting) -> int:
    return 1 if setting.method == "fast" else setting.steps


def read(
    rows: pl.DataFrame, names: Sequence[str], *, bands: str, per_band: int, k: int, hierarchy: str
) -> tuple[Bands, pl.DataFrame]:
    """Join attacked images with their clean readings.

    Args:
        rows: of all cells.
        names: of the classes.
        bands: see `parse_bands`.
        per_band: images of a band; 0: all.
        k: of the top-k error.
        hierarchy: see `related_by`.

    Returns:
        The rows of the images that all attacks share; and those of attacks that ran on a part of
        the images only, with the same columns.
    """
    marked = rows.with_columns(pl.col("images").cast(pl.Int64).fill_null(0))
    clean = marked.filter(pl.col("kind") == "clean")
    attacks = marked.filter(pl.col("kind") == "attack").drop("kind")
    whole, *parts = clean.partition_by("images", maintain_order=True)
    joined = [
        with_kinds(part, attacks.filter(pl.col("images") == part["images"][0]), names, hierarchy)
        for part in (whole, *parts)
    ]
    limits = bands_of(whole["confidence"].to_numpy(), bands)
    rest = pl.concat(joined[1:], how="diagonal_relaxed") if parts else joined[0].clear()
    return Bands(whole, joined[0], limits, per_band, k), rest
