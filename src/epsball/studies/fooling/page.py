"""The page and the verdict of study `fooling`. Imports no torch."""

import numpy as np
import polars as pl

from epsball.studies.claims.estimates import Estimate, over_seeds
from epsball.studies.claims.story import CellText, Story, TableBlock, share_text
from epsball.studies.claims.table import (
    Verdict,
    complete,
    judge_finding,
    load_claims,
    not_run,
)
from epsball.studies.core.data_summary import DataSummary
from epsball.studies.core.notes import read_notes, write_story
from epsball.studies.core.options import Options
from epsball.studies.fooling.plan import NAME, WAYS

NOTES = read_notes("epsball.studies.fooling")
_HALF = 0.5  # the statement holds where most classes have such an image, by every way


def summarise(rows: pl.DataFrame, options: Options, data: DataSummary) -> Story:  # noqa: ARG001 - the signature of a study
    """Return the content of the page.

    Args:
        rows: of all cells.
        options: of the study.
        data: facts about the images.
    """
    if not len(rows):
        return write_story(NOTES, {"reached": None}, {}, complete(NAME, []))
    shares = {way: _share(rows, way) for way in WAYS}
    best = max((one for one in shares.values() if one is not None), key=lambda one: one.value)
    values = {
        "reached": best.value,
        "confidence": float(rows["confidence"][0]),
        "model": str(rows["model"][0]),
        "way": next(way for way, one in shares.items() if one is best),
    }
    blocks = {"ways": [_table(rows, shares)]}
    verdicts = [_judge(shares, str(rows["model"][0]), data)]
    return write_story(NOTES, values, blocks, complete(NAME, verdicts))


def _share(rows: pl.DataFrame, way: str) -> Estimate | None:
    """Return the share of classes that reach the confidence, over seeds."""
    part = rows.filter(pl.col("way") == way)
    if not len(part):
        return None
    reached = part.with_columns(hit=pl.col("reached_confidence") >= pl.col("confidence"))
    each = reached.group_by("repeat", maintain_order=True).agg(pl.col("hit").mean(), n=pl.len())
    return over_seeds(each["hit"].to_list(), int(each["n"][0]))


def _judge(shares: dict[str, Estimate | None], model: str, data: DataSummary) -> Verdict:
    (claim,) = load_claims(NAME)
    known = {way: one for way, one in shares.items() if one is not None}
    if not known:
        return not_run(claim, NOTES.text("reason-missing"))
    way, best = max(known.items(), key=lambda item: item[1].value)
    note = NOTES.text("reason", way=way, share=f"{best.value:.1%}", model=model)
    beside = (f"measured on {model} and {data.name}",)
    return judge_finding(claim, best, holds=best.value > _HALF, note=note, beside=beside)


def _table(rows: pl.DataFrame, shares: dict[str, Estimate | None]) -> TableBlock:
    lines: list[list[CellText]] = []
    for way, share in shares.items():
        part = rows.filter(pl.col("way") == way)
        if not len(part):
            continue
        confidence = part["reached_confidence"].to_numpy()
        lines.append(
            [
                way,
                f"{part['class_number'].n_unique()}",
                share_text(share),
                f"{np.median(confidence):.3f}",
                f"{confidence.min():.3f}",
                f"{np.median(part['queries'].to_numpy()):,.0f}",
            ]
        )
    heads = (
        "way|#classes|#reach the confidence|#median confidence|#least confidence|#queries, median"
    )
    return NOTES.table("ways", heads, lines)
