"""Figures of a study: points in panels, joined to lines or not."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import polars as pl

from epsball.report.drawing.figure import WIDE, Chart, Figure
from epsball.report.drawing.numbers import MISSING, percent, size
from epsball.report.drawing.palette import series_colours, series_shapes
from epsball.report.drawing.table import table

_COLUMNS = ("low", "high", "left", "right")
_GAP = 28  # pixels between panels
_AXIS = 62  # pixels that an axis takes
_COARSE = 0.1  # of shares: ticks of a narrower axis need a decimal
_ROOM = 0.06  # of the span, left free around points that are not joined


def study_figure(block: Mapping[str, Any]) -> Figure | None:
    """Build a figure from a study's plot; None where there is no point to draw.

    Args:
        block: a plot as `epsball.studies.claims.story` describes it, as plain data.
    """
    frame = point_frame(block["points"])
    if frame.is_empty():
        return None
    shares = str(block["shares"])
    rows = [
        [
            r["label"] or r["series"],
            r["panel"],
            _number(r["x"], share="x" in shares),
            _number(r["y"], share="y" in shares),
            _between(r, share="y" in shares),
        ]
        for r in frame.iter_rows(named=True)
    ]
    heads = f"series|panel|#{block['x']}|#{block['y']}|#95 % interval"
    return Figure(
        key=str(block["key"]),
        caption=str(block["caption"]),
        alt=str(block["alt"]),
        draw=lambda width: draw_points(frame, block, width),
        table=table("The numbers of the figure", heads, rows),
    )


def point_frame(points: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Lay points out with every column.

    Returns:
        Columns series, panel, label, shape, x, y, low, high, left, right; null where not known.
        A point without shape has its series for one.
    """
    rows = [
        {
            "series": p["series"],
            "panel": p["panel"],
            "label": p.get("label"),
            "shape": p.get("shape") or p["series"],
            "x": p["x"],
            "y": p["y"],
        }
        | {name: p.get(name) for name in _COLUMNS}
        for p in points
    ]
    schema: dict[str, Any] = dict.fromkeys(("series", "panel", "label", "shape"), pl.String)
    schema |= dict.fromkeys(("x", "y", *_COLUMNS), pl.Float64)
    return pl.DataFrame(rows, schema=schema)


def draw_points(frame: pl.DataFrame, block: Mapping[str, Any], width: int) -> Chart:
    """Draw the panels of a plot, beside each other where there is room.

    Args:
        frame: as `point_frame` returns it.
        block: the plot: "x", "y", "lines", "shares".
        width: total width, pixels.
    """
    panels = frame["panel"].unique(maintain_order=True).to_list()
    wide = width >= WIDE
    each = (width - _GAP * (len(panels) - 1)) // len(panels) if wide else width
    plot = min(each - _AXIS, 560)
    charts = [_panel(frame, block, panel, plot, wide=wide) for panel in panels]
    if wide:
        return alt.hconcat(*charts, spacing=_GAP)
    return alt.vconcat(*charts, spacing=_GAP)


def _panel(
    frame: pl.DataFrame, block: Mapping[str, Any], panel: str, width: int, *, wide: bool
) -> Chart:
    shares, lines = str(block["shares"]), bool(block["lines"])
    encoding = {
        "x": _axis(frame, "x", block, zero=lines),
        "y": _axis(frame, "y", block, zero=lines),
        "color": _keyed(frame, "series", wide=wide),
    }
    base = alt.Chart(frame.filter(panel=panel))
    tips = [alt.Tooltip("label:N"), alt.Tooltip("series:N"), _tip("x", shares), _tip("y", shares)]
    shape = _keyed(frame, "shape", wide=wide)
    dots = base.mark_point(filled=True, size=80, opacity=1).encode(
        shape=shape, tooltip=tips, **encoding
    )
    layers = [*(_joined(base, encoding) if lines else _bars(base, encoding)), dots]
    title = alt.Title(panel[:1].upper() + panel[1:])
    height = 300 if wide else 220
    return alt.layer(*layers).properties(width=width, height=height, title=title)


def _joined(base: alt.Chart, encoding: dict[str, Any]) -> list[alt.Chart]:
    spread = {"y": alt.Y("low:Q"), "y2": alt.Y2("high:Q")}
    band = base.mark_area(opacity=0.13, line=False).encode(**encoding | spread)
    return [band, base.mark_line(strokeWidth=2).encode(**encoding)]


def _bars(base: alt.Chart, encoding: dict[str, Any]) -> list[alt.Chart]:
    up = {"y": alt.Y("low:Q"), "y2": alt.Y2("high:Q")}
    across = {"x": alt.X("left:Q"), "x2": alt.X2("right:Q")}
    rule = base.mark_rule(opacity=0.45, strokeWidth=1.5)
    known = {"up": "isValid(datum.low)", "across": "isValid(datum.left)"}
    return [
        rule.transform_filter(known["up"]).encode(**encoding | up),
        rule.transform_filter(known["across"]).encode(**encoding | across),
    ]


def _axis(frame: pl.DataFrame, side: str, block: Mapping[str, Any], *, zero: bool) -> Any:  # noqa: ANN401 - alt.X or alt.Y
    """One scale for all panels: a figure of several panels is there to be compared."""
    share = side in str(block["shares"])
    channel: Any = {"x": alt.X, "y": alt.Y}[side](f"{side}:Q")
    axis = alt.Axis(title=block[side], grid=side == "y", tickCount=5)
    if share:
        axis.format = ".0%" if zero or _span(frame, side) > _COARSE else ".1%"
    elif all(value.is_integer() for value in frame[side].to_list()):
        axis.format, axis.tickMinStep = "d", 1  # no half epochs
    scale = alt.Scale(domain=[0, 1], nice=False) if share and zero else _fitting(frame, side)
    return channel.axis(axis).scale(scale)


def _span(frame: pl.DataFrame, side: str) -> float:
    values = frame[side].to_list()
    return float(max(values) - min(values))


def _fitting(frame: pl.DataFrame, side: str) -> alt.Scale:
    ends = ("left", "right") if side == "x" else ("low", "high")
    values = [v for name in (side, *ends) for v in frame[name].drop_nulls().to_list()]
    low, high = min(values), max(values)
    room = _ROOM * ((high - low) or abs(high) or 1.0)
    low = 0.0 if 0 <= low < room else low - room  # zero is where a reader looks for it
    return alt.Scale(domain=[low, high + room], nice=False, zero=False)


def _keyed(frame: pl.DataFrame, field: str, *, wide: bool) -> Any:  # noqa: ANN401 - alt.Color or alt.Shape
    names = frame[field].unique(maintain_order=True).to_list()
    channel: Any = alt.Color if field == "series" else alt.Shape
    marks = series_colours(names) if field == "series" else series_shapes(names)
    legend = alt.Legend(columns=4 if wide else 2, symbolOpacity=1, title=None)
    return channel(f"{field}:N").scale(domain=names, range=marks).legend(legend)


def _tip(side: str, shares: str) -> alt.Tooltip:
    return alt.Tooltip(f"{side}:Q", format=".1%" if side in shares else ".4~g")


def _number(value: float, *, share: bool) -> str:
    return percent(value) if share else size(value)


def _between(row: Mapping[str, Any], *, share: bool) -> str:
    if row["low"] is None:
        return MISSING
    return f"{_number(row['low'], share=share)} to {_number(row['high'], share=share)}"
