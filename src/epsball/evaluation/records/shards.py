"""One shard: a few images under every attack. A finished one is on disk and never run twice."""

import functools
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl
import torch

from epsball.data import to_unit
from epsball.evaluation.engine.aiming import aims
from epsball.evaluation.engine.attacked import Attacked
from epsball.evaluation.engine.attacking import attack_examples
from epsball.evaluation.engine.deadline import OutOfTime
from epsball.evaluation.engine.engine import Engine
from epsball.evaluation.engine.examples import Examples, read_scores
from epsball.evaluation.records.measure import record_frame
from epsball.evaluation.records.saved import save_images
from epsball.evaluation.records.schema import IMAGES, RECORDS
from epsball.evaluation.records.through import Transform, transform_named
from epsball.evaluation.settings import AttackSetting
from epsball.files import write_atomically
from epsball.types import Dataset, Positions

_GROWTH = 1.5
PART = ".part"  # in the names of records of a shard that is not whole


@dataclass(frozen=True)
class Shard:
    """A slice of a run's images.

    Args:
        number: its place in the run, from 0.
        positions: (m,), positions in the data set.
        whole: whether a run without a time budget has the same shard; another one is written under
            other names and is not taken over when the run continues.
    """

    number: int
    positions: Positions
    whole: bool = True

    def stem(self, setting: AttackSetting) -> str:
        """Return the name of this shard's files under one attack."""
        return f"{self.number:05d}-{setting.stem}"

    def split(self, count: int) -> tuple["Shard", "Shard"]:
        """Return the first images, and the others, as shards that are not whole."""
        first, others = self.positions[:count], self.positions[count:]
        return Shard(self.number, first, whole=False), Shard(self.number + 1, others, whole=False)


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
) -> frozenset[int]:
    """Run the attacks of a shard that are not finished yet.

    Args:
        engine: the run's engine.
        data: where the images come from.
        shard: which ones.
        settings: the run's attacks.
        run: the run's directory.
        advance: called with the attack and the number of images that are finished at one eps.

    Returns:
        The positions of images on which an attack was ended by the engine's deadline.

    Raises:
        OutOfTime: the deadline ended an attack on the first shard before it scored anything, or,
            where the engine keeps nothing of such an attack, any attack.
    """
    missing = [s for s in settings if not record_file(run, shard, s).exists()]
    for setting in settings:
        if setting not in missing:
            advance(setting, len(shard.positions) * len(setting.eps))
    if not missing:
        return frozenset()
    cut: set[int] = set()
    examples, clean_scores = _read(engine, data, shard.positions)
    through = _transform_of(engine, examples)
    for setting in missing:
        started = time.perf_counter()
        attacked = attack_examples(engine, setting, examples, functools.partial(advance, setting))
        seconds = time.perf_counter() - started
        ended = _ended(attacked, examples)
        if shard.number == 0 and ended and not any(int(one.forwards.sum()) for one in attacked):
            raise OutOfTime(f"{setting.variant} has not begun")
        cut |= ended
        with engine.unhurried():
            _write(
                engine,
                examples,
                replace(shard, whole=shard.whole and not cut),
                setting,
                attacked,
                clean_scores=clean_scores,
                through=through,
                run=run,
                seconds=seconds,
            )
    return frozenset(cut)


def _ended(attacked: Sequence[Attacked], examples: Examples) -> set[int]:
    """Return the positions of images on which an attack was ended early, at any eps."""
    cuts = [examples.positions[one.cut] for one in attacked if one.cut is not None]
    return {int(position) for some in cuts for position in some}


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
        save_images(file, setting, examples, attacked, torch.stack(sure))
    each = {"seconds": {repr(eps): seconds / len(setting.eps) for eps in setting.eps}}
    file = record_file(run, shard, setting)
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


def record_file(run: Path, shard: Shard, setting: AttackSetting) -> Path:
    """Return where the records of a shard under one attack are written."""
    return run / RECORDS / f"{shard.stem(setting)}{'' if shard.whole else PART}.parquet"
