"""Drawings of confusion: matrices where classes are few, the worst pairs where they are many."""

from dataclasses import dataclass

import altair as alt
import polars as pl

from epsball.report.drawing.figure import WIDE, Chart
from epsball.report.drawing.numbers import whole_ticks
from epsball.report.drawing.palette import INK, LESS, MORE, PAPER

_PANELS = {"clean": "Clean", "attacked": "Attacked", "change": "Difference"}
_SPELLED = 11  # up to so many columns a cell has room for its number
_LARGEST = 44  # pixels of a cell


@dataclass(frozen=True)
class Grid:
    """What the three matrices share.

    Args:
        names: the columns: classes in order, then "reject" if the model may.
        classes: how many of them are classes, that is, rows.
        step: side of a cell, pixels.
    """

    names: list[str]
    classes: int
    step: int


def draw_matrices(frame: pl.DataFrame, names: list[str], classes: int, width: int) -> Chart:
    """Draw clean, attacked and difference, each row a true class, stronger for a larger share.

    Args:
        frame: columns true, said (names), before, after (images), clean, attacked, change
            (shares of the true class).
        names: the columns: classes in order, then "reject" if the model may.
        classes: how many of them are classes, that is, rows.
        width: total width, pixels.

    Returns:
        Three matrices, side by side if there is room.
    """
    wide = width >= WIDE
    side = (width - 150) // 3 if wide else width - 100
    grid = Grid(names, classes, min(side // len(names), _LARGEST))
    panels = [
        _matrix(frame, field, grid, named=not wide or i == 0) for i, field in enumerate(_PANELS)
    ]
    return alt.hconcat(*panels, spacing=16) if wide else alt.vconcat(*panels, spacing=16)


def draw_pairs(frame: pl.DataFrame, colour: str, width: int) -> Chart:
    """Draw the most frequent confusions: bars for the attacked counts, ticks for the clean ones.

    Args:
        frame: columns pair, before, after; most frequent first.
        colour: of the bars: the attack's.
        width: total width, pixels.

    Returns:
        One bar a confusion.
    """
    label = 340 if width >= WIDE else 200
    axis = alt.Axis(title=None, labelLimit=label - 10, grid=False, labelColor=INK.light)
    y = alt.Y("pair:N").sort(frame["pair"].to_list()).axis(axis)
    top = max(max(row) for row in frame[["before", "after"]].rows())
    whole = alt.Axis(title="images", format="d", values=whole_ticks(top))
    tips = [alt.Tooltip(field) for field in ("pair:N", "before:Q", "after:Q")]
    base = alt.Chart(frame)
    bars = base.mark_bar(color=colour, opacity=0.75)
    ticks = base.mark_tick(color=INK.light, thickness=2.5, bandSize=14)
    return alt.layer(
        bars.encode(alt.X("after:Q").axis(whole), y, tooltip=tips),
        ticks.encode(alt.X("before:Q").axis(whole), y, tooltip=tips),
    ).properties(width=width - label - 20, height=alt.Step(20))


def _matrix(frame: pl.DataFrame, field: str, grid: Grid, *, named: bool) -> Chart:
    filled = frame.filter(pl.col(field).abs() > 0).with_columns(
        size=pl.col(field).abs(),
        more=pl.col(field) > 0,
        words=(pl.col(field) * 100).round(0).cast(pl.Int64).cast(pl.String),
    )
    x, y = _axes(grid, named=named)
    # an opacity over the paper, not a colour of its own, so that dark paper works as well
    strength = alt.Opacity("size:Q").legend(None)
    strength = strength.scale(type="pow", exponent=0.6, domain=[0, 1], range=[0.04, 1])
    hue = alt.when("datum.more").then(alt.value(MORE.light)).otherwise(alt.value(LESS.light))
    fill = hue if field == "change" else alt.value(INK.light)
    tips = [alt.Tooltip(name) for name in ("true:N", "said:N", "before:Q", "after:Q")]
    base = alt.Chart(filled)
    layers = [base.mark_rect().encode(x, y, strength, fill=fill, tooltip=tips)]
    if len(grid.names) <= _SPELLED:
        # where text turns light: grey is darker than the two hues of the same strength
        limit = 0.5 if field == "change" else 0.42
        light = alt.when(f"datum.size > {limit}").then(alt.value(PAPER.light))
        text = base.transform_filter("datum.size >= 0.005").mark_text(fontSize=10)
        colour = light.otherwise(alt.value(INK.light))
        layers.append(text.encode(x, y, text=alt.Text("words:N"), color=colour))
    size = {"width": alt.Step(grid.step), "height": alt.Step(grid.step)}
    return alt.layer(*layers).properties(**size, title=_PANELS[field])


def _axes(grid: Grid, *, named: bool) -> tuple[alt.X, alt.Y]:
    look = {
        "grid": False,
        "labelFontSize": min(12, grid.step - 1),
        "labelLimit": 70,
        "labelOverlap": False,
    }
    across = alt.Axis.from_dict({"title": "taken for", "labelAngle": -90, **look}, validate=False)
    down = alt.Axis.from_dict({"title": None, **look}, validate=False)
    columns = alt.Scale(domain=grid.names, paddingInner=0.06, paddingOuter=0)
    rows = alt.Scale(domain=grid.names[: grid.classes], paddingInner=0.06, paddingOuter=0)
    x, y = alt.X("said:N").scale(columns), alt.Y("true:N").scale(rows)
    return x.axis(across), y.axis(down if named else None)
