"""The summary of what is finished."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from epsball.evaluation.metrics.belief import Believed
from epsball.evaluation.metrics.summary import summarise, write_summary
from epsball.evaluation.phases import Phases
from epsball.evaluation.plan import Plan
from epsball.evaluation.records.finished import read_finished, read_seconds
from epsball.evaluation.records.shards import Shard
from epsball.types import Finding


def write_so_far(run: Path, plan: Plan, done: Sequence[Shard], phases: Phases) -> str | None:
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
        complete=all(shard.whole for shard in done)
        and sum(len(shard.positions) for shard in done) == len(plan.positions),
        full_budget=manifest.engine.full_budget,
        phases=phases.as_dict(),
        foretold=plan.foretold,
        gate=plan.gate,
        of=len(plan.positions),
        believed=believed,
    )
