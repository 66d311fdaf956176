"""The page of study `confidence-bands`. Imports no torch."""

from typing import Any

import polars as pl

from epsball.evaluation.metrics.present import eps_text
from epsball.studies.claims.story import Block, Story
from epsball.studies.claims.table import complete
from epsball.studies.confidence_bands import figures, tables
from epsball.studies.confidence_bands.claims import NAME, NOTES, differences, judge, nearest_eps
from epsball.studies.confidence_bands.measure import Bands, Setting, read
from epsball.studies.confidence_bands.reading import reading_of
from epsball.studies.core.data_summary import DataSummary
from epsball.studies.core.notes import write_story
from epsball.studies.core.options import Options

_NOTHING: dict[str, Any] = {"low": None, "hierarchy": "none"}


def summarise(rows: pl.DataFrame, options: Options, data: DataSummary) -> Story:
    """Return the content of the page.

    Args:
        rows: of all cells.
        options: of the study.
        data: facts about the images.

    Raises:
        InvalidInput: a band is empty, or holds fewer images than each is to have.
    """
    if not len(rows) or "attack" not in rows["kind"].to_list():
        return write_story(NOTES, _NOTHING, {}, complete(NAME, []))
    reading = reading_of(options, data)
    bands, hierarchy = str(reading["bands"]), str(reading["hierarchy"])
    by_band, rest = read(
        rows,
        data.class_names,
        bands=bands,
        per_band=int(str(reading["per_band"])),
        k=int(str(reading["k"])),
        hierarchy=hierarchy,
    )
    eps, model = nearest_eps(by_band), str(rows["model"][0])
    equal = int(str(reading["per_band"]))
    differs = differences(model, data.name, len(by_band.positions(None)), bands, per_band=equal)
    values = _answer(by_band, eps) | {"model": model, "hierarchy": hierarchy}
    blocks = _blocks(rows, by_band, rest, eps, data.classes)
    return write_story(NOTES, values, blocks, judge(by_band, rows, eps, differs))


def _answer(bands: Bands, eps: dict[str, float]) -> dict[str, Any]:
    """Compare the highest and the lowest band under the attack that fools most."""
    method = "iterative" if "iterative" in eps else "fast"
    setting = Setting(method, "predicted", eps.get(method, 0.0))
    low, high = (bands.error(setting, bands.bands[i], 1) for i in (0, -1))
    if low is None or high is None:
        return {"low": None}
    return {
        "method": method,
        "eps": eps_text(setting.eps),
        "low": low.value,
        "high": high.value,
        "low_name": bands.bands[0].name,
        "high_name": bands.bands[-1].name,
    }


def _blocks(
    rows: pl.DataFrame, bands: Bands, rest: pl.DataFrame, eps: dict[str, float], classes: int
) -> dict[str, list[Block]]:
    heads = "images|#error|#area under risk-coverage|#calibration error"
    calibration = NOTES.table("calibration", heads, figures.calibration_rows(bands, eps))
    return {
        "bands": [tables.band_table(bands)],
        "table": [
            tables.source_table(bands, eps, all_images=False),
            tables.source_table(bands, eps, all_images=True),
        ],
        "curves": [figures.error_curves(bands), tables.eps_table(bands)],
        "continuous": [figures.confidence_fit(bands, eps), tables.fit_table(bands, eps)],
        "certain": [
            figures.coverage_curves(bands, eps),
            figures.calibration_curves(bands, eps),
            calibration,
        ],
        "kinds": [tables.kind_table(bands, eps)],
        "gallery": [strip for strips in figures.gallery(rows).values() for strip in strips],
        "goals": [tables.goal_table(bands, eps, classes)],
        "variants": [tables.variant_table(rest)],
        "black": [tables.black_table(rows), *figures.black_strip(rows)],
    }
