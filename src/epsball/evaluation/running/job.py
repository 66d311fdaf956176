"""Running a plan: attack, control the verdict, check the results, sum them up."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from epsball.evaluation.belief import check_belief
from epsball.evaluation.checks.before import check_state
from epsball.evaluation.checks.findings import RANDOM, cut_short, cut_short_attacks, is_blocked
from epsball.evaluation.checks.results import check_results
from epsball.evaluation.distributed import ShardCluster
from epsball.evaluation.engine.asking import broken_contract
from epsball.evaluation.engine.deadline import OutOfTime
from epsball.evaluation.engine.engine import Engine
from epsball.evaluation.inputs import spread
from epsball.evaluation.metrics.belief import Believed
from epsball.evaluation.metrics.summary import write_summary
from epsball.evaluation.phases import Phases
from epsball.evaluation.plan import Plan
from epsball.evaluation.planning.budgeting import Clock
from epsball.evaluation.progress import Progress
from epsball.evaluation.records.finished import read_finished
from epsball.evaluation.records.shards import Shard, read_clean, shards_of
from epsball.evaluation.running.loop import attack_shards
from epsball.evaluation.running.sums import summary_of, write_so_far
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
    done, cut = list[Shard](), frozenset[int]()
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
            done, cut = attack_shards(
                run, engine, data, plan, clock=clock, phases=phases, progress=progress
            )
        with phases.during("belief"), broken_contract(manifest.model.name):
            believed, doubts = _believe(
                run, engine, data, plan, done=done, phases=phases, progress=progress
            )
            findings += doubts
        with phases.during("checks"), broken_contract(manifest.model.name):
            findings += _check(engine, plan, read_finished(run, done, plan.settings), cut, progress)
    if subject.state is not None:
        findings += check_state(subject.state)
    with phases.during("report"):
        summary = summary_of(run, plan, findings, done, phases, believed=believed)
    write_summary(run, summary)
    return summary


def _check(
    engine: Engine, plan: Plan, records: pl.DataFrame, cut: frozenset[int], progress: Progress
) -> list[Finding]:
    """Check the results of the attacks that were not ended early: those are weaker than they are.

    Args:
        engine: calls the model.
        plan: what was done.
        records: of the run.
        cut: positions of images on which an attack was ended early.
        progress: shows what is checked.
    """
    done = records.filter(~pl.col("index").is_in(sorted(cut)))
    findings = [cut_short_attacks(len(cut), records["index"].n_unique())] if cut else []
    if plan.probe is None or not len(done):
        return [*findings, cut_short("of the results")]
    return findings + check_results(
        engine,
        plan.settings,
        plan.probe,
        done,
        class_names=plan.manifest.data.class_names,
        known=plan.findings,
        progress=progress,
    )


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
        write_so_far(run, plan, done, phases)
        raise
