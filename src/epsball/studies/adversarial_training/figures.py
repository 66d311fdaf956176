"""The figures of study `adversarial-training`. Imports no torch."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from epsball.studies.adversarial_training.rows import EVERY
from epsball.studies.claims.story import PlotBlock
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


def over_epochs(found: StudyRows, names: Sequence[str]) -> PlotBlock:
    """Draw accuracy under FGSM and PGD over epochs: a gap that opens is the collapse."""
    points: list[dict[str, Any]] = []
    shown = [n for n in _WATCHED if n in names][:_PANELS]
    epochs = found.rows.filter(pl.col("mode") == "epoch") if shown else found.rows.clear()
    for name in shown:
        curves = [pl.col(column).mean() for column, _ in _CURVES]
        part = epochs.filter(pl.col("row") == name).group_by("epoch").agg(curves).sort("epoch")
        for column, series in _CURVES:
            points += [
                {"series": series, "panel": EVERY[name].words, "x": epoch, "y": value}
                for epoch, value in part.select("epoch", column).drop_nulls().iter_rows()
            ]
    return PlotBlock(
        key="overfitting",
        caption="Means over seeds. Where FGSM stays high and PGD falls, the network has learned "
        "to spoil one step, and no more than that: catastrophic overfitting.",
        alt="Accuracy clean, under FGSM and under PGD after every epoch.",
        x="epoch",
        y="accuracy",
        points=points,
    )


def leaking(found: StudyRows, names: Sequence[str], eps: float) -> PlotBlock:
    """Set accuracy under FGSM against clean accuracy: above the diagonal the label leaks."""
    points: list[dict[str, Any]] = []
    for name in (n for n in _MIXES if n in names):
        clean = found.estimate(Point({"row": name}))
        under = found.estimate(Point({"row": name}, "fgsm", eps))
        if clean is not None and under is not None:
            at: dict[str, Any] = {"series": EVERY[name].words, "panel": "FGSM, true label"}
            at |= {"x": clean.value, "left": clean.low, "right": clean.high}
            points.append(at | {"y": under.value, "low": under.low, "high": under.high})
    return PlotBlock(
        key="leaking",
        caption="Each point is one way of choosing the class whose gradient makes the examples. A "
        "network whose accuracy under attack exceeds its clean accuracy reads the label off the "
        "perturbation.",
        alt="Accuracy under FGSM against clean accuracy, by training.",
        x="accuracy on clean images",
        y="accuracy under FGSM",
        points=points,
        lines=False,
        shares="xy",
    )


def capacity(found: StudyRows, eps: float) -> PlotBlock:
    """Draw what is left over the width of the network."""
    points = []
    rows = ("fgsm-mix-narrow", "fgsm-mix", "fgsm-mix-wide")
    for attack, words in (("none", "clean"), ("fgsm", "FGSM"), ("pgd", "PGD")):
        for name in rows:
            ours = found.estimate(Point({"row": name}, attack, 0.0 if attack == "none" else eps))
            if ours is not None:
                at = {"series": words, "panel": "FGSM mix", "x": EVERY[name].width}
                points.append(at | {"y": ours.value, "low": ours.low, "high": ours.high})
    return PlotBlock(
        key="capacity",
        caption="1 is the network's usual width. Bands are 95 % intervals.",
        alt="Accuracy clean, under FGSM and under PGD against the width of the network.",
        x="width",
        y="accuracy",
        points=points,
    )


def slopes(found: StudyRows) -> PlotBlock:
    """Draw the logits of one image along the sign of the gradient."""
    kept = found.rows.filter(pl.col("mode") == "logit") if "logit" in found.rows.columns else None
    points: list[dict[str, Any]] = []
    if kept is not None and not kept.is_empty():
        first = kept.filter(pl.col("cell") == kept["cell"][0])
        points = [
            {
                "series": f"{row['class']}",
                "panel": f"an image of {row['label']}",
                "x": row["eps"],
                "y": row["logit"],
            }
            for row in first.iter_rows(named=True)
        ]
    return PlotBlock(
        key="slopes",
        caption="The five highest logits of one clean image (eps 0) and what becomes of them: to "
        "the right the loss rises, to the left it falls. Pixels are not clipped.",
        alt="Five logits against eps along the gradient sign.",
        x="eps, along the gradient sign",
        y="logit",
        points=points,
        shares="",
    )
