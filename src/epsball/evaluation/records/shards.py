"""One shard: a few images under every attack. A finished one is on disk and never run twice."""

import functools
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import torch

from epsball.data import to_unit
from epsball.evaluation.engine.aiming import aims
from epsball.evaluation.engine.attacking import Attacked, attack_examples
from epsball.evaluation.engine.engine import Engine
from epsball.evaluation.engine.examples import Examples, read_scores
from epsball.evaluation.records.measure import record_frame
from epsball.evaluation.records.schema import IMAGES, RECORDS, read_records
from epsball.evaluation.records.through import Transform, transform_named
from epsball.evaluation.settings import AttackSetting
from epsball.files import write_atomically, write_npz
from epsball.types import Dataset, Positions

_GROWTH = 1.5
_SHOWN = 10  # images kept for the report, one a class as far as there are classes


@dataclass(frozen=True)
class Shard:
    """A slice of a run's images.

    Args:
        number: its place in the run, from 0.
        positions: (m,), positions in the data set.
    """

    number: int
    positions: Positions

    def stem(self, setting: AttackSetting) -> str:
        """Return the name of this shard's files under one attack."""
        return f"{self.number:05d}-{setting.stem}"


def shards_of(positions: Positions, size: int, first: int | None = None) -> list[Shard]:
    """Cut a run's images into shards of a size, the last one smaller.

    Args:
        positions: of all images.
        size: of a shard.
        first: of the first shard, from which they grow by half each time up to the size.
    """
    shards, at, each = list[Shard](), 0, min(first or size, size)
    while at < len(positions):
        shards.append(Shard(len(shards), positions[at : at + each]))
        at, each = at + each, min(size, math.ceil(_GROWTH * each))
    return shards


def read_examples(data: Dataset, positions: Positions) -> Examples:
    """Read images and labels; the model is not called."""
    images, labels = to_unit(data.read(positions)), torch.from_numpy(data.labels[positions])
    return Examples(images, labels, torch.from_numpy(positions))


def read_clean(engine: Engine, data: Dataset, positions: Positions) -> Examples:
    """Read images and labels, and what the model says of the clean images."""
    examples, _ = _read(engine, data, positions)
    return examples


def _read(engine: Engine, data: Dataset, positions: Positions) -> tuple[Examples, torch.Tensor]:
    examples = read_examples(data, positions)
    scores = engine.scores(examples.images)
    return replace(examples, clean=read_scores(scores, examples.labels, engine.info)), scores


def run_shard(
    engine: Engine,
    data: Dataset,
    shard: Shard,
    settings: Sequence[AttackSetting],
    *,
    run: Path,
    advance: Callable[[AttackSetting, int], None],
) -> int:
    """Run the attacks of a shard that are not finished yet.

    Args:
        engine: the run's engine.
        data: where the images come from.
        shard: which ones.
        settings: the run's attacks.
        run: the run's directory.
        advance: called with the attack and the number of images that are finished at one eps.

    Returns:
        How many attacks were run.
    """
    missing = [s for s in settings if not _records(run, shard, s).exists()]
    for setting in settings:
        if setting not in missing:
            advance(setting, len(shard.positions) * len(setting.eps))
    if not missing:
        return 0
    examples, clean_scores = _read(engine, data, shard.positions)
    through = _transform_of(engine, examples)
    for setting in missing:
        started = time.perf_counter()
        attacked = attack_examples(engine, setting, examples, functools.partial(advance, setting))
        seconds = time.perf_counter() - started
        _write(
            engine,
            examples,
            shard,
            setting,
            attacked,
            clean_scores=clean_scores,
            through=through,
            run=run,
            seconds=seconds,
        )
    return len(missing)


def _transform_of(engine: Engine, examples: Examples) -> tuple[Transform, torch.Tensor] | None:
    """Return the transformation named by --through, and which clean images are safe after it."""
    if engine.config.through is None:
        return None
    transform = transform_named(engine.config.through, engine.seed)
    scores = engine.scores(transform(examples.images, examples.positions))
    return transform, read_scores(scores, examples.labels, engine.info).safe


def _write(
    engine: Engine,
    examples: Examples,
    shard: Shard,
    setting: AttackSetting,
    attacked: Sequence[Attacked],
    *,
    clean_scores: torch.Tensor,
    through: tuple[Transform, torch.Tensor] | None,
    run: Path,
    seconds: float,
) -> None:
    """Judge the results of one attack and write them, the records last."""
    transform, clean_through = through or (None, None)
    frames, sure = [], []
    clean = previous = (examples.images, clean_scores)
    for eps, one in zip(setting.eps, attacked, strict=True):
        scores = _scores_of(engine, one.images, (clean, previous))
        previous = (one.images, scores)
        sure.append(read_scores(scores, examples.labels, engine.info).confidence)
        frames.append(
            record_frame(
                setting,
                eps,
                examples,
                one,
                attacked_scores=scores,
                scores=engine.scores,
                info=engine.info,
                full_budget=engine.config.full_budget,
                transform=transform,
                clean_through=clean_through,
                targets=aims(engine, setting, examples),
            )
        )
    if shard.number == 0:
        file = run / IMAGES / f"{shard.stem(setting)}.npz"
        _save_images(file, setting, examples, attacked, torch.stack(sure))
    each = {"seconds": {repr(eps): seconds / len(setting.eps) for eps in setting.eps}}
    file = _records(run, shard, setting)
    # the records come last: that they exist means that everything else does
    write_atomically(file.with_suffix(".json"), lambda f: f.write_text(json.dumps(each)))
    write_atomically(file, lambda f: pl.concat(frames).write_parquet(f))


def _scores_of(
    engine: Engine, images: torch.Tensor, known: Sequence[tuple[torch.Tensor, torch.Tensor]]
) -> torch.Tensor:
    """Return the scores of images, without a pass for those whose scores are known.

    An image that is wrong when clean is its own adversarial image, and one that was fooled at a
    smaller eps is that of every larger one.

    Args:
        engine: calls the model.
        images: (n, c, h, w).
        known: images of the same form, row by row, and their scores.
    """
    _, some = known[0]
    scores, open_rows = torch.empty_like(some), torch.ones(len(images), dtype=torch.bool)
    for others, theirs in known:
        same = (images == others).flatten(1).all(1) & open_rows
        scores[same], open_rows = theirs[same], open_rows & ~same
    if bool(open_rows.any()):
        scores[open_rows] = engine.scores(images[open_rows])
    return scores


def _records(run: Path, shard: Shard, setting: AttackSetting) -> Path:
    return run / RECORDS / f"{shard.stem(setting)}.parquet"


def _save_images(
    file: Path,
    setting: AttackSetting,
    examples: Examples,
    attacked: Sequence[Attacked],
    confidence: torch.Tensor,
) -> None:
    right = (examples.reading.prediction == examples.labels).numpy()
    labels = examples.labels.numpy()
    first_right = [int(np.flatnonzero(right & (labels == c))[0]) for c in np.unique(labels[right])]
    chosen = sorted(first_right)[:_SHOWN] or list(range(min(_SHOWN, len(labels))))
    arrays = {
        "positions": examples.positions.numpy()[chosen],
        "labels": labels[chosen],
        "clean": examples.images.numpy()[chosen],
        "adversarial": np.stack([one.images.numpy()[chosen] for one in attacked]),
        "confidence": confidence.numpy()[:, chosen],
        "eps": np.array(setting.eps),
        "variant": np.array(setting.variant),
        "norm": np.array(setting.norm),
    }
    write_npz(file, arrays)


def count_finished(run: Path, shards: Sequence[Shard], settings: Sequence[AttackSetting]) -> int:
    """Count what is recorded already: images, once for every attack."""
    return sum(
        len(shard.positions)
        for shard in shards
        for setting in settings
        if _records(run, shard, setting).exists()
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
        for file in (run / RECORDS).glob(f"?????-{setting.stem}.json"):
            for eps, seconds in json.loads(file.read_text())["seconds"].items():
                key = (setting.variant, float(eps))
                total[key] = total.get(key, 0.0) + seconds
    return total
