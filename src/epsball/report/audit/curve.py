"""The security curve: what is left of accuracy, and of confidence, as the budget grows."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import altair as alt
import polars as pl

from epsball.report.audit.curve_dots import draw_dots
from epsball.report.audit.key import ACCURACY, CONFIDENCE, PANELS, Key
from epsball.report.audit.run import Run
from epsball.report.drawing.figure import WIDE, Chart, Figure
from epsball.report.drawing.numbers import distance, interval, listing, percent
from epsball.report.drawing.palette import INK, series_shapes
from epsball.report.drawing.table import table

WORST = "worst case"
_DOTS = "Hollow dots are the clean values; pale bars"
_LEAST = 400  # pixels of a panel that stands beside another
_ROOM = 110  # pixels; longer names go above the narrow drawing
POINTS = {
    "series": pl.String,
    "panel": pl.String,
    "eps": pl.Float64,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
}


def curve_figure(run: Run, norm: str) -> Figure | None:
    """Build the security curve of one norm; None where no rate may be printed."""
    frame = curve_frame(run, norm)
    if frame.is_empty():
        return None
    key = curve_key(run, norm)
    rows = [
        [r["series"], distance(r["eps"]), r["panel"], percent(r["value"]), interval(bounds(r))]
        for r in frame.iter_rows(named=True)
    ]
    return Figure(
        key=f"curve-{norm}",
        caption=_caption(run, norm),
        alt=f"Accuracy and confidence of {run.model} against eps in {norm}, one line an attack.",
        draw=lambda width: draw_curve(frame, key, width),
        table=table("The numbers of the curve", "series|#eps|what|#value|#95 % interval", rows),
    )


def curve_key(run: Run, norm: str) -> Key:
    """Say how each series of a norm's curve is drawn; an attack keeps its colour in all figures."""
    everywhere = run.variants()
    colours = run.colours()
    shown = run.variants(norm)
    shapes = dict(zip(everywhere, series_shapes(everywhere), strict=True))
    return Key(
        series=(*shown, WORST),
        colours=(*(colours[name] for name in shown), INK.light),
        shapes=(*(shapes[name] for name in shown), "stroke"),
        dashes=(*([1, 0] for _ in shown), [5, 4]),
        axis=f"eps, in {norm}",
    )


def curve_frame(run: Run, norm: str) -> pl.DataFrame:
    """Gather the points of one norm's curve.

    Returns:
        Columns series, panel ("accuracy" or "confidence"), eps, value, low, high; shares in [0, 1].
        Every series starts with the clean value at eps 0. Empty where no accuracy is known.
    """
    clean = run.summary.get("clean") or {}
    points: list[dict[str, Any]] = []
    for result in (r for r in run.results if r["norm"] == norm):
        at = {"series": result["variant"], "eps": result["eps"]}
        points.append(at | _point(ACCURACY, result, "robust_accuracy"))
        points.append(at | _point(CONFIDENCE, result, "confidence"))
    if len(run.variants(norm)) > 1:
        for worst in run.summary.get("worst_case") or []:
            if worst["norm"] == norm:
                at = {"series": WORST, "eps": worst["eps"]}
                points.append(at | _point(ACCURACY, worst, "robust_accuracy"))
    known = [point for point in points if point["value"] is not None]
    for series, panel in dict.fromkeys((p["series"], p["panel"]) for p in known):
        start = {"series": series, "eps": 0.0} | _point(panel, clean, panel)
        known += [start] if start["value"] is not None else []
    return pl.DataFrame(known, schema=POINTS).sort("panel", "series", "eps", maintain_order=True)


def draw_curve(frame: pl.DataFrame, key: Key, width: int) -> Chart:
    """Draw lines over eps; with one eps only, where a line says nothing, dots with intervals.

    Args:
        frame: as `curve_frame` returns it.
        key: how each series is drawn.
        width: total width, pixels.

    Returns:
        Accuracy and, where it is known, confidence: side by side if there is room.
    """
    if frame["eps"].n_unique() <= 2:
        return draw_dots(frame, key, width)
    present = frame["panel"].unique()
    panels = [panel for panel in PANELS if panel in present]
    wide = width >= WIDE
    each = max(width // len(panels), _LEAST) if wide else width
    charts = [_panel(frame.filter(panel=panel), key, each, panel) for panel in panels]
    return alt.hconcat(*charts, spacing=28) if wide else alt.vconcat(*charts, spacing=24)


def spread(values: Sequence[float], gap: float) -> list[float]:
    """Move labels apart until no two are nearer than `gap`, keeping their order and their middle.

    Args:
        values: where the labels would like to be.
        gap: least distance of two neighbours.

    Returns:
        Where they are put, in the order of `values`.

    Example:
        >>> [round(value, 2) for value in spread([0.0, 0.0, 1.0], 0.1)]
        [-0.05, 0.05, 1.0]
    """
    groups: list[tuple[float, list[int]]] = []  # (middle, members in rising order)
    for place in sorted(range(len(values)), key=lambda i: values[i]):
        groups.append((values[place], [place]))
        while len(groups) > 1 and _touch(groups[-2], groups[-1], gap):
            (low, below), (high, above) = groups[-2], groups.pop()
            members = [*below, *above]
            middle = (low * len(below) + high * len(above)) / len(members)
            groups[-1] = (middle, members)
    placed = {
        place: middle + gap * (i - (len(members) - 1) / 2)
        for middle, members in groups
        for i, place in enumerate(members)
    }
    return [placed[i] for i in range(len(values))]


def _touch(below: tuple[float, list[int]], above: tuple[float, list[int]], gap: float) -> bool:
    reach = gap * (len(below[1]) + len(above[1])) / 2
    return above[0] - below[0] < reach - 1e-12


def _panel(points: pl.DataFrame, key: Key, width: int, panel: str) -> Chart:
    wide = width >= _LEAST
    room = min(8 * max(map(len, key.series)) + 10, 130)  # for names at the ends of the lines
    direct = wide or room < _ROOM
    plot = min(width - 62 - (room if direct else 0), 560)
    height = 300 if wide else 220
    near = alt.selection_point(
        name=f"near_{panel}", fields=["series"], on="pointerover", clear="pointerout"
    )
    fade = alt.when(near).then(alt.value(1)).otherwise(alt.value(0.25))
    x = alt.X("eps:Q").axis(key.eps_axis(points["eps"])).scale(key.eps_scale(points["eps"]))
    y = alt.Y("value:Q").axis(key.share_axis()).scale(domain=[0, 1], nice=False)
    colour = alt.Color("series:N").scale(key.scale(key.colours))
    shape = alt.Shape("series:N").scale(key.scale(key.shapes))
    # one legend for all channels and panels: Vega warns where they disagree about having one
    legend = None if direct else alt.Legend(columns=1, symbolOpacity=1)
    colour, shape = colour.legend(legend), shape.legend(legend)
    base = alt.Chart(points)
    band = base.mark_area(opacity=0.13, line=False).encode(
        x, alt.Y("low:Q").axis(key.share_axis()), alt.Y2("high:Q"), colour
    )
    line = base.mark_line(strokeWidth=2).encode(
        x, y, colour, strokeDash=key.dash().legend(legend), opacity=fade
    )
    dots = base.mark_point(filled=True, size=55).encode(
        x, y, colour, shape, opacity=fade, tooltip=key.tooltip()
    )
    layers = [band, line, dots.add_params(near)]
    if direct:
        layers.append(_names(points, key, colour, x, height))
    title = alt.Title(PANELS[panel])
    return alt.layer(*layers).properties(width=plot, height=height, title=title)


def _names(points: pl.DataFrame, key: Key, colour: alt.Color, x: alt.X, height: int) -> alt.Chart:
    last = points.sort("eps").group_by("series", maintain_order=True).last().sort("series")
    placed = spread(last["value"].to_list(), 15 / height)
    ends = last.with_columns(place=pl.Series(placed, dtype=pl.Float64))
    y = alt.Y("place:Q").scale(domain=[0, 1], nice=False).axis(key.share_axis())
    text = alt.Chart(ends).mark_text(align="left", dx=9, limit=130, fontWeight=600)
    named: alt.Chart = text.encode(x, y, colour, text=alt.Text("series:N"))
    return named


def _point(panel: str, source: dict[str, Any], field: str) -> dict[str, Any]:
    low, high = source.get(f"{field}_ci") or (None, None)
    return {"panel": panel, "value": source.get(field), "low": low, "high": high}


def bounds(row: dict[str, Any]) -> tuple[float, float] | None:
    """The interval of a point; None where it is not known."""
    return None if row["low"] is None else (row["low"], row["high"])


def _caption(run: Run, norm: str) -> str:
    clean = run.summary["clean"]
    worst = {
        r["eps"]: r["robust_accuracy"]
        for r in run.summary.get("worst_case") or []
        if r["norm"] == norm and r["robust_accuracy"] is not None
    }
    left = [f"{percent(worst[eps])} at eps {distance(eps)}" for eps in sorted(worst)]
    kept = left if len(left) <= 3 else [left[0], left[-1]]
    steady = all(worst[a] >= worst[b] for a, b in pairwise(sorted(worst)))
    return (
        f"Untouched, {percent(clean['accuracy'])} of the {run.data} images are classified "
        "correctly. "
        f"With the best attack chosen for each image, what is left is {listing(kept)}"
        f"{'.' if steady else '; that it rises with eps is a sign of a failing attack.'} "
        f"{_DOTS if len(left) == 1 else 'Bands'} are 95 % "
        "intervals of the sample; confidence is the mean that the model states, right or wrong."
    )
