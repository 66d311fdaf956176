"""The figures of study `red-blue`. Imports no torch."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from epsball.studies.claims.story import Block, PlotBlock, plot_point, strip_block
from epsball.studies.claims.study_rows import Point, Setting, StudyRows
from epsball.studies.claims.table import load_claims
from epsball.studies.red_blue.claims import EPS, FAR, HIGH, NAME, NOTES, label, penalty

_PENALTIES = ("l1", "l2")
_CURVES = ((0.0, 0.0), (0.0, HIGH), (1e-5, 0.0), (HIGH, 0.0), (HIGH, HIGH))


def trade_off(rows: StudyRows, clean: Sequence[Setting], other: Sequence[Setting]) -> PlotBlock:
    """Plot clean accuracy against accuracy under FGSM, ours and the source's.

    Args:
        rows: of the study.
        clean: settings with penalties on the clean loss.
        other: settings trained on FGSM examples.
    """
    panels = {"penalties on the clean loss": clean, "trained on FGSM examples": other}
    ours, trained = (
        [_trade_off_point(rows, setting, panel) for setting in settings]
        for panel, settings in panels.items()
    )
    points = [point for point in (*ours, *_source_points(), *trained) if point is not None]
    return NOTES.figure(
        "trade-off",
        "accuracy on clean images",
        "accuracy under FGSM, eps 0.10",
        points,
        lines=False,
        shares="xy",
    )


def _trade_off_point(rows: StudyRows, setting: Setting, panel: str) -> dict[str, Any] | None:
    x, y = rows.estimate(Point(setting)), rows.estimate(Point(setting, "fgsm", EPS))
    if x is None or y is None:
        return None
    point = plot_point(y, x.value, panel=panel, **_point_names(setting))
    return point | {"left": x.low, "right": x.high}


def _source_points() -> list[dict[str, Any]]:
    values: dict[tuple[float, float], dict[str, float]] = {}
    for claim in load_claims(NAME):
        eps = claim.setting.get("eps")
        if claim.value is not None and ".accuracy." in claim.id and eps in (None, EPS):
            key = float(claim.setting["l1"]), float(claim.setting["l2"])
            values.setdefault(key, {})["x" if eps is None else "y"] = claim.value
    return [
        _point_names(dict(zip(_PENALTIES, key, strict=True))) | {"panel": "the source"} | at
        for key, at in values.items()
        if len(at) > 1
    ]


def _point_names(setting: Mapping[str, Any]) -> dict[str, str]:
    l1, l2 = (penalty(setting[name]) for name in _PENALTIES)
    return {"series": f"l1 {l1}", "shape": f"l2 {l2}", "label": label(setting)}


def curves(rows: StudyRows, settings: Sequence[Setting]) -> PlotBlock:
    """Plot accuracy and confidence over eps, of five settings that differ most."""
    chosen = [s for s in settings if (s["l1"], s["l2"]) in _CURVES] or settings[:5]
    at = (("none", 0.0), *(("fgsm", eps) for eps in (0.05, 0.075, EPS, FAR)))
    points = []
    for setting in chosen:
        for panel in ("accuracy", "confidence"):
            for attack, eps in at:
                estimate = rows.estimate(Point(setting, attack, eps, panel))
                if estimate is not None:
                    points.append(plot_point(estimate, eps, series=label(setting), panel=panel))
    return NOTES.figure("curves", "eps, in linf", "share", points)


def strips(rows: StudyRows) -> list[Block]:
    """Show the images that were kept."""
    rows_of_strips = rows.rows.filter(pl.col("kind") == "strip")
    parts = [part.to_dicts() for _, part in rows_of_strips.group_by("cell", maintain_order=True)]
    return [strip_block(part, part[0]["attack"], f"network: {label(part[0])}") for part in parts]
