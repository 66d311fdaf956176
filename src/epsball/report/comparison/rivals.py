"""Figures of a comparison: one line a model and attack, and the classes where two models part."""

from typing import Any

import altair as alt
import polars as pl

from epsball.report.audit.classes import ALL
from epsball.report.audit.curve import POINTS, bounds, draw_curve
from epsball.report.audit.key import ACCURACY, Key
from epsball.report.audit.run import unique, unique_names
from epsball.report.drawing.figure import Chart, Figure
from epsball.report.drawing.numbers import (
    brief,
    count,
    distance,
    interval,
    percent,
    points,
    probability,
)
from epsball.report.drawing.palette import BLUE, SOFT, VERMILION, series_shapes
from epsball.report.drawing.table import table

CLEAN = "clean"
SIDES = ("A", "B")
LEVEL = 0.05
_DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [10, 2], [4, 2, 1, 2])
_LABELS = 150


def rival_figure(rows: list[dict[str, Any]], norm: str) -> Figure | None:
    """Build the curve of two models in one norm; None where no accuracy is known.

    Args:
        rows: of the comparison: variant, norm, eps, accuracy_a, ci_a, accuracy_b, ci_b.
        norm: the norm to draw.

    Returns:
        The figure.
    """
    variants = unique(r["variant"] for r in rows if r["norm"] == norm and r["variant"] != CLEAN)
    clean = [r for r in rows if r["variant"] == CLEAN][:1]
    starts = [point for r in clean for variant in variants for point in _points(r, variant, 0.0)]
    tried = [r for r in rows if r["norm"] == norm and r["variant"] != CLEAN]
    attacked = [point for r in tried for point in _points(r, r["variant"], r["eps"])]
    if not attacked:
        return None
    frame = pl.DataFrame([*attacked, *starts], schema=POINTS).sort("series", "eps")
    key = rival_key(variants, norm)
    numbers = [
        [r["series"], distance(r["eps"]), percent(r["value"]), interval(bounds(r))]
        for r in frame.iter_rows(named=True)
    ]
    return Figure(
        key=f"rivals-{norm}",
        caption="Accuracy against the budget of the attack: A is orange, B is blue, and each "
        "attack has its own dash and point. Bands (with one eps, pale bars) are "
        "95 % intervals of the sample; the images are the same.",
        alt=f"Accuracy of both models against eps in {norm}, one line a model and attack.",
        draw=lambda width: draw_curve(frame, key, width),
        table=table("The numbers of the curve", "line|#eps|#accuracy|#95 % interval", numbers),
    )


def rival_key(variants: list[str], norm: str) -> Key:
    """Say how lines are drawn: the colour is the model's, dash and shape are the attack's."""
    shapes = series_shapes(variants)
    return Key(
        series=[f"{side} {variant}" for side in SIDES for variant in variants],
        colours=[ink.light for ink in (VERMILION, BLUE) for _ in variants],
        shapes=[*shapes, *shapes],
        dashes=[_DASHES[i % len(_DASHES)] for _ in SIDES for i in range(len(variants))],
        axis=f"eps, in {norm}",
    )


def part_figure(entries: list[dict[str, Any]], words: str) -> Figure | None:
    """Build the figure of classes under one setting; None where no accuracy is known.

    Args:
        entries: per class: class, name, n, accuracy_a, accuracy_b, p_value, p_holm.
        words: the setting, for sentences.

    Returns:
        The figure; of many classes, those that differ most.
    """
    known = [e for e in entries if None not in (e["accuracy_a"], e["accuracy_b"])]
    if not known:
        return None
    frame = part_frame(known)
    shown = frame.head(ALL)
    rows = [
        [
            e["name"],
            count(e["n"]),
            percent(e["a"]),
            percent(e["b"]),
            points(e["b"] - e["a"]),
            probability(e["p"]),
            probability(e["holm"]),
        ]
        for e in frame.iter_rows(named=True)
    ]
    heads = "class|#images|#A|#B|#B minus A, points|#p|#p (Holm)"
    return Figure(
        key="parting",
        caption=_caption(frame, words),
        alt=f"Accuracy of both models class by class, {words}.",
        draw=lambda width: draw_parting(shown, width),
        table=table(f"Both models, class by class, {words}", heads, rows),
    )


def part_frame(entries: list[dict[str, Any]]) -> pl.DataFrame:
    """Gather the classes, those that differ most first.

    Returns:
        Columns name, n, a, b (accuracies), p, holm (p-values).
    """
    names = unique_names([brief(str(e["name"]), 22) for e in entries])
    rows = [
        {
            "name": name,
            "n": int(e["n"]),
            "a": float(e["accuracy_a"]),
            "b": float(e["accuracy_b"]),
            "p": e.get("p_value"),
            "holm": e.get("p_holm"),
        }
        for name, e in zip(names, entries, strict=True)
    ]
    kinds = {"name": pl.String, "n": pl.Int64, "a": pl.Float64, "b": pl.Float64}
    frame = pl.DataFrame(rows, schema=kinds | {"p": pl.Float64, "holm": pl.Float64})
    return frame.sort((pl.col("b") - pl.col("a")).abs(), descending=True, maintain_order=True)


def draw_parting(frame: pl.DataFrame, width: int) -> Chart:
    """Draw one row a class: a dot a model, joined by a line.

    Args:
        frame: as `part_frame` returns it.
        width: total width, pixels.

    Returns:
        The chart.
    """
    plot = min(width - _LABELS - 30, 520)
    long = frame.unpivot(["a", "b"], index="name", variable_name="side", value_name="accuracy")
    long = long.with_columns(model=pl.col("side").str.to_uppercase())
    axis = alt.Axis(title=None, labelLimit=_LABELS - 10, grid=False)
    y = alt.Y("name:N").sort(frame["name"].to_list()).axis(axis)
    share = alt.Axis(values=[0, 0.25, 0.5, 0.75, 1], format=".0%", title="accuracy")
    x = alt.X("accuracy:Q").axis(share).scale(domain=[0, 1])
    scale = alt.Scale(domain=list(SIDES), range=[VERMILION.light, BLUE.light])
    shape = alt.Scale(domain=list(SIDES), range=["circle", "square"])
    line = alt.Chart(frame).mark_rule(color=SOFT.light, strokeWidth=1.5)
    dot = alt.Chart(long).mark_point(filled=True, size=80, opacity=1)
    tips = [alt.Tooltip("name:N"), alt.Tooltip("model:N"), alt.Tooltip("accuracy:Q", format=".1%")]
    return alt.layer(
        line.encode(alt.X("a:Q").axis(share), y, x2=alt.X2("b:Q")),
        dot.encode(
            x, y, alt.Color("model:N").scale(scale), alt.Shape("model:N").scale(shape), tooltip=tips
        ),
    ).properties(width=plot, height=alt.Step(22))


def _points(row: dict[str, Any], variant: str, eps: float) -> list[dict[str, Any]]:
    """Both models' points of a row of the comparison, as the curve wants them."""
    ends = []
    for side in SIDES:
        value = row[f"accuracy_{side.lower()}"]
        if value is not None:
            low, high = row.get(f"ci_{side.lower()}") or (None, None)
            at = {"series": f"{side} {variant}", "panel": ACCURACY, "eps": eps, "value": value}
            ends.append(at | {"low": low, "high": high})
    return ends


def _caption(frame: pl.DataFrame, words: str) -> str:
    sure = frame.filter(pl.col("holm") < LEVEL)
    first = frame.row(0, named=True)
    said = (
        f"{words[0].upper()}{words[1:]}, the models differ most on \u201c{first['name']}\u201d: "
        f"{percent(first['a'])} for A, {percent(first['b'])} for B. "
    )
    shown = f" Shown are the {ALL} that differ most." if len(frame) > ALL else ""
    return said + (
        f"In {count(len(sure))} of {count(len(frame))} classes the difference is more than chance "
        f"(paired test, p below {LEVEL:g} after Holm's correction).{shown}"
    )
