"""The figures of study `class-imbalance`. Imports no torch."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from epsball.studies.claims.story import PlotBlock, plot_point
from epsball.studies.class_imbalance.case import NOTES
from epsball.studies.class_imbalance.measured import Measured
from epsball.studies.class_imbalance.paired import Probes

KINDS = {"under": "under-sampled", "balanced": "balanced", "over": "over-sampled"}
ATTACKS = (("fgsm", "own"), ("pgd", "own"), ("pgd", "unit"), ("strongest", "own"))


def accuracy_figure(measured: Measured, names: Sequence[str]) -> PlotBlock:
    """Draw each class' accuracy before and after FGSM in the three kinds of network."""
    points = []
    for gradient, panel in (("none", "clean"), ("same", "FGSM, own gradient")):
        for kind, words in KINDS.items():
            for number, name in enumerate(names):
                estimate = measured.accuracy(kind, name, gradient)
                if estimate is not None:
                    points.append(
                        plot_point(estimate, number, series=words, panel=panel, label=name)
                    )
    y, classes = "accuracy of the target class", measured.class_names
    return NOTES.figure("accuracy-by-class", "class", y, points, lines=False, classes=classes)


def relative_figure(measured: Measured, names: Sequence[str]) -> PlotBlock:
    """Draw each class' relative difference in the three kinds of network."""
    points: list[dict[str, Any]] = []
    for kind, words in KINDS.items():
        for number, name in enumerate(names):
            values = measured.relative_differences(kind, name)
            if values:
                mean = sum(values) / len(values)
                points.append({"series": words, "panel": "FGSM, own gradient", "x": number,
                               "y": mean, "label": name})  # fmt: skip
    y = "share of the clean accuracy that is lost"
    return NOTES.figure("relative-difference", "class", y, points, lines=False)


def density_figure(rows: pl.DataFrame, label: str) -> PlotBlock:
    """Draw how far a class is ahead of its nearest rival, clean and attacked."""
    points: list[dict[str, Any]] = []
    if {"margin", "share"} <= set(rows.columns):
        part = rows.filter((pl.col("mode") == "density") & (pl.col("label") == label))
        by = ["set", "rival", "attack", "margin"]
        means = part.group_by(by, maintain_order=True).agg(pl.col("share").mean())
        for row in means.iter_rows(named=True):
            state = "clean" if row["attack"] == "none" else "FGSM, own gradient"
            points.append(
                {"series": state, "panel": f"{KINDS[row['set']]}, against {row['rival']}",
                 "x": row["margin"], "y": row["share"]}
            )  # fmt: skip
    x = "logit of the class minus logit of its rival"
    return NOTES.figure("densities", x, "share of the images", points, label=label)


def dose_figure(probes: Probes, remedy: str) -> PlotBlock:
    """Draw the change of survival over the dose, for the rare class and for the control."""
    points: list[dict[str, Any]] = []
    doses = sorted(int(dose) for dose in probes.values("dose"))
    for attack, scale in ATTACKS:
        panel = attack if scale == "own" else f"{attack}, logits of one scale"
        for role, words in (("target", "rare class"), ("control", "class left alone")):
            for dose in doses:
                effect = probes.survival(remedy, dose, role, attack, scale)
                if effect is not None:
                    at: dict[str, Any] = {"series": words, "panel": panel, "x": dose}
                    at |= {"y": effect.mean}
                    if effect.classes > 1:
                        at |= {"low": effect.low, "high": effect.high}
                    points.append(at)
    figure = NOTES.figure("dose", "times rarer", "change of survival", points, shares="")
    return replace(figure, key=f"dose-{remedy}")
