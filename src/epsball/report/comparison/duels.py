"""Attack against attack: which images only one of two attacks fools, with a paired test."""

from typing import Any

import altair as alt
import polars as pl

from epsball.report.audit.run import Run, Setting
from epsball.report.drawing.figure import WIDE, Chart, Figure
from epsball.report.drawing.numbers import count, distance, probability, whole_ticks
from epsball.report.drawing.table import table

_LEVEL = 0.05
_UNFOLDED = 24  # a longer table is folded
_DRAWN = 24  # duels in the chart; the table holds all


def duel_figure(run: Run) -> Figure | None:
    """Build the figure of paired comparisons; None where there are none."""
    duels = list(run.summary.get("comparisons") or [])
    if not duels:
        return None
    rows = [
        [
            d["a"],
            d["b"],
            d["norm"],
            distance(d["eps"]),
            count(d["only_a"]),
            count(d["only_b"]),
            probability(d["p_value"]),
            probability(d["p_holm"]),
            _verdict(d),
        ]
        for d in duels
    ]
    frame = duel_frame(run, duels[:_DRAWN])
    heads = "a|b|norm|#eps|#only a fools|#only b fools|#p|#p (Holm)|reading"
    return Figure(
        key="duels",
        caption="Each row sets two attacks on the same images against each other: to the left, "
        "images that only the first fools; to the right, those that only the second fools. p is "
        "from an exact paired test (McNemar), corrected for their number (Holm).",
        alt="For each pair of attacks, the number of images that only one of them fools.",
        draw=lambda width: draw_duels(frame, run.colours(), width),
        table=table("Attacks compared on the same images", heads, rows),
        unfolded=len(rows) <= _UNFOLDED,
    )


def duel_frame(run: Run, duels: list[dict[str, Any]]) -> pl.DataFrame:
    """Gather the duels, two rows each.

    Returns:
        Columns row (the duel), attack, signed (images that only this attack fools; the first
        attack's are negative, to be drawn to the left), fooled (the same, positive).
    """
    rows = []
    for d in duels:
        pair = Setting(f"{d['a']} / {d['b']}", d["norm"], d["eps"])
        for side, sign in (("a", -1), ("b", 1)):
            fooled = int(d[f"only_{side}"])
            entry = {"row": run.row(pair), "attack": d[side], "signed": sign * fooled}
            rows.append(entry | {"left": sign < 0, "fooled": fooled})
    return pl.DataFrame(rows)


def draw_duels(frame: pl.DataFrame, colours: dict[str, str], width: int) -> Chart:
    """Draw one row a duel: to the left what only the first fools, to the right the second.

    Args:
        frame: as `duel_frame` returns it.
        colours: one light colour an attack.
        width: total width, pixels.

    Returns:
        Bars from a middle line.
    """
    wide = width >= WIDE
    label = 260 if wide else 150
    far = max(1, *frame["fooled"].to_list())
    names = alt.Axis(title=None, labelLimit=label - 10, grid=False)
    y = alt.Y("row:N").sort(frame["row"].unique(maintain_order=True).to_list()).axis(names)
    ticks = whole_ticks(far, most=3)
    axis = alt.Axis(
        title="images that only one of the two fools",
        values=[*(-tick for tick in ticks[:0:-1]), *ticks],
        labelExpr="format(abs(datum.value), 'd')",
    )
    x = alt.X("signed:Q").axis(axis).scale(domain=[-far * 1.15, far * 1.15])
    fighting = [name for name in colours if name in frame["attack"]]
    scale = alt.Scale(domain=fighting, range=[colours[name] for name in fighting])
    legend = alt.Legend(columns=3 if wide else 1, labelLimit=240 if wide else 160)
    colour = alt.Color("attack:N").scale(scale).legend(legend)
    base = alt.Chart(frame)
    tips = [alt.Tooltip(field) for field in ("row:N", "attack:N", "fooled:Q")]
    bars = base.mark_bar(opacity=0.8).encode(x, y, colour, tooltip=tips)
    left = base.transform_filter("datum.left").mark_text(align="right", dx=-4)
    right = base.transform_filter("!datum.left").mark_text(align="left", dx=4)
    words = [text.encode(x, y, text=alt.Text("fooled:Q")) for text in (left, right)]
    plot = min(width - label - 20, 520)
    return alt.layer(bars, *words).properties(width=plot, height=alt.Step(22))


def _verdict(duel: dict[str, Any]) -> str:
    if duel["p_holm"] is None or duel["p_holm"] >= _LEVEL:
        return "no difference shown"
    return f"{duel['a' if duel['only_a'] > duel['only_b'] else 'b']} fools more"
