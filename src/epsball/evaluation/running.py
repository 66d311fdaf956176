"""Running a plan: attack shard after shard, check the results, sum them up."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from epsball.errors import InvalidInput
from epsball.evaluation.belief import check_belief
from epsball.evaluation.checks.before import check_state
from epsball.evaluation.checks.findings import RANDOM, cut_short, is_blocked
from epsball.evaluation.checks.results import check_results
from epsball.evaluation.distributed import ShardCluster
from epsball.evaluation.engine.asking import broken_contract
from epsball.evaluation.engine.deadline import OutOfTime
from epsball.evaluation.engine.engine import Engine
from epsball.evaluation.inputs import spread
from epsball.evaluation.metrics.belief import Believed
from epsball.evaluation.metrics.present import counted
from epsball.evaluation.metrics.rates import judged
from epsball.evaluation.metrics.summary import summarise, write_summary
from epsball.evaluation.phases import Phases
from epsball.evaluation.plan import Plan
from epsball.evaluation.planning.budgeting import Clock
from epsball.evaluation.progress import Progress
from epsball.evaluation.records.shards import (
    Shard,
    count_finished,
    read_clean,
    read_finished,
    read_seconds,
    run_shard,
    shards_of,
)
from epsball.evaluation.subject import Subject
from epsball.types import Dataset, Finding

_POOL = 64  # images of the run, among which every other class is likely to be


def run_plan(
    run: Path,
    subject: Subject,
    data: Dataset,
    plan: Plan,
    *,
    clock: Clock,
    phases: Phases,
    progress: Progress,
    cluster: ShardCluster | None = None,
) -> dict[str, Any]:
    """Attack what is not attacked yet, check the results, and write the summary.

    Args:
        run: the run's directory.
        subject: the model.
        data: the images.
        plan: what is to be done.
        clock: when attacks and checks have to end.
        phases: adds up the cost.
        progress: shows how far the run is.
        cluster: attacks the shards on its nodes; None: this process does.
    """
    manifest, findings = plan.manifest, list(plan.findings)
    engine = Engine(
        subject.model, subject.info, manifest.engine, manifest.seed, passes=phases.passes
    )
    done: list[Shard] = []
    believed: Believed | None = None
    if not is_blocked(findings) and plan.probe is not None:
        if engine.info.rejects and any(s.spec.takes_starts for s in plan.settings):
            # noise, which these attacks begin with, is what such a model rejects
            engine.starts = read_clean(engine, data, spread(plan.positions, _POOL))
        with phases.during("attacks"):
            if cluster is not None:
                cluster.run(
                    run,
                    engine,
                    data,
                    shards_of(plan.positions, manifest.engine.shard, manifest.engine.first),
                    plan.settings,
                    threads=manifest.engine.threads,
                    progress=progress,
                )
            done = _attack(run, engine, data, plan, clock=clock, phases=phases, progress=progress)
        with phases.during("belief"), broken_contract(manifest.model.name):
            believed, doubts = _believe(
                run, engine, data, plan, done=done, phases=phases, progress=progress
            )
            findings += doubts
        with phases.during("checks"), broken_contract(manifest.model.name):
            records = read_finished(run, done, plan.settings)
            findings += check_results(
                engine,
                plan.settings,
                plan.probe,
                records,
                class_names=plan.manifest.data.class_names,
                known=plan.findings,
                progress=progress,
            )
    if subject.state is not None:
        findings += check_state(subject.state)
    with phases.during("report"):
        summary = summary_of(run, plan, findings, done, phases, believed=believed)
    write_summary(run, summary)
    return summary


def _attack(
    run: Path,
    engine: Engine,
    data: Dataset,
    plan: Plan,
    *,
    clock: Clock,
    phases: Phases,
    progress: Progress,
) -> list[Shard]:
    """Run shard after shard, as long as a time budget allows and a gate is not settled.

    Raises:
        InvalidInput: the time budget ends before the first images are done.
    """
    engine.deadline = clock.attacks
    sizes = plan.manifest.engine
    shards = shards_of(plan.positions, sizes.shard, sizes.first)
    _announce(run, plan, shards, progress)
    done: list[Shard] = []
    each_image = 0.0  # seconds, in the shard before
    for shard in shards:
        began = time.monotonic()
        if done and began + each_image * len(shard.positions) > engine.deadline:
            break
        try:
            run_shard(
                engine,
                data,
                shard,
                plan.settings,
                run=run,
                advance=lambda setting, count: progress.advance(count, setting.variant),
            )
        except KeyboardInterrupt:
            _write_so_far(run, plan, done, phases)
            raise
        except OutOfTime:
            if not done:
                raise _too_short(plan, len(shard.positions)) from None
            break
        each_image = (time.monotonic() - began) / len(shard.positions)
        done.append(shard)
        if _is_settled(run, plan, done):
            break
        if clock.budget is not None:
            progress.say(f"so far: {_write_so_far(run, plan, done, phases)}")
    engine.deadline = clock.checks
    return done


def _believe(
    run: Path,
    engine: Engine,
    data: Dataset,
    plan: Plan,
    *,
    done: Sequence[Shard],
    phases: Phases,
    progress: Progress,
) -> tuple[Believed | None, list[Finding]]:
    """Control the verdict, where that is planned and the model answers the same twice."""
    control = plan.control
    random = any(one.code in RANDOM for one in plan.findings)
    if control is None or (random and control.requested == "auto"):
        return None, []
    records = read_finished(run, done, plan.settings)
    try:
        return check_belief(
            run, engine, data, control, records=records, shards=done, progress=progress
        )
    except OutOfTime:
        return None, [cut_short("of the verdict by a control")]
    except KeyboardInterrupt:
        _write_so_far(run, plan, done, phases)
        raise


def _announce(run: Path, plan: Plan, shards: Sequence[Shard], progress: Progress) -> None:
    """Say what begins, and what is finished already."""
    progress.say(plan.described)
    if finished := count_finished(run, shards, plan.settings):
        all_of_them = len(plan.positions) * len(plan.settings)
        progress.say(
            f"continuing {run}: {finished:,} of {all_of_them:,} attacks on an image are finished"
        )
    each = sum(len(setting.eps) for setting in plan.settings)
    progress.begin("attacking", len(plan.positions) * each)


def _is_settled(run: Path, plan: Plan, done: Sequence[Shard]) -> bool:
    """Say whether the images so far settle the verdict of the gate, where there is one."""
    if plan.gate is None:
        return False
    rows = judged(read_finished(run, done, plan.settings))
    return plan.gate.settled(rows, len(plan.positions)) is not None


def _too_short(plan: Plan, count: int) -> InvalidInput:
    names = ", ".join(setting.variant for setting in plan.settings)
    return InvalidInput(
        f"--budget {plan.manifest.budget:g} is too short for {names} on the first "
        f"{counted(count, 'image')}: give a longer one, or a cheaper attack such as pgd or apgd"
    )


def _write_so_far(run: Path, plan: Plan, done: Sequence[Shard], phases: Phases) -> str | None:
    """Write the summary of what is finished, and return its headline; None where nothing is."""
    if not done:
        return None
    interim = summary_of(run, plan, plan.findings, done, phases)
    write_summary(run, interim | {"complete": False})
    sentence: str | None = interim["headline"]
    return sentence


def summary_of(
    run: Path,
    plan: Plan,
    findings: Sequence[Finding],
    done: Sequence[Shard],
    phases: Phases,
    *,
    believed: Believed | None = None,
) -> dict[str, Any]:
    """Return the content of summary.json, of the shards that are done."""
    manifest, settings = plan.manifest, plan.settings
    if plan.control is not None and believed is not None and believed.fallen:
        settings = (*settings, plan.control.setting)
    return summarise(
        read_finished(run, done, settings),
        settings,
        findings,
        read_seconds(run, settings),
        classes=manifest.model.classes,
        class_names=manifest.data.class_names,
        complete=sum(len(shard.positions) for shard in done) == len(plan.positions),
        full_budget=manifest.engine.full_budget,
        phases=phases.as_dict(),
        foretold=plan.foretold,
        gate=plan.gate,
        of=len(plan.positions),
        believed=believed,
    )
