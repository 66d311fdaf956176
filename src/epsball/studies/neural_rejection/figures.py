"""The figures of study `neural-rejection`. Imports no torch."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from epsball.studies.claims.story import PlotBlock, StripBlock, Tile
from epsball.studies.neural_rejection.measured import LIMITED, SAID, SOURCE, Results
from epsball.studies.neural_rejection.subjects import SUBJECTS
from epsball.studies.neural_rejection.tables import KNOWING, REJECTORS, WHOLE, images_of

Points = list[dict[str, Any]]


def accuracy_curves(results: Results) -> PlotBlock:
    """Draw accuracy over eps under the source's attack, and beside it under ours."""
    points: Points = []
    for attack, words in SAID.items():
        few = "" if attack == SOURCE else f", {images_of(results, attack):,} images"
        for name in WHOLE:
            line = {"series": SUBJECTS[name].words, "panel": f"{words}{few}"}
            points += _curve(results, name, attack, line, draw=None if attack == SOURCE else 0)
    return PlotBlock(
        key="accuracy",
        caption="An attacked image counts as right where it is rejected; a clean one, at eps 0, "
        "does not. Bands are 95 % intervals: under the source's attack over draws of images, "
        "under ours over the images of the first draw.",
        alt="Accuracy against eps, one line a defence, under the source's attack and under ours.",
        x="eps, in l2",
        y="accuracy",
        points=points,
    )


def rejection_curves(results: Results) -> PlotBlock:
    """Draw the rejection rate over eps, by what the attacker knows."""
    points: Points = []
    for attack, panel in ((SOURCE, "the source's attack"), (LIMITED, "made on the bare network")):
        for name in (one for one in WHOLE if one in REJECTORS):
            line = {"series": SUBJECTS[name].words, "panel": panel}
            draw = None if attack == SOURCE else 0
            points += _curve(results, name, attack, line, column="rejected", draw=draw)
    return PlotBlock(
        key="rejected",
        caption="At eps 0 nobody has touched the images: what is rejected there is lost. Bands "
        "are 95 % intervals, left over draws of images, right over those of the first draw.",
        alt="Rejection rate against eps, one line a defence.",
        x="eps, in l2",
        y="rejected",
        points=points,
    )


def knowledge_curves(results: Results) -> PlotBlock:
    """Draw, for each defence, accuracy by what the attacker knows, first draw."""
    points: Points = []
    for name in (one for one in WHOLE if one in REJECTORS):
        for attack, words in KNOWING:
            line = {"series": words, "panel": SUBJECTS[name].words}
            points += _curve(results, name, attack, line, draw=0)
    return PlotBlock(
        key="knowledge",
        caption="Limited knowledge: images made by the source's attack on the bare network. "
        "Perfect knowledge: the same attack on the defence itself. First draw; bands are 95 % "
        "intervals over its images.",
        alt="Accuracy against eps under limited knowledge, perfect knowledge and our attack.",
        x="eps, in l2",
        y="accuracy",
        points=points,
    )


def coverage_curves(results: Results) -> PlotBlock:
    """Draw the accuracy of the most trusted images over how many are trusted."""
    points: Points = []
    shown = [0.0, *([results.middle] if results.middle in results.eps else results.eps[:1])]
    kept = results.rows
    kept = kept.filter(pl.col("mode") == "coverage") if "coverage" in kept.columns else kept.clear()
    for eps in shown if len(kept) else ():
        at = kept.filter(pl.col("at_eps").is_close(eps, abs_tol=1e-9), repeat=0)
        panel = f"eps {eps:g}, the source's attack" if eps else "clean images"
        for name in (one for one in WHOLE if one in REJECTORS):
            part = at.filter(subject=name).sort("coverage").unique("coverage", maintain_order=True)
            points += [
                {"series": SUBJECTS[name].words, "panel": panel, "x": share, "y": right}
                for share, right in part.select("coverage", "accepted_accuracy").iter_rows()
            ]
    return PlotBlock(
        key="coverage",
        caption="Images in the order in which the defence trusts them: how many of the accepted "
        "are named rightly, as more are accepted. First draw.",
        alt="Accuracy among accepted images against the share that is accepted.",
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
    """Return the points of one line; none where only its clean end was measured."""
    points: Points = []
    for eps in (0.0, *results.eps):
        ours = results.estimate(name, attack, eps, column, draw=draw)
        if ours is not None:
            points.append({**line, "x": eps, "y": ours.value, "low": ours.low, "high": ours.high})
    return points if any(point["x"] for point in points) else []


def strips(results: Results) -> list[StripBlock]:
    """Show the digits that were kept."""
    kept = results.of_kind("strip")
    cells = kept.partition_by("cell", maintain_order=True) if len(kept) else []
    return [_strip(part.to_dicts()) for part in cells]


def _strip(rows: Sequence[dict[str, Any]]) -> StripBlock:
    first = rows[0]
    tiles = [
        Tile(row["eps"], row["prediction"], bool(row["right"]), row["confidence"]) for row in rows
    ]
    title = f"{first['label']} (image {first['position']}), {SUBJECTS[first['subject']].words}"
    file = f"images/{first['cell']}.npz"
    return StripBlock(title, "the source's attack", file, first["label"], tiles)
