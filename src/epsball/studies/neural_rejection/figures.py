"""The figures of study `neural-rejection`. Imports no torch."""

from collections.abc import Iterable
from typing import Any

import polars as pl

from epsball.studies.claims.story import PlotBlock, StripBlock, plot_point, strip_block
from epsball.studies.neural_rejection.results import LIMITED, NOTES, SOURCE, TITLES, Results
from epsball.studies.neural_rejection.subjects import SUBJECTS
from epsball.studies.neural_rejection.tables import DEFENDED, KNOWLEDGE, WHOLE, images_of

Points = list[dict[str, Any]]
_EPS = "eps, in l2"


def accuracy_curves(results: Results) -> PlotBlock:
    """Plot accuracy over eps under the source's attack, and beside it under ours."""
    points: Points = []
    for attack, title in TITLES.items():
        few = "" if attack == SOURCE else f", {images_of(results, attack):,} images"
        points += _curves(results, WHOLE, attack, f"{title}{few}")
    return NOTES.figure("accuracy", _EPS, "accuracy", points)


def rejection_curves(results: Results) -> PlotBlock:
    """Plot the rejection rate over eps, by what the attacker knows."""
    panels = {SOURCE: "the source's attack", LIMITED: "made on the bare network"}
    points = [
        point
        for attack, panel in panels.items()
        for point in _curves(results, DEFENDED, attack, panel, "rejected")
    ]
    return NOTES.figure("rejected", _EPS, "rejected", points)


def knowledge_curves(results: Results) -> PlotBlock:
    """Draw, for each defence, accuracy by what the attacker knows, first draw."""
    points = [
        point | {"series": title, "panel": SUBJECTS[name].title}
        for name in DEFENDED
        for attack, title in KNOWLEDGE.items()
        for point in _curves(results, [name], attack, "", first_draw=True)
    ]
    return NOTES.figure("knowledge", _EPS, "accuracy", points)


def coverage_curves(results: Results) -> PlotBlock:
    """Plot the accuracy of the most trusted images over their share."""
    points: Points = []
    shown = [0.0, *([results.middle] if results.middle in results.eps else results.eps[:1])]
    rows = results.rows
    rows = rows.filter(pl.col("mode") == "coverage") if "coverage" in rows.columns else rows.clear()
    for eps in shown if len(rows) else ():
        at = rows.filter(pl.col("at_eps").is_close(eps, abs_tol=1e-9), repeat=0)
        panel = f"eps {eps:g}, the source's attack" if eps else "clean images"
        for name in DEFENDED:
            part = at.filter(subject=name).sort("coverage").unique("coverage", maintain_order=True)
            points += [
                {"series": SUBJECTS[name].title, "panel": panel, "x": share, "y": right}
                for share, right in part.select("coverage", "accepted_accuracy").iter_rows()
            ]
    x, y = "share of images accepted", "accuracy among them"
    return NOTES.figure("coverage", x, y, points, shares="xy")


def _curves(
    results: Results,
    names: Iterable[str],
    attack: str,
    panel: str,
    column: str = "accuracy",
    *,
    first_draw: bool = False,
) -> Points:
    """Return one line per subject; none where only its clean end was measured.

    Other attacks than the source's were run on the first draw only.
    """
    draw = None if attack == SOURCE and not first_draw else 0
    points: Points = []
    for name in names:
        at = {e: results.estimate(name, attack, e, column, draw=draw) for e in (0.0, *results.eps)}
        known = {eps: one for eps, one in at.items() if one is not None}
        if any(known):
            series = SUBJECTS[name].title
            points += [plot_point(one, e, series=series, panel=panel) for e, one in known.items()]
    return points


def strips(results: Results) -> list[StripBlock]:
    """Show the images that were kept."""
    rows = results.of_kind("strip")
    cells = rows.partition_by("cell", maintain_order=True) if len(rows) else []
    return [
        strip_block(part.to_dicts(), TITLES[SOURCE], SUBJECTS[part["subject"][0]].title)
        for part in cells
    ]
