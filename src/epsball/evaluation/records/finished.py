"""What of a run is on disk: records and seconds of its finished shards."""

import json
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from epsball.evaluation.records.schema import RECORDS, damaged, read_records
from epsball.evaluation.records.shards import PART, Shard, record_file
from epsball.evaluation.settings import AttackSetting


def count_finished(run: Path, shards: Sequence[Shard], settings: Sequence[AttackSetting]) -> int:
    """Count what is recorded already: images, once for every attack."""
    return sum(
        len(shard.positions)
        for shard in shards
        for setting in settings
        if record_file(run, shard, setting).exists()
    )


def read_finished(
    run: Path, done: Sequence[Shard], settings: Sequence[AttackSetting]
) -> pl.DataFrame:
    """Read the records of finished shards, the attacks in the order they were asked for."""
    records = read_records(run, {shard.number for shard in done})
    parts = [records.filter(pl.col("variant") == setting.variant) for setting in settings]
    return pl.concat(parts)


def read_seconds(run: Path, settings: Sequence[AttackSetting]) -> dict[tuple[str, float], float]:
    """Add up the seconds of every attack and eps over the finished shards."""
    total: dict[tuple[str, float], float] = {}
    for setting in settings:
        stem = f"?????-{setting.stem}"
        folder = run / RECORDS
        for file in (*folder.glob(f"{stem}.json"), *folder.glob(f"{stem}{PART}.json")):
            for eps, seconds in _seconds_in(file).items():
                key = (setting.variant, float(eps))
                total[key] = total.get(key, 0.0) + seconds
    return total


def _seconds_in(file: Path) -> dict[str, float]:
    try:
        seconds: dict[str, float] = json.loads(file.read_text())["seconds"]
    except (ValueError, KeyError) as error:
        raise damaged(file, error, file.with_suffix(".parquet")) from error
    return seconds


def discard_parts(run: Path) -> None:
    """Delete the records of shards that a time budget cut short: they are attacked again."""
    for suffix in ("parquet", "json"):
        for file in (run / RECORDS).glob(f"*{PART}.{suffix}"):
            file.unlink()
