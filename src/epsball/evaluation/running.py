"""Doing a plan: attack shard after shard, check what came out, sum it up."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import torch

from epsball.evaluation.checks.before import check_chance
from epsball.evaluation.checks.findings import is_blocked
from epsball.evaluation.checks.indicators import check_indicators
from epsball.evaluation.checks.probe import check_by_probing
from epsball.evaluation.checks.records import check_records
from epsball.evaluation.engine.engine import Engine
from epsball.evaluation.engine.starts import Starts
from epsball.evaluation.inputs import spread
from epsball.evaluation.metrics.summary import summarise, write_summary
from epsball.evaluation.plan import Plan
from epsball.evaluation.progress import Progress
from epsball.evaluation.records.shards import (
    Shard,
    read_clean,
    read_finished,
    read_seconds,
    run_shard,
    shards_of,
)
from epsball.evaluation.subject import Subject
from epsball.types import Dataset, Finding, Positions

_POOL = 64  # images of the run, among which every other class is likely to be
# the same question need not be answered the same way: checks that ask again mean nothing
_RANDOM = ("random-forward", "few-draws")


def run_plan(
    run: Path,
    subject: Subject,
    data: Dataset,
    plan: Plan,
    *,
    ends: float | None,
    told: Progress,
) -> dict[str, Any]:
    """Do what is not done yet, check it, and write the summary."""
    manifest, findings = plan.manifest, list(plan.findings)
    engine = Engine(subject.model, subject.info, manifest.choices, manifest.seed)
    done: list[Shard] = []
    if not is_blocked(findings):
        if engine.info.rejects and any(s.spec.takes_starts for s in plan.settings):
            # noise, which these attacks begin with, is what such a model rejects
            engine.starts = _starts(engine, data, plan.positions)
        done = _attack(run, engine, data, plan, ends=ends, told=told)
        findings += _check(run, engine, data, plan, done=done, told=told)
    summary = _summary(run, plan, findings, done)
    write_summary(run, summary)
    return summary


def _starts(engine: Engine, data: Dataset, positions: Positions) -> Starts:
    """Ask the model which of a few of the run's images it accepts, and as what."""
    clean = read_clean(engine, data, spread(positions, _POOL))
    named = torch.where(clean.reading.rejected, -1, clean.reading.prediction)
    return Starts(clean.images, named)


def _attack(
    run: Path, engine: Engine, data: Dataset, plan: Plan, *, ends: float | None, told: Progress
) -> list[Shard]:
    """Run shard after shard; with a time budget, stop before one that would not end in time."""
    shards = shards_of(plan.positions, plan.manifest.engine.shard)
    told.say(plan.described)
    told.begin("attacking", len(plan.positions) * len(plan.settings))
    done: list[Shard] = []
    slowest = 0.0
    for shard in shards:
        began = time.monotonic()
        if ends is not None and done and began + slowest > ends:
            break
        run_shard(
            engine,
            data,
            shard,
            plan.settings,
            run=run,
            advance=lambda setting, count: told.advance(count, setting.variant),
        )
        slowest = max(slowest, time.monotonic() - began)
        done.append(shard)
        if ends is not None:
            interim = _summary(run, plan, plan.findings, done)
            write_summary(run, interim | {"complete": False})
            told.say(f"so far: {interim['headline']}")
    return done


def _check(
    run: Path, engine: Engine, data: Dataset, plan: Plan, *, done: Sequence[Shard], told: Progress
) -> list[Finding]:
    records = read_finished(run, done, plan.settings)
    images = records.unique("index")
    # a model that guesses does so where it answers
    answered = images.filter(~pl.col("clean_rejected"))
    right = int((answered["clean_prediction"] == answered["label"]).sum())
    found = check_chance(right, len(answered), engine.info.classes) if len(answered) else []
    found += check_records(records, plan.settings)
    told.begin("checking", len(plan.settings))
    probed = spread(plan.positions[: len(images)], plan.manifest.engine.probe)
    probe = read_clean(engine, data, probed)
    random = any(known.code in _RANDOM for known in plan.findings)
    for setting in plan.settings:
        found += check_by_probing(engine, setting, probe, records, random=random)
        found += check_indicators(engine, setting, probe, records, found, random=random)
        told.advance(1, setting.variant)
    return found


def _summary(
    run: Path, plan: Plan, findings: Sequence[Finding], done: Sequence[Shard]
) -> dict[str, Any]:
    manifest = plan.manifest
    return summarise(
        read_finished(run, done, plan.settings),
        plan.settings,
        findings,
        read_seconds(run, plan.settings),
        classes=manifest.model.classes,
        class_names=manifest.data.class_names,
        complete=sum(len(shard.positions) for shard in done) == len(plan.positions),
        full_budget=manifest.engine.full_budget,
    )
