"""The figures of study `red-blue`. Imports no torch."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from epsball.studies.claims.measured import Measured, Point, Setting
from epsball.studies.claims.story import PlotBlock, StripBlock, Tile
from epsball.studies.claims.table import load_claims
from epsball.studies.red_blue.claims import EPS, HIGH, penalty, words

_EPS = (0.05, 0.075, EPS, 0.25)
OURS, SOURCE, OTHER = "penalties on the clean loss", "the source", "trained on FGSM examples"


def trade_off(found: Measured, clean: Sequence[Setting], other: Sequence[Setting]) -> PlotBlock:
    """Set clean accuracy against accuracy under FGSM, ours and the source's."""
    points = [p for s in clean for p in _point(found, s, OURS)]
    points += _source_points()
    points += [p for s in other for p in _point(found, s, OTHER)]
    return PlotBlock(
        key="trade-off",
        caption="Each point is one setting; its colour is the weight of L1, its shape that of L2. "
        "Up is harder to fool, right is more accurate on untouched images. Bars are 95 % "
        "intervals over seeds.",
        alt="Clean accuracy against accuracy under FGSM at eps 0.10, one point a setting.",
        x="accuracy on clean images",
        y="accuracy under FGSM, eps 0.10",
        points=points,
        lines=False,
        shares="xy",
    )


def _point(found: Measured, setting: Setting, panel: str) -> list[dict[str, Any]]:
    x, y = found.estimate(Point(setting)), found.estimate(Point(setting, "fgsm", EPS))
    if x is None or y is None:
        return []
    named = _named(setting["l1"], setting["l2"]) | {"panel": panel}
    return [
        named
        | {"x": x.value, "left": x.low, "right": x.high, "y": y.value, "low": y.low, "high": y.high}
    ]


def _source_points() -> list[dict[str, Any]]:
    """Read the source's points off its claims."""
    values: dict[tuple[float, float], dict[str, float]] = {}
    for claim in load_claims("red-blue"):
        if claim.kind != "value" or ".accuracy." not in claim.id or claim.value is None:
            continue
        eps = claim.setting.get("eps")
        if eps in (None, EPS):
            key = float(claim.setting["l1"]), float(claim.setting["l2"])
            values.setdefault(key, {})["x" if eps is None else "y"] = claim.value
    return [_named(*key) | {"panel": SOURCE} | at for key, at in values.items() if len(at) > 1]


def _named(l1: Any, l2: Any) -> dict[str, Any]:  # noqa: ANN401 - numbers of a row
    label = words({"l1": l1, "l2": l2})
    return {"series": f"l1 {penalty(l1)}", "shape": f"l2 {penalty(l2)}", "label": label}


def curves(found: Measured, settings: Sequence[Setting]) -> PlotBlock:
    """Draw accuracy and confidence over eps, of five settings that show what differs."""
    shown = [s for s in settings if (s["l1"], s["l2"]) in _SHOWN] or list(settings)[:5]
    points = []
    for setting in shown:
        for panel in ("accuracy", "confidence"):
            for eps in (0.0, *_EPS):
                at = Point(setting, "fgsm" if eps else "none", eps, panel)
                ours = found.estimate(at)
                if ours is not None:
                    where = {"series": words(setting), "panel": panel, "x": eps, "y": ours.value}
                    points.append(where | {"low": ours.low, "high": ours.high})
    return PlotBlock(
        key="curves",
        caption="Under FGSM. Bands are 95 % intervals over seeds. Confidence is the mean "
        "probability of the class that the network names, right or wrong.",
        alt="Accuracy and confidence against eps, one line a setting.",
        x="eps, in linf",
        y="share",
        points=points,
    )


_SHOWN = ((0.0, 0.0), (0.0, HIGH), (1e-5, 0.0), (HIGH, 0.0), (HIGH, HIGH))


def strips(found: Measured) -> list[StripBlock]:
    """Show the images that were kept."""
    kept = found.rows.filter(pl.col("kind") == "strip")
    return [_strip(part) for _, part in kept.group_by("cell", maintain_order=True)]


def _strip(part: pl.DataFrame) -> StripBlock:
    rows = part.to_dicts()
    first = rows[0]
    tiles = [
        Tile(row["eps"], row["prediction"], bool(row["right"]), row["confidence"]) for row in rows
    ]
    title = f"{first['label']} (image {first['position']}), network: {words(first)}"
    return StripBlock(title, first["attack"], f"images/{first['cell']}.npz", first["label"], tiles)
