"""Cost: what each attack spent on an image."""

from typing import Any

import altair as alt
import polars as pl

from epsball.report.audit.run import Run, setting_of, unique
from epsball.report.drawing.figure import WIDE, Chart, Figure
from epsball.report.drawing.numbers import count, distance, duration
from epsball.report.drawing.palette import FILL, INK, SOFT
from epsball.report.drawing.table import Table, table

KINDS = {"forwards": "forward passes", "backwards": "backward passes", "queries": "queries"}


def cost_figure(run: Run) -> Figure | None:
    """Build the figure of passes and seconds; None where the run has no result."""
    frame = cost_frame(run)
    if frame.is_empty():
        return None
    rows = [
        [
            r["variant"],
            r["norm"],
            distance(r["eps"]),
            count(r["n"]),
            *(count(r.get(kind)) for kind in KINDS),
            duration(r.get("seconds")),
        ]
        for r in run.results
    ]
    cost = run.summary.get("cost") or {}
    heads = "attack|norm|#eps|#images|#forwards|#backwards|#queries|#time"
    return Figure(
        key="cost",
        caption=f"The run took {count(cost.get('forwards'))} forward and "
        f"{count(cost.get('backwards'))} backward passes of one image, and "
        f"{duration(cost.get('seconds'))}, for its attacks. Bars are means over the images; an "
        "image that is fooled early costs less where the attack may stop.",
        alt="Mean number of forward and backward passes that each attack spent on an image.",
        draw=lambda width: draw_cost(frame, width),
        table=table("Passes and time of each setting", heads, rows),
    )


def phases_table(run: Run) -> Table | None:
    """Return what each phase of the run cost, beside what was foretold; None for an older version.

    The phase "report" is left out: it is not over while this page is drawn.
    """
    phases: dict[str, dict[str, Any]] = run.summary.get("phases") or {}
    foretold: dict[str, dict[str, Any]] = run.summary.get("foretold") or {}
    rows = [
        [name, *_phase(spent), *(_phase(foretold[name]) if name in foretold else [])]
        for name, spent in phases.items()
        if name != "report"
    ]
    heads = "phase|#forwards|#backwards|#time"
    heads += "|#forwards foretold|#backwards foretold|#time foretold" if foretold else ""
    return table("Passes and time of each phase of the run", heads, rows) if rows else None


def _phase(spent: dict[str, Any]) -> list[str]:
    return [count(spent["forwards"]), count(spent["backwards"]), duration(spent["seconds"])]


def cost_frame(run: Run) -> pl.DataFrame:
    """Gather the passes of each setting, per image.

    Returns:
        Columns row (the setting), kind, order, each (mean passes an image).
        Kinds never used are left out.
    """
    rows = [
        {
            "row": run.row(setting_of(r)),
            "kind": words,
            "order": order,
            "each": (r.get(kind) or 0) / max(r["n"], 1),
        }
        for r in run.results
        for order, (kind, words) in enumerate(KINDS.items())
    ]
    schema = {"row": pl.String, "kind": pl.String, "order": pl.Int64, "each": pl.Float64}
    frame = pl.DataFrame(rows, schema=schema)
    return frame.filter(pl.col("each").max().over("kind") > 0)


def draw_cost(frame: pl.DataFrame, width: int) -> Chart:
    """Draw one stacked bar a setting.

    Args:
        frame: as `cost_frame` returns it.
        width: total width, pixels.

    Returns:
        Bars of passes an image, by kind.
    """
    label = 220 if width >= WIDE else 140
    kinds = [kind for kind in KINDS.values() if kind in frame["kind"]]
    colours = [FILL.light, SOFT.light, INK.light][: len(kinds)]
    axis = alt.Axis(title=None, labelLimit=label - 10, grid=False, labelColor=INK.light)
    y = alt.Y("row:N").sort(unique(frame["row"])).axis(axis)
    x = alt.X("each:Q").axis(alt.Axis(title="passes an image", tickCount=5))
    colour = alt.Color("kind:N").scale(alt.Scale(domain=kinds, range=colours))
    tips = [alt.Tooltip("row:N"), alt.Tooltip("kind:N"), alt.Tooltip("each:Q", format=",.1f")]
    bars: alt.Chart = (
        alt.Chart(frame)
        .mark_bar()
        .encode(x, y, colour, order=alt.Order("order:Q"), tooltip=tips)
        .properties(width=min(width - label - 20, 560), height=alt.Step(20))
    )
    return bars
