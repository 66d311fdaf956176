"""Bands of the clean top-1 probability. Imports no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from epsball.errors import InvalidInput

SOURCE = "0.15/0.30"
_QUANTILES = "quantiles:"
_NAMES = ("low", "medium", "high")


@dataclass(frozen=True)
class Band:
    """A range of probabilities, low <= p < high.

    Args:
        name: "low", "medium", "high" where there are three; else the range itself.
        low: in [0, 1].
        high: likewise; the highest band includes 1.
    """

    name: str
    low: float
    high: float

    def holds(self, confidence: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Say which probabilities, (n,), lie in the band."""
        below = confidence < self.high if self.high < 1 else confidence <= 1
        inside: NDArray[np.bool_] = (confidence >= self.low) & below
        return inside


def parse_bands(text: str) -> tuple[float, ...] | int:
    """Read bands as a person types them.

    Args:
        text: the borders from low to high, "0.15/0.30", or "quantiles:3" for that many bands with
            equal numbers of images.

    Returns:
        The borders, or the number of quantile bands.

    Raises:
        InvalidInput: borders that do not rise, a border outside (0, 1), or fewer than two bands.

    Example:
        >>> parse_bands("0.15/0.30"), parse_bands("quantiles:4")
        ((0.15, 0.3), 4)
    """
    try:
        if text.startswith(_QUANTILES):
            count = int(text.removeprefix(_QUANTILES))
            if count >= 2:
                return count
            raise InvalidInput(f"bands must be at least 2, got {text!r}: write quantiles:3")
        borders = tuple(float(part) for part in text.split("/"))
    except ValueError as error:
        if isinstance(error, InvalidInput):
            raise
        raise InvalidInput(
            f"bands must be rising borders such as {SOURCE}, or quantiles:3, got {text!r}"
        ) from None
    if not all(0 < border < 1 for border in borders):
        raise InvalidInput(f"bands: borders must lie between 0 and 1, got {text!r}")
    if any(low >= high for low, high in pairwise(borders)):
        raise InvalidInput(
            f"bands must not overlap or be empty: borders must rise, got {text!r}; "
            f"write {'/'.join(f'{b:g}' for b in sorted(set(borders)))}"
        )
    return borders


def bands_of(confidence: NDArray[np.float64], text: str) -> tuple[Band, ...]:
    """Cut the range of probabilities into bands.

    Args:
        confidence: (n,), clean top-1 probabilities, at least one.
        text: see `parse_bands`.

    Returns:
        From the lowest to the highest; each holds an image.

    Raises:
        InvalidInput: see `parse_bands`; or a band that holds no image.
    """
    parsed = parse_bands(text)
    if isinstance(parsed, int):
        inner = np.quantile(confidence, np.arange(1, parsed) / parsed)
        borders: Sequence[float] = [float(border) for border in inner]
    else:
        borders = parsed
    edges = [0.0, *borders, 1.0]
    named = len(edges) - 1 == len(_NAMES)
    bands = tuple(
        Band(_NAMES[i] if named else f"{low:.2f} to {high:.2f}", low, high)
        for i, (low, high) in enumerate(pairwise(edges))
    )
    for band in bands:
        if not band.holds(confidence).any():
            raise InvalidInput(
                f"bands: no image has a clean confidence in [{band.low:g}, {band.high:g}): "
                "give other borders, or quantiles:3"
            )
    return bands


def members(band: Band, confidence: NDArray[np.float64], per_band: int) -> NDArray[np.int64]:
    """Return the images of a band.

    Args:
        band: the band.
        confidence: (n,), clean top-1 probabilities.
        per_band: take the first so many; 0: all.

    Returns:
        Positions, rising.

    Raises:
        InvalidInput: the band holds fewer than per_band.
    """
    positions = np.flatnonzero(band.holds(confidence))
    if len(positions) < per_band:
        raise InvalidInput(
            f"per_band={per_band}: band {band.name} holds {len(positions)} images: ask for fewer, "
            "0 for all, or bands=quantiles:3"
        )
    return positions[:per_band] if per_band else positions
