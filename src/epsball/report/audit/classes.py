"""Per-class bars: which classes an attack hurts most, and whether a class started out weak."""

from collections.abc import Sequence
from typing import Any

import altair as alt
import polars as pl

from epsball.report.audit.run import Run, Setting, setting_of, strongest, telling
from epsball.report.drawing.figure import WIDE, Chart, Figure
from epsball.report.drawing.numbers import count, distance, interval, percent
from epsball.report.drawing.palette import INK
from epsball.report.drawing.table import Table, table

ALL = 20  # up to so many classes every one gets a bar
ENDS = 10  # of more than that, so many of the most and of the least hurt
GAP = "\u2026"
FEW = 10  # images in a class below which its bar says little
_PANELS = 3
_MANY = 12  # rows beyond which the narrow drawing has one panel only
_LABELS = 150  # pixels kept for class names


def class_figure(run: Run, norm: str) -> Figure | None:
    """Build the bars of one norm, under its strongest attack; None where no rate is known."""
    entries = [e for e in run.summary.get("per_class") or [] if e["norm"] == norm]
    entries = [e for e in entries if e["robust_accuracy"] is not None]
    if not entries:
        return None
    settings = strongest(run, list(dict.fromkeys(setting_of(e) for e in entries)))
    reference = telling(run, settings)
    frame = class_frame(run, entries, settings)
    order = class_order(frame, reference.eps)
    panels, colour = _few(settings, reference), run.colours()[reference.variant]
    return Figure(
        key=f"classes-{norm}",
        caption=_caption(frame, reference, order),
        alt=f"Accuracy of each class, clean and under {reference.words} in {norm}.",
        draw=lambda width: draw_classes(
            frame,
            panels if width >= WIDE or len(order) <= _MANY else [reference],
            order,
            colour,
            width,
        ),
        table=_numbers(frame, settings, norm),
    )


def class_frame(run: Run, entries: list[dict[str, Any]], settings: list[Setting]) -> pl.DataFrame:
    """Gather the classes under the chosen settings.

    Returns:
        Columns place (its number), name, eps, n, clean, robust, low, high, lost (relative to
        clean); shares in [0, 1].
    """
    rows, names = [], run.short
    for entry in entries:
        if setting_of(entry) in settings:
            low, high = entry["robust_accuracy_ci"]
            rows.append(
                {
                    "place": int(entry["class"]),
                    "name": names[int(entry["class"])],
                    "eps": float(entry["eps"]),
                    "n": int(entry["n"]),
                    "clean": float(entry["clean_accuracy"]),
                    "robust": float(entry["robust_accuracy"]),
                    "low": float(low),
                    "high": float(high),
                    "lost": entry.get("relative_difference"),
                }
            )
    return pl.DataFrame(rows, schema_overrides={"lost": pl.Float64}).sort("eps", "place")


def class_order(frame: pl.DataFrame, eps: float) -> list[str]:
    """Name the classes from the most to the least hurt at one eps.

    Args:
        frame: as `class_frame` returns it.
        eps: where the fall from clean to attacked accuracy is compared.

    Returns:
        Every class, or where there are more than `ALL`, both ends with a gap between them.
    """
    ranked = frame.filter(eps=eps).sort(
        pl.col("robust") - pl.col("clean"), "robust", "place", maintain_order=True
    )
    names: list[str] = ranked["name"].to_list()
    return names if len(names) <= ALL else [*names[:ENDS], GAP, *names[-ENDS:]]


def draw_classes(
    frame: pl.DataFrame, settings: Sequence[Setting], order: list[str], colour: str, width: int
) -> Chart:
    """Draw one panel an eps: a bar up to the attacked accuracy, its interval, a clean tick.

    Args:
        frame: as `class_frame` returns it.
        settings: those that get a panel.
        order: class names from top to bottom.
        colour: of the bars: the attack's.
        width: total width, pixels.

    Returns:
        The panels side by side if there is room, else one under the other.
    """
    wide = width >= WIDE
    share = (width - _LABELS - 60) // len(settings) - 20 if wide else width - _LABELS
    plot = min(share, 420)
    panels = [
        _panel(
            frame.filter(eps=setting.eps), order, colour, plot, named=not wide or i == 0
        ).properties(title=f"at eps {distance(setting.eps)}")
        for i, setting in enumerate(settings)
    ]
    return alt.hconcat(*panels, spacing=20) if wide else alt.vconcat(*panels, spacing=20)


def _panel(frame: pl.DataFrame, order: list[str], colour: str, plot: int, *, named: bool) -> Chart:
    shown = frame.filter(pl.col("name").is_in(order))
    labels = alt.Axis(title=None, labelLimit=_LABELS - 10, grid=False, labelColor=INK.light)
    y = alt.Y("name:N").axis(labels if named else None).scale(domain=order, paddingInner=0.3)
    axis = alt.Axis(values=[0, 0.5, 1], format=".0%", title=None)
    x = alt.X("robust:Q").scale(domain=[0, 1]).axis(axis)
    base = alt.Chart(shown)
    tips = [
        alt.Tooltip("name:N", title="class"),
        alt.Tooltip("clean:Q", format=".1%"),
        alt.Tooltip("robust:Q", format=".1%", title="attacked"),
        alt.Tooltip("n:Q", title="images"),
    ]
    return alt.layer(
        base.mark_bar(color=colour, opacity=0.75).encode(x, y, tooltip=tips),
        base.mark_rule(color=INK.light, strokeWidth=1).encode(
            alt.X("low:Q").axis(axis), y, x2=alt.X2("high:Q")
        ),
        base.mark_tick(color=INK.light, thickness=2.5, bandSize=14).encode(
            alt.X("clean:Q").axis(axis), y, tooltip=tips
        ),
    ).properties(width=plot, height=alt.Step(20))


def _few(settings: list[Setting], reference: Setting) -> list[Setting]:
    """At most three panels: around the telling one."""
    start = min(max(settings.index(reference) - 1, 0), max(len(settings) - _PANELS, 0))
    return settings[start : start + _PANELS]


def _numbers(frame: pl.DataFrame, settings: list[Setting], norm: str) -> Table:
    rows = []
    for (_, name), group in frame.group_by("place", "name", maintain_order=True):
        first = group.row(0, named=True)
        row = [str(name), count(first["n"]), percent(first["clean"])]
        for entry in group.iter_rows(named=True):
            bounds = interval((entry["low"], entry["high"]))
            row += [percent(entry["robust"]), bounds, percent(entry["lost"])]
        rows.append(row)
    heads = "".join(f"|#at eps {distance(s.eps)}|#95 % interval|#relative loss" for s in settings)
    caption = (
        f"Accuracy of each class under {settings[0].variant} in {norm}; the relative loss is the "
        "share of the clean accuracy that is gone"
    )
    return table(caption, f"class|#images|#clean{heads}", rows)


def _caption(frame: pl.DataFrame, reference: Setting, order: list[str]) -> str:
    at = {row["name"]: row for row in frame.filter(eps=reference.eps).iter_rows(named=True)}
    most, least = at[order[0]], at[order[-1]]
    said = (
        f"Under {reference.words}, \u201c{most['name']}\u201d falls furthest, from "
        f"{percent(most['clean'])} to {percent(most['robust'])}; \u201c{least['name']}\u201d holds "
        f"best, from {percent(least['clean'])} to {percent(least['robust'])}. Bars end at what is "
        "left, thin lines are 95 % intervals, upright ticks mark the clean accuracy."
    )
    if GAP in order:
        said += f" Shown are the {ENDS} most and the {ENDS} least hurt of {len(at)} classes."
    few = sum(row["n"] < FEW for row in at.values())
    if few:
        said += f" {count(few)} classes have fewer than {FEW} images: their bars are anecdotes."
    return said
