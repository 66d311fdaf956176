"""Pairs two fake runs, the way an audit's comparison does."""

import json
from pathlib import Path
from typing import Any

import polars as pl
from tests.report.fake_summary import KEY, mcnemar, wilson

from epsball.evaluation.records.schema import read_records


def compare(a: Path, b: Path) -> dict[str, Any]:
    """Pair two runs the way `epsball compare` does."""
    names = [json.loads((run / "manifest.json").read_text())["model"]["name"] for run in (a, b)]
    blocked = any(
        finding["severity"] == "blocking"
        for run in (a, b)
        for finding in json.loads((run / "summary.json").read_text())["findings"]
    )
    both = _kept(a).join(_kept(b), on=[*KEY, "index", "label"], suffix="_b", maintain_order="left")
    untouched = {"variant": pl.lit("clean"), "norm": pl.lit(""), "eps": pl.lit(0.0)}
    clean = both.unique("index", maintain_order=True).with_columns(
        kept=pl.col("right"), kept_b=pl.col("right_b"), **untouched
    )
    settings = pl.concat([clean, both]).group_by(KEY, maintain_order=True)
    rows, classes = [], []
    for key, group in settings:
        setting = dict(zip(KEY, key, strict=True))
        rows.append(setting | _paired(group, blocked=blocked))
        for (label,), part in group.sort("label").group_by("label", maintain_order=True):
            result = _paired(part, blocked=blocked)
            p = result["p_value"]
            holm = None if p is None else min(1.0, 10 * p)
            named = {"class": label, "name": f"digit {label}", "n": len(part), "p_holm": holm}
            classes.append(setting | result | named)
    sides = [{"name": name, "dir": str(run)} for name, run in zip(names, (a, b), strict=True)]
    return {"a": sides[0], "b": sides[1], "n": len(clean), "rows": rows, "per_class": classes}


def _kept(run: Path) -> pl.DataFrame:
    right = pl.col("clean_prediction") == pl.col("label")
    records = read_records(run).with_columns(right=right, kept=right & pl.col("safe"))
    return records.select(*KEY, "index", "label", "right", "kept")


def _paired(rows: pl.DataFrame, *, blocked: bool) -> dict[str, Any]:
    n, only_a, only_b = (
        len(rows),
        int((rows["kept"] & ~rows["kept_b"]).sum()),
        int((~rows["kept"] & rows["kept_b"]).sum()),
    )
    result: dict[str, Any] = {"only_a_right": only_a, "only_b_right": only_b}
    result["p_value"] = None if blocked else mcnemar(only_a, only_b)
    for side, column in (("a", "kept"), ("b", "kept_b")):
        right = int(rows[column].sum())
        result[f"accuracy_{side}"] = None if blocked else right / n
        result[f"ci_{side}"] = None if blocked else wilson(right, n)
    return result
