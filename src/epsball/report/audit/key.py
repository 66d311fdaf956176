"""What the drawings of the security curve share: panels, axes, and how a series is drawn."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import polars as pl

from epsball.report.drawing.numbers import distance

ACCURACY, CONFIDENCE = "accuracy", "confidence"
_CROWDED = 0.12  # of the width: less has no room for a label
PANELS = {ACCURACY: "Accuracy", CONFIDENCE: "Mean confidence"}


@dataclass(frozen=True)
class Key:
    """How each series is drawn.

    Args:
        series: names, in the order of the key.
        colours: one light colour a series.
        shapes: one point shape a series.
        dashes: one dash pattern a series; [1, 0] is a solid line.
        axis: the title of the eps axis.
    """

    series: Sequence[str]
    colours: Sequence[str]
    shapes: Sequence[str]
    dashes: Sequence[list[int]]
    axis: str

    def scale(self, values: Sequence[str]) -> alt.Scale:
        """Map series to colours or shapes."""
        return alt.Scale(domain=list(self.series), range=list(values))

    def dash(self) -> alt.StrokeDash:
        """Map series to solid or dashed lines."""
        scale = alt.Scale(domain=list(self.series), range=list(self.dashes))
        return alt.StrokeDash("series:N").scale(scale)

    def eps_axis(self, values: pl.Series) -> alt.Axis:
        """Tick the eps that were tried, written as people write them; 0 is the clean image."""
        ticks = sorted(values.unique().to_list())
        words = {f"{eps:.5f}": distance(eps) if eps else "clean" for eps in ticks}
        lookup = ",".join(f"'{at}':'{word}'" for at, word in words.items())
        expression = f"({{{lookup}}})[format(datum.value,'.5f')]"
        return alt.Axis(
            values=ticks, labelExpr=expression, title=self.axis, labelOverlap=True, grid=False
        )

    @staticmethod
    def eps_scale(values: pl.Series) -> alt.Scale:
        """A plain scale, or a square-root one where the smallest eps would stick to zero."""
        tried = sorted(eps for eps in values.to_list() if eps > 0)
        crowded = tried[0] < _CROWDED * tried[-1]
        return alt.Scale(type="sqrt" if crowded else "linear", nice=False, zero=True)

    @staticmethod
    def share_axis(*, title: str | None = None) -> alt.Axis:
        """Tick shares as percentages, quarter by quarter."""
        return alt.Axis(values=[0, 0.25, 0.5, 0.75, 1], format=".0%", title=title)

    @staticmethod
    def tooltip() -> list[Any]:
        """Say series, eps, value and interval where the pointer rests."""
        return [
            alt.Tooltip("series:N"),
            alt.Tooltip("eps:Q", format=".4~f"),
            alt.Tooltip("value:Q", format=".1%"),
            alt.Tooltip("low:Q", format=".1%", title="from"),
            alt.Tooltip("high:Q", format=".1%", title="to"),
        ]
