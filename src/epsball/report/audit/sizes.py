"""Perturbation sizes: how far an attack moved the images, in four ways of measuring."""

from typing import Any

import altair as alt
import polars as pl

from epsball.evaluation.records.schema import read_records
from epsball.report.audit.run import Run, setting_of, unique
from epsball.report.drawing.figure import WIDE, Chart, Figure
from epsball.report.drawing.numbers import size
from epsball.report.drawing.table import table
from epsball.types import NORMS

MEASURES = {
    "l0": "l0: values changed",
    "l1": "l1: sum of changes",
    "l2": "l2: length of the change",
    "linf": "linf: largest change",
}
_SCHEMA = {
    "row": pl.String,
    "variant": pl.String,
    "measure": pl.String,
    "low": pl.Float64,
    "middle": pl.Float64,
    "high": pl.Float64,
}


def size_figure(run: Run) -> Figure | None:
    """Build the figure of perturbation sizes; None where the records hold none."""
    frame = size_frame(run, read_records(run.path))
    if frame.is_empty():
        return None
    colours = run.colours()
    rows = [
        [r["row"], r["measure"], size(r["low"]), size(r["middle"]), size(r["high"])]
        for r in frame.iter_rows(named=True)
    ]
    return Figure(
        key="sizes",
        caption="How far the images moved. Dots are medians over all images of the setting; "
        "lines reach from the smallest tenth to the largest tenth. Pixels go from 0 to 1.",
        alt="Sizes of the perturbations of each attack and eps, in l0, l1, l2 and linf.",
        draw=lambda width: draw_sizes(frame, colours, width),
        table=table("Sizes of the perturbations", "setting|measure|#10 %|#median|#90 %", rows),
    )


def size_frame(run: Run, records: pl.DataFrame) -> pl.DataFrame:
    """Sum the sizes of a run's perturbations up.

    Args:
        run: for the settings and their order.
        records: as `read_records` returns them.

    Returns:
        Columns row (the setting), variant, measure, low, middle, high: the 10 %, 50 % and 90 %
        quantiles. An image whose size is not known, its attack having stopped early, is left out.
    """
    quantiles = [
        pl.col(measure).quantile(share).alias(f"{measure} {name}")
        for measure in MEASURES
        for name, share in (("low", 0.1), ("middle", 0.5), ("high", 0.9))
    ]
    summed = records.group_by("variant", "norm", "eps").agg(quantiles)
    by_setting = {setting_of(s): s for s in summed.iter_rows(named=True)}
    rows: list[dict[str, Any]] = []
    for setting in map(setting_of, run.results):
        s = by_setting.get(setting, {})
        name = {"row": run.row(setting), "variant": setting.variant}
        for measure in MEASURES:
            values = {part: s.get(f"{measure} {part}") for part in ("low", "middle", "high")}
            if values["middle"] is not None:
                rows.append(name | {"measure": measure} | values)
    return pl.DataFrame(rows, schema=_SCHEMA)


def draw_sizes(frame: pl.DataFrame, colours: dict[str, str], width: int) -> Chart:
    """Draw one panel a measure, one row a setting: the median and the middle four fifths.

    Args:
        frame: as `size_frame` returns it.
        colours: one light colour an attack.
        width: total width, pixels.

    Returns:
        Panels four in a row if there is room, else one under the other.
    """
    wide = width >= WIDE
    label = 190 if wide else 140
    plot = (width - label) // len(NORMS) - 34 if wide else width - label - 20
    scale = alt.Scale(domain=list(colours), range=list(colours.values()))
    colour = alt.Color("variant:N").scale(scale).legend(None)
    panels = []
    for i, measure in enumerate(MEASURES):
        part = frame.filter(measure=measure)
        if part.is_empty():
            continue
        axis = alt.Axis(title=None, labelLimit=label - 10, grid=False)
        y = alt.Y("row:N").sort(unique(part["row"])).axis(axis if i == 0 or not wide else None)
        panels.append(_panel(part, y, colour, MEASURES[measure], plot))
    return alt.hconcat(*panels, spacing=30) if wide else alt.vconcat(*panels, spacing=20)


def _panel(frame: pl.DataFrame, y: alt.Y, colour: alt.Color, title: str, plot: int) -> Chart:
    axis = alt.Axis(title=None, tickCount=3, format=",~f")
    base = alt.Chart(frame)
    tips = [
        alt.Tooltip("row:N"),
        *(alt.Tooltip(f"{part}:Q", format=".3~g") for part in ("low", "middle", "high")),
    ]
    return alt.layer(
        base.mark_rule(strokeWidth=4, opacity=0.35).encode(
            alt.X("low:Q").axis(axis).scale(zero=True), y, colour, x2=alt.X2("high:Q")
        ),
        base.mark_point(filled=True, size=60, opacity=1).encode(
            alt.X("middle:Q").axis(axis), y, colour, tooltip=tips
        ),
    ).properties(width=plot, height=alt.Step(22), title=title)
