"""The files of a run and how they are read. Imports no torch, so that reports need none.

A run is a directory:

    manifest.json               attacks, model, images, machine (see manifest.py)
    records/00000-fgsm.parquet  one file per finished shard and attack; a row per image and eps
    records/00000-fgsm.json     its seconds: apart, so that records stay bitwise equal
    images/00000-fgsm.npz     a few adversarial images of the first shard, for the report
    saliency.npz                where the model looks, for a few of these images, if asked for
    summary.json  report.html
"""

import zipfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from epsball.errors import InvalidInput
from epsball.files import read_json, read_npz

RECORDS = "records"
IMAGES = "images"
SALIENCY = "saliency.npz"

_COLUMNS: dict[str, pl.DataType | type[pl.DataType]] = {
    "index": pl.Int64,  # position in the data set
    "label": pl.Int64,
    "variant": pl.String,  # the attack with its own settings: "pgd", "pgd:objective=margin"
    "attack": pl.String,
    "norm": pl.String,
    "eps": pl.Float64,
    "steps": pl.Int64,
    "restarts": pl.Int64,
    "objective": pl.String,
    "direction": pl.String,
    "reference": pl.String,
    "target": pl.Int64,  # the class to reach; null of an untargeted attack
    "clean_prediction": pl.Int64,
    "prediction": pl.Int64,
    "clean_confidence": pl.Float64,
    "confidence": pl.Float64,
    "clean_top5": pl.List(pl.Int64),
    "top5": pl.List(pl.Int64),
    "clean_margin": pl.Float64,
    "margin": pl.Float64,
    "l0": pl.Float64,
    "l1": pl.Float64,
    "l2": pl.Float64,
    "linf": pl.Float64,
    "distance": pl.Float64,  # of the nearest adversarial image; null where none was looked for
    "excess": pl.Float64,  # by how much the image leaves its ball, in float64; below 0: inside
    "lowest": pl.Float64,  # smallest and largest pixel of the adversarial image
    "highest": pl.Float64,
    "forwards": pl.Int64,
    "backwards": pl.Int64,
    "queries": pl.Int64,
    "clean_rejected": pl.Boolean,
    "rejected": pl.Boolean,
    # the best class's score minus the reject score: rejected below 0; null of a model that does not
    # reject
    "clean_acceptance": pl.Float64,
    "acceptance": pl.Float64,
    "safe": pl.Boolean,  # the adversarial image gets its label, or is rejected
    "survives_8bit": pl.Boolean,  # null where the image is not fooled in the first place
    "survives_png": pl.Boolean,
    "survives_jpeg90": pl.Boolean,
    "survives_jpeg75": pl.Boolean,
    # after the step named by --through: whether the clean image still gets its label or is
    # rejected, and whether a fooled one still fools; null without a step
    "clean_through": pl.Boolean,
    "survives_through": pl.Boolean,
}
SCHEMA = pl.Schema(_COLUMNS)
# an image that is done with at its first success is barely fooled: how sure the model is, how far
# the image moved and what saving does to it then say nothing of the attack
MEANINGLESS_WHEN_RETIRED = (
    "confidence",
    "top5",
    "margin",
    "acceptance",
    "l0",
    "l1",
    "l2",
    "linf",
    "survives_8bit",
    "survives_png",
    "survives_jpeg90",
    "survives_jpeg75",
    "survives_through",
)


@dataclass(frozen=True)
class SavedImages:
    """The images a report shows.

    Args:
        positions: (m,), positions in the data set.
        labels: (m,), int64.
        clean: (m, c, h, w), float32 in [0, 1].
        adversarial: (variant, norm, eps) -> (m, c, h, w), float32 in [0, 1].
        confidence: (variant, norm, eps) -> (m,), of the class that the model names; empty in runs
            of older versions.
    """

    positions: NDArray[np.int64]
    labels: NDArray[np.int64]
    clean: NDArray[np.float32]
    adversarial: dict[tuple[str, str, float], NDArray[np.float32]]
    confidence: dict[tuple[str, str, float], NDArray[np.float64]] = field(default_factory=dict)


def read_records(run: Path, shards: Collection[int] | None = None) -> pl.DataFrame:
    """Read the records of a run, sorted by shard file name.

    Args:
        run: the run's directory.
        shards: numbers of the shards to read; None: all.

    Returns:
        A frame with the columns of `SCHEMA`; empty where no shard is finished. A column that an
        older version did not write is null.
    """
    files = [
        file
        for file in sorted((run / RECORDS).glob("*.parquet"))
        if shards is None or int(file.name.partition("-")[0]) in shards
    ]
    if not files:
        return pl.DataFrame(schema=SCHEMA)
    return pl.concat([_with_all_columns(_read_whole(file)) for file in files])


def _read_whole(file: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(file)
    except pl.exceptions.PolarsError as error:
        raise damaged(file, error) from error


def damaged(file: Path, error: Exception, *beside: Path) -> InvalidInput:
    """Build the error for a file of a run that cannot be read, and goes with those beside it."""
    reason = next(iter(str(error).splitlines()), type(error).__name__)
    files = " and ".join(["it", *(one.name for one in beside)])
    return InvalidInput(
        f"{file} is damaged ({reason}): delete {files}, and give the command of the run again, "
        "which computes what is missing"
    )


def _with_all_columns(frame: pl.DataFrame) -> pl.DataFrame:
    missing = {name: kind for name, kind in SCHEMA.items() if name not in frame.columns}
    nothing = [pl.lit(None, dtype=kind).alias(name) for name, kind in missing.items()]
    return frame.with_columns(nothing).select(list(SCHEMA)) if missing else frame


def read_manifest(run: Path) -> dict[str, Any]:
    """Read the run's manifest as plain data.

    Raises:
        InvalidInput: the directory holds no run.
    """
    return read_json(run / "manifest.json", "audit")


def read_summary(run: Path) -> dict[str, Any]:
    """Read the run's summary as plain data.

    Raises:
        InvalidInput: the directory holds no finished run.
    """
    return read_json(run / "summary.json", "audit")


def read_saved_images(run: Path) -> SavedImages | None:
    """Read the images kept for the report; None where there are none."""
    saved = dict(_images(run))
    if not saved:
        return None
    first = next(iter(saved.values()))
    return SavedImages(
        first["positions"],
        first["labels"],
        first["clean"],
        {
            (str(frame["variant"]), str(frame["norm"]), float(eps)): images
            for frame in saved.values()
            for eps, images in zip(frame["eps"], frame["adversarial"], strict=True)
        },
        {
            (str(frame["variant"]), str(frame["norm"]), float(eps)): sure
            for frame in saved.values()
            if "confidence" in frame
            for eps, sure in zip(frame["eps"], frame["confidence"], strict=True)
        },
    )


def _images(run: Path) -> Iterator[tuple[str, dict[str, NDArray[Any]]]]:
    for file in sorted((run / IMAGES).glob("*.npz")):
        try:
            yield file.stem, read_npz(file)
        except (ValueError, OSError, zipfile.BadZipFile) as error:
            raise damaged(file, error) from error
