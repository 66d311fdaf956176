"""The page of study `transfer`: both matrices, raw and corrected. Imports no torch."""

from typing import Any

import numpy as np
import polars as pl
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.stats import spearmanr

from epsball.studies.claims.story import MISSING, Block, CellText, Story, TableBlock, share_text
from epsball.studies.core.data_summary import DataSummary
from epsball.studies.core.notes import write_story
from epsball.studies.core.options import Options
from epsball.studies.transfer.claims import NOTES, judge
from epsball.studies.transfer.matrix import Rates
from epsball.studies.transfer.plan import VOTE

_KINDS = ("raw", "corrected")
_CROSS = {"raw": "cross-raw", "corrected": "cross-corrected"}  # captions


def summarise(rows: pl.DataFrame, options: Options, data: DataSummary) -> Story:
    """Return the content of the page.

    Args:
        rows: of all cells.
        options: of the study.
        data: facts about the images.
    """
    rates = Rates(rows)
    blocks: dict[str, list[Block]] = {
        "intra": [_intra(rates)],
        "cross": [_cross(rates, kind) for kind in _KINDS],
        "similarity": [_similarity(rates)],
        "attacks": [_attacks(rows)],
    }
    return write_story(NOTES, _values(rates), blocks, judge(rates, options, data))


def _intra(rates: Rates) -> TableBlock:
    rows: list[list[CellText]] = []
    for technique in rates.techniques:
        each = [one.value for one in rates.intra_each(technique)]
        span = f"{100 * min(each):.1f} to {100 * max(each):.1f} %" if each else MISSING
        shares = [share_text(rates.intra(technique, kind)) for kind in _KINDS]
        rows.append([technique, *shares, span])
    heads = "technique|#raw|#corrected|#lowest and highest pair, raw"
    return NOTES.table("intra", heads, rows, subsets=", ".join(rates.subsets))


def _cross(rates: Rates, kind: str) -> TableBlock:
    sources = clustered(rates)
    targets = [*sources, *(one for one in rates.targets if one == VOTE)]
    rows: list[list[CellText]] = [
        [source, *(share_text(rates.cross(source, target, kind)) for target in targets)]
        for source in sources
    ]
    if kind == "raw":
        rows.append(["clean error", *(share_text(rates.clean_error(one)) for one in targets)])
    heads = "|".join(["made on", *(f"#{target}" for target in targets)])
    return TableBlock(NOTES.text(_CROSS[kind]), heads, rows)


def clustered(rates: Rates) -> list[str]:
    """Return the techniques so that those whose images fool the same targets stand together."""
    names = rates.techniques
    shares = [[rates.cross(source, target) for target in names] for source in names]
    if len(names) < 3 or any(share is None for row in shares for share in row):
        return names
    matrix = np.array([[share.value for share in row if share] for row in shares])
    return [names[i] for i in leaves_list(linkage(matrix, "average", optimal_ordering=True))]


def _pairs(rates: Rates) -> list[tuple[str, str, float, float]]:
    """Return source, target, agreement on clean images and corrected transfer of each pair."""
    pairs = []
    for source in rates.techniques:
        for target in rates.techniques:
            agree = rates.cross(source, target, "agree")
            share = rates.cross(source, target, "corrected")
            if source != target and agree is not None and share is not None:
                pairs.append((source, target, agree.value, share.value))
    return pairs


def _similarity(rates: Rates) -> TableBlock:
    rows: list[list[CellText]] = [
        [source, target, f"{100 * agree:.1f} %", f"{100 * share:.1f} %"]
        for source, target, agree, share in sorted(_pairs(rates), key=lambda one: -one[2])
    ]
    heads = "made on|shown to|#same label when clean|#fooled, corrected"
    return NOTES.table("similarity", heads, rows, folded=True)


def _attacks(rows: pl.DataFrame) -> TableBlock:
    attacks: list[dict[str, Any]] = []
    if "made_by" in rows.columns:
        chosen = (pl.col("mode") == "attack") & (pl.col("subset") == "A")
        attacks = rows.filter(chosen).to_dicts()
    lines: list[list[CellText]] = [
        [
            row["technique"],
            row["made_by"],
            f"{100 * row['clean_right'] / row['n']:.1f} %",
            f"{100 * row['own_wrong'] / row['n']:.1f} %",
            f"{row['mean_linf']:.3f}",
            f"{row['mean_l2']:.2f}",
            f"{row['mean_l0']:.0f}",
        ]
        for row in attacks
    ]
    heads = "made on|attack|#right when clean|#wrong when attacked|#mean linf|#mean l2|#values"
    return NOTES.table("attacks", heads, lines)


def _values(rates: Rates) -> dict[str, Any]:
    """Return the variables of notes.md."""
    columns = {target: rates.column(target, rates.techniques) for target in rates.techniques}
    means = {target: one.value for target, one in columns.items() if one is not None}
    pairs = _pairs(rates)
    follows = None
    if len({pair[2] for pair in pairs}) > 2 and len({pair[3] for pair in pairs}) > 2:
        follows = float(spearmanr([p[2] for p in pairs], [p[3] for p in pairs]).statistic)
    return {
        "most": max(means, key=lambda one: means[one]) if means else None,
        "least": min(means, key=lambda one: means[one]) if means else None,
        "means": means,
        "follows": follows,
        "pairs": len(pairs),
        "images": rates.images(),
    }
