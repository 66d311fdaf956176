"""The security curve of a run with one eps: dots with intervals, one row an attack."""

import altair as alt
import polars as pl

from epsball.report.audit.key import PANELS, Key
from epsball.report.drawing.figure import WIDE, Chart
from epsball.report.drawing.palette import SOFT


def draw_dots(frame: pl.DataFrame, key: Key, width: int) -> Chart:
    """Draw one row a series: the value, its interval, and, hollow, the clean value it fell from.

    Args:
        frame: columns series, panel, eps, value, low, high; eps is 0 or the one that was tried.
        key: how each series is drawn.
        width: total width, pixels.

    Returns:
        Accuracy and, where it is known, confidence: side by side if there is room.
    """
    present = frame["panel"].unique()
    panels = [panel for panel in PANELS if panel in present]
    charts = [_panel(frame.filter(panel=panel), key, width, PANELS[panel]) for panel in panels]
    return alt.hconcat(*charts, spacing=36) if width >= WIDE else alt.vconcat(*charts, spacing=24)


def _panel(frame: pl.DataFrame, key: Key, width: int, title: str) -> Chart:
    plot = 300 if width >= WIDE else width - 150
    attacked = frame.filter(pl.col("eps") > 0)
    starts = frame.filter(eps=0.0).select("series", clean="value")
    rows = attacked.join(starts, on="series", how="left", maintain_order="left")
    names = [name for name in key.series if name in attacked["series"]]
    y = alt.Y("series:N").sort(names).axis(alt.Axis(title=None, labelLimit=130, grid=False))
    x = alt.X("value:Q").axis(key.share_axis()).scale(domain=[0, 1])
    other = {name: alt.X(f"{name}:Q").axis(key.share_axis()) for name in ("low", "clean")}
    colour = alt.Color("series:N").scale(key.scale(key.colours)).legend(None)
    base = alt.Chart(rows)
    stem = base.mark_rule(strokeWidth=1.5, strokeDash=[2, 3])
    bounds = base.mark_rule(strokeWidth=5, opacity=0.35)
    start = base.mark_point(filled=False, size=70, opacity=1, strokeWidth=1.5, color=SOFT.light)
    dot = base.mark_point(filled=True, size=90, opacity=1)
    words = base.mark_text(align="center", dy=-13, fontWeight=600)
    return alt.layer(
        stem.encode(x, y, colour, x2=alt.X2("clean:Q")),
        start.encode(other["clean"], y),
        bounds.encode(other["low"], y, colour, x2=alt.X2("high:Q")),
        dot.encode(x, y, colour, tooltip=key.tooltip()),
        words.encode(x, y, colour, text=alt.Text("value:Q", format=".1%")),
    ).properties(width=plot, height=alt.Step(42), title=title)
