"""The figures of study `confidence-bands`. Imports no torch."""

from typing import Any

import polars as pl

from epsball.kinds.labelling import KINDS
from epsball.studies.claims.story import PlotBlock, StripBlock, Tile
from epsball.studies.confidence_bands.claims import NOTES
from epsball.studies.confidence_bands.measure import Bands, Setting
from epsball.studies.confidence_bands.statistics import calibration, logistic, risk_coverage
from epsball.studies.confidence_bands.tables import REFERENCES


def error_curves(bands: Bands) -> PlotBlock:
    """Draw the top-1 error against eps, a line a band."""
    points: list[dict[str, Any]] = []
    for method in ("fast", "iterative"):
        for reference in ("least_likely", "predicted"):
            for eps in bands.eps(Setting(method, reference, 0.0)):
                for band in bands.bands:
                    one = bands.error(Setting(method, reference, eps), band, 1)
                    if one is not None:
                        points.append(
                            {"series": band.name, "panel": f"{method}, {REFERENCES[reference]}"}
                            | {"x": 255 * eps, "y": one.value, "low": one.low, "high": one.high}
                        )
    return NOTES.figure("curves", "eps, in 255ths", "top-1 error", points)


def confidence_fit(bands: Bands, eps: dict[str, float]) -> PlotBlock:
    """Draw the chance of being fooled against the clean confidence."""
    points: list[dict[str, Any]] = []
    for method, radius in eps.items():
        for reference in ("least_likely", "predicted"):
            rows = bands.rows(Setting(method, reference, radius))
            right = rows.filter(pl.col("clean_label_rank") == 1)
            if not len(right):
                continue
            fit = logistic(
                right["clean_confidence"].to_numpy(), (right["label_rank"] > 1).to_numpy()
            )
            if fit is not None:
                points += [
                    {"series": REFERENCES[reference], "panel": method}
                    | {"x": float(x), "y": float(y), "low": float(low), "high": float(high)}
                    for x, y, low, high in zip(fit.x, fit.y, fit.low, fit.high, strict=True)
                ]
    x = "clean top-1 probability"
    return NOTES.figure("confidence", x, "top-1 error", points, shares="xy")


def coverage_curves(bands: Bands, eps: dict[str, float]) -> PlotBlock:
    """Draw the error among the images of which the model is most certain, clean and attacked."""
    points: list[dict[str, Any]] = []
    for series, frame in _readings(bands, eps):
        wrong = (frame["label_rank"] > 1).to_numpy()
        curve, _ = risk_coverage(frame["confidence"].to_numpy(), wrong)
        points += [{"series": series, "panel": "", "x": x, "y": y} for x, y in curve]
    return NOTES.figure("coverage", "coverage", "error", points, shares="xy")


def calibration_curves(bands: Bands, eps: dict[str, float]) -> PlotBlock:
    """Draw accuracy against confidence."""
    points: list[dict[str, Any]] = []
    for series, frame in _readings(bands, eps):
        right = (frame["label_rank"] == 1).to_numpy()
        bins, _ = calibration(frame["confidence"].to_numpy(), right)
        points += [{"series": series, "panel": "", "x": x, "y": y} for x, y, _ in bins]
    return NOTES.figure("calibration", "confidence", "accuracy", points, shares="xy")


def calibration_rows(bands: Bands, eps: dict[str, float]) -> list[list[str]]:
    """Return accuracy, area under risk-coverage and calibration error, clean and attacked."""
    rows = []
    for series, frame in _readings(bands, eps):
        wrong, confidence = (frame["label_rank"] > 1).to_numpy(), frame["confidence"].to_numpy()
        area, gap = risk_coverage(confidence, wrong)[1], calibration(confidence, ~wrong)[1]
        rows.append([series, f"{wrong.mean():.3f}", f"{area:.3f}", f"{gap:.3f}"])
    return rows


def _readings(bands: Bands, eps: dict[str, float]) -> list[tuple[str, pl.DataFrame]]:
    clean = bands.clean[bands.positions(None)]
    attacked = [
        (f"{method}, {REFERENCES[reference]}", bands.rows(Setting(method, reference, radius)))
        for method, radius in eps.items()
        for reference in ("least_likely", "predicted")
    ]
    return [("clean", clean), *((name, frame) for name, frame in attacked if len(frame))]


def gallery(rows: pl.DataFrame) -> dict[str, list[StripBlock]]:
    """Return the pairs of each kind, clean beside attacked."""
    gallery = rows.filter(pl.col("kind") == "gallery")
    bands: dict[str, list[StripBlock]] = {kind: [] for kind in KINDS[1:]}
    if not len(gallery):
        return bands
    for (cell, number), pair in gallery.partition_by(
        "cell", "pair", as_dict=True, maintain_order=True
    ).items():
        first = pair.row(0, named=True)
        tiles = [
            Tile(row["radius"], row["prediction_name"], bool(row["right"]), row["confidence"])
            for row in pair.iter_rows(named=True)
        ]
        bands[first["image_kind"]].append(
            StripBlock(
                f"{first['image_kind']}: {first['label_name']} (image {first['index']})",
                f"{first['method']}, {REFERENCES[first['reference']]}",
                f"images/{cell}-{int(str(number))}.npz",
                first["label_name"],
                tiles,
            )
        )
    return bands


def black_strip(rows: pl.DataFrame) -> list[StripBlock]:
    """Return the black image and the same with steps added."""
    black = rows.filter(pl.col("kind") == "black")
    if not len(black):
        return []
    black = black.filter(pl.col("rank") == 1)
    tiles = [
        Tile(row["radius"], row["prediction_name"], right=True, confidence=row["confidence"])
        for row in black.sort("radius").iter_rows(named=True)
    ]
    file = f"images/{black['cell'][0]}.npz"
    return [StripBlock("a black image", "fast, towards its first label", file, "nothing", tiles)]
