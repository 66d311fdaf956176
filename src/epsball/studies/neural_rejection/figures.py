"""The figures of study `neural-rejection`. Imports no torch."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from epsball.studies.claims.story import PlotBlock, StripBlock, Tile, plot_point
from epsball.studies.neural_rejection.case import NOTES
from epsball.studies.neural_rejection.results import LIMITED, SOURCE, TITLES, Results
from epsball.studies.neural_rejection.subjects import SUBJECTS
from epsball.studies.neural_rejection.tables import DEFENDED, KNOWLEDGE, WHOLE, images_of

Points = list[dict[str, Any]]


def accuracy_curves(results: Results) -> PlotBlock:
    """Plot accuracy over eps under the source's attack, and beside it under ours."""
    points: Points = []
    for attack, title in TITLES.items():
        few = "" if attack == SOURCE else f", {images_of(results, attack):,} images"
        for name in WHOLE:
            line = {"series": SUBJECTS[name].title, "panel": f"{title}{few}"}
            points += _curve(results, name, attack, line, draw=None if attack == SOURCE else 0)
    return PlotBlock(
        key="accuracy",
        caption=NOTES.text("accuracy-figure"),
        alt=NOTES.text("accuracy-alt"),
        x="eps, in l2",
        y="accuracy",
        points=points,
    )


def rejection_curves(results: Results) -> PlotBlock:
    """Plot the rejection rate over eps, by what the attacker knows."""
    points: Points = []
    for attack, panel in ((SOURCE, "the source's attack"), (LIMITED, "made on the bare network")):
        for name in DEFENDED:
            line = {"series": SUBJECTS[name].title, "panel": panel}
            draw = None if attack == SOURCE else 0
            points += _curve(results, name, attack, line, column="rejected", draw=draw)
    return PlotBlock(
        key="rejected",
        caption=NOTES.text("rejected-figure"),
        alt=NOTES.text("rejected-alt"),
        x="eps, in l2",
        y="rejected",
        points=points,
    )


def knowledge_curves(results: Results) -> PlotBlock:
    """Draw, for each defence, accuracy by what the attacker knows, first draw."""
    points: Points = []
    for name in DEFENDED:
        for attack, title in KNOWLEDGE.items():
            line = {"series": title, "panel": SUBJECTS[name].title}
            points += _curve(results, name, attack, line, draw=0)
    return PlotBlock(
        key="knowledge",
        caption=NOTES.text("knowledge-figure"),
        alt=NOTES.text("knowledge-alt"),
        x="eps, in l2",
        y="accuracy",
        points=points,
    )


def coverage_curves(results: Results) -> PlotBlock:
    """Plot the accuracy of the most trusted images over their share."""
    points: Points = []
    shown = [0.0, *([results.middle] if results.middle in results.eps else results.eps[:1])]
    kept = results.rows
    kept = kept.filter(pl.col("mode") == "coverage") if "coverage" in kept.columns else kept.clear()
    for eps in shown if len(kept) else ():
        at = kept.filter(pl.col("at_eps").is_close(eps, abs_tol=1e-9), repeat=0)
        panel = f"eps {eps:g}, the source's attack" if eps else "clean images"
        for name in DEFENDED:
            part = at.filter(subject=name).sort("coverage").unique("coverage", maintain_order=True)
            points += [
                {"series": SUBJECTS[name].title, "panel": panel, "x": share, "y": right}
                for share, right in part.select("coverage", "accepted_accuracy").iter_rows()
            ]
    return PlotBlock(
        key="coverage",
        caption=NOTES.text("coverage-figure"),
        alt=NOTES.text("coverage-alt"),
        x="share of images accepted",
        y="accuracy among them",
        points=points,
        shares="xy",
    )


def _curve(
    results: Results,
    name: str,
    attack: str,
    line: Mapping[str, str],
    *,
    draw: int | None,
    column: str = "accuracy",
) -> Points:
    """Return the points of one line; empty where only its clean end was measured."""
    points: Points = []
    for eps in (0.0, *results.eps):
        ours = results.estimate(name, attack, eps, column, draw=draw)
        if ours is not None:
            points.append(plot_point(ours, eps, **line))
    return points if any(point["x"] for point in points) else []


def strips(results: Results) -> list[StripBlock]:
    """Show the images that were kept."""
    kept = results.of_kind("strip")
    cells = kept.partition_by("cell", maintain_order=True) if len(kept) else []
    return [_strip(part.to_dicts()) for part in cells]


def _strip(rows: Sequence[dict[str, Any]]) -> StripBlock:
    first = rows[0]
    tiles = [
        Tile(row["eps"], row["prediction"], bool(row["right"]), row["confidence"]) for row in rows
    ]
    title = f"{first['label']} (image {first['position']}), {SUBJECTS[first['subject']].title}"
    file = f"images/{first['cell']}.npz"
    return StripBlock(title, "the source's attack", file, first["label"], tiles)
