"""Confusion: what images are taken for, clean, attacked, and the difference."""

from collections.abc import Iterable

import polars as pl

from epsball.report.audit.classes import ALL
from epsball.report.audit.run import Run, Setting, setting_of, strongest, telling, unique_names
from epsball.report.drawing.figure import Figure
from epsball.report.drawing.matrix import draw_matrices, draw_pairs
from epsball.report.drawing.numbers import count, percent, points
from epsball.report.drawing.table import Table, table

Cells = Iterable[tuple[int, int, int]]
_TOP = 15  # confusions in the chart where there are too many classes for a matrix
_LISTED = 60  # confusions in the table


def confusion_figure(run: Run, norm: str) -> Figure | None:
    """Build the figure of one norm at its most telling setting; None where no cells are kept."""
    confusion = run.summary.get("confusion") or {}
    attacked = {setting_of(e): e["cells"] for e in confusion.get("attacked") or []}
    settings = [setting for setting in attacked if setting.norm == norm]
    if not settings or not confusion.get("clean"):
        return None
    setting = telling(run, strongest(run, settings))
    frame = confusion_frame(run, confusion["clean"], attacked[setting])
    small = run.classes <= ALL
    worst = confused_pairs(frame, _TOP)
    if worst.is_empty() and not small:
        return None
    names, colour = run.short, run.colours()[setting.variant]
    return Figure(
        key=f"confusion-{norm}",
        caption=_caption(frame, setting, small=small),
        alt=f"What images of each class are taken for, clean and under {setting.words}.",
        draw=lambda width: (
            draw_matrices(frame, names, run.classes, width)
            if small
            else draw_pairs(worst, colour, width)
        ),
        table=_numbers(frame, setting),
    )


def confusion_frame(run: Run, clean: Cells, attacked: Cells) -> pl.DataFrame:
    """Join the clean and the attacked counts.

    Args:
        run: for the names of the classes.
        clean: (true, predicted, images).
        attacked: the same, under attack.

    Returns:
        Columns true, said (names), right, before, after (images), clean, attacked, change
        (shares of the true class).
    """
    first, second = _cells(clean, "before"), _cells(attacked, "after")
    both = first.join(second, on=["true", "said"], how="full", coalesce=True).fill_null(0)
    names = dict(enumerate(run.short))
    total = pl.col("before").sum().over("true")
    return (
        both.sort("true", "said")
        .with_columns(clean=pl.col("before") / total, attacked=pl.col("after") / total)
        .with_columns(
            change=pl.col("attacked") - pl.col("clean"),
            right=pl.col("true") == pl.col("said"),
            true=pl.col("true").replace_strict(names, return_dtype=pl.String),
            said=pl.col("said").replace_strict(names, return_dtype=pl.String),
        )
    )


def confused_pairs(frame: pl.DataFrame, top: int) -> pl.DataFrame:
    """Pick the most frequent confusions under attack.

    Args:
        frame: as `confusion_frame` returns it.
        top: how many, at most.

    Returns:
        Its rows, most frequent first, and a column pair that names each.
    """
    wrong = frame.filter(~pl.col("right"))
    first = wrong.sort("after", "before", descending=True, maintain_order=True).head(top)
    names = [f"{a} \u203a {b}" for a, b in first[["true", "said"]].rows()]
    return first.with_columns(pair=pl.Series(unique_names(names), dtype=pl.String))


def _cells(cells: Cells, name: str) -> pl.DataFrame:
    schema = {"true": pl.Int64, "said": pl.Int64, name: pl.Int64}
    return pl.DataFrame([tuple(cell) for cell in cells], schema=schema, orient="row")


def _numbers(frame: pl.DataFrame, setting: Setting) -> Table:
    rows = [
        [
            r["true"],
            r["said"],
            count(r["before"]),
            count(r["after"]),
            percent(r["attacked"]),
            points(r["change"]),
        ]
        for r in confused_pairs(frame, _LISTED).iter_rows(named=True)
    ]
    heads = "true class|taken for|#clean|#attacked|#share of the class|#points gained"
    return table(f"Most frequent confusions under {setting.words}", heads, rows)


def _caption(frame: pl.DataFrame, setting: Setting, *, small: bool) -> str:
    pairs = confused_pairs(frame, 1)
    said = f"Shown is {setting.words}. "
    if len(pairs):
        top = pairs.row(0, named=True)
        said += (
            f"Most often, \u201c{top['true']}\u201d is taken for \u201c{top['said']}\u201d: "
            f"{count(top['after'])} images under attack, {count(top['before'])} without. "
        )
    if not small:
        return said + "Bars count images under attack, upright ticks the same without."
    return said + (
        "Each row is a true class, each column what its images are taken for, in per cent of "
        "the row; the stronger, the more. In the difference, orange cells gained images, blue "
        "ones lost them."
    )
