"""The figures of study `adversarial-training`. Imports no torch."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from epsball.studies.adversarial_training.claims import NOTES
from epsball.studies.adversarial_training.trainings import ALL
from epsball.studies.claims.story import PlotBlock, plot_point
from epsball.studies.claims.study_rows import Point, StudyRows

_WATCHED = ("fgsm-only-long", "fgsm-mix", "fast", "fgsm-only", "pgd")
_CURVES = (("watched_accuracy", "clean"), ("fgsm_accuracy", "FGSM"), ("pgd_accuracy", "PGD"))
_PANELS = 3
_MIXES = (
    "fgsm-mix",
    "fgsm-mix-predicted",
    "fgsm-mix-least-likely",
    "fgsm-only",
    "fgsm-only-long",
)


def over_epochs(rows: StudyRows, names: Sequence[str]) -> PlotBlock:
    """Plot accuracy under FGSM and PGD over epochs: a gap that opens is the collapse."""
    points: list[dict[str, Any]] = []
    shown = [n for n in _WATCHED if n in names][:_PANELS]
    epochs = rows.rows.filter(pl.col("mode") == "epoch") if shown else rows.rows.clear()
    for name in shown:
        curves = [pl.col(column).mean() for column, _ in _CURVES]
        part = epochs.filter(pl.col("row") == name).group_by("epoch").agg(curves).sort("epoch")
        for column, series in _CURVES:
            points += [
                {"series": series, "panel": ALL[name].title, "x": epoch, "y": value}
                for epoch, value in part.select("epoch", column).drop_nulls().iter_rows()
            ]
    return NOTES.figure("overfitting", "epoch", "accuracy", points)


def leaking(rows: StudyRows, names: Sequence[str], eps: float) -> PlotBlock:
    """Plot accuracy under FGSM against clean accuracy: above the diagonal the label leaks."""
    points: list[dict[str, Any]] = []
    for name in (n for n in _MIXES if n in names):
        clean = rows.estimate(Point({"row": name}))
        under = rows.estimate(Point({"row": name}, "fgsm", eps))
        if clean is not None and under is not None:
            names_of = {"series": ALL[name].title, "panel": "FGSM, true label"}
            point = plot_point(under, clean.value, **names_of)
            points.append(point | {"left": clean.low, "right": clean.high})
    return NOTES.figure(
        "leaking",
        "accuracy on clean images",
        "accuracy under FGSM",
        points,
        lines=False,
        shares="xy",
    )


def capacity(rows: StudyRows, eps: float) -> PlotBlock:
    """Plot accuracy over the width of the network."""
    points = []
    widths = ("fgsm-mix-narrow", "fgsm-mix", "fgsm-mix-wide")
    for attack, series in (("none", "clean"), ("fgsm", "FGSM"), ("pgd", "PGD")):
        for name in widths:
            estimate = rows.estimate(Point({"row": name}, attack, 0.0 if attack == "none" else eps))
            if estimate is not None:
                points.append(
                    plot_point(estimate, ALL[name].width, series=series, panel="FGSM mix")
                )
    return NOTES.figure("capacity", "width", "accuracy", points)


def slopes(rows: StudyRows) -> PlotBlock:
    """Plot the logits of one image along the sign of the gradient."""
    logits = rows.rows.filter(pl.col("mode") == "logit") if "logit" in rows.rows.columns else None
    points: list[dict[str, Any]] = []
    if logits is not None and not logits.is_empty():
        first = logits.filter(pl.col("cell") == logits["cell"][0])
        points = [
            {
                "series": f"{row['class']}",
                "panel": f"an image of {row['label']}",
                "x": row["eps"],
                "y": row["logit"],
            }
            for row in first.iter_rows(named=True)
        ]
    return NOTES.figure("slopes", "eps, along the gradient sign", "logit", points, shares="")
