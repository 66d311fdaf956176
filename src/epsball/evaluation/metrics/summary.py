"""summary.json: the rates of a run, its findings and the sentence that answers the question."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from epsball.evaluation.metrics.belief import Believed
from epsball.evaluation.metrics.breakdown import comparisons, confusion, per_class
from epsball.evaluation.metrics.gate import Gate, judge_gate
from epsball.evaluation.metrics.headline import answer
from epsball.evaluation.metrics.rates import (
    RATES,
    clean_summary,
    hold_anytime,
    judged,
    results_by_setting,
    worst_case,
)
from epsball.evaluation.metrics.rejection import rejections
from epsball.evaluation.records.schema import read_summary
from epsball.evaluation.settings import AttackSetting
from epsball.files import write_atomically
from epsball.types import Finding

SCHEMA_VERSION = 1
_KEPT_WHEN_BLOCKED = (
    "variant",
    "attack",
    "norm",
    "eps",
    "steps",
    "restarts",
    "objective",
    "direction",
    "reference",
    "n",
    "forwards",
    "backwards",
    "queries",
    "seconds",
)


def summarise(
    records: pl.DataFrame,
    settings: Sequence[AttackSetting],
    findings: Sequence[Finding],
    seconds: dict[tuple[str, float], float],
    *,
    classes: int,
    class_names: Sequence[str],
    complete: bool,
    full_budget: bool = True,
    phases: Mapping[str, dict[str, Any]] | None = None,
    foretold: Mapping[str, Mapping[str, Any]] | None = None,
    gate: Gate | None = None,
    of: int = 0,
    believed: Believed | None = None,
) -> dict[str, Any]:
    """Build the content of summary.json.

    Args:
        records: of every finished shard; may be empty.
        settings: the run's attacks.
        findings: all of them; a blocking one turns every rate into null.
        seconds: (variant, eps) -> seconds spent.
        classes: k.
        class_names: in label order; as many as there are labels, at least.
        complete: whether every requested image is in.
        full_budget: whether every image had the whole attack.
        phases: {phase: {seconds, forwards, backwards}} of this process, so that of a continued
            run those of earlier processes are missing; the key "cost" has the attacks of all.
        foretold: the same for the whole run, as it was foretold before the attacks.
        gate: ends the run early, so that intervals have to hold whenever it ends; None: none does.
        of: images of the run.
        believed: the result of a control of the verdict; None: there was none.
    """
    blocked = any(one.severity == "blocking" for one in findings)
    results = results_by_setting(records, classes) if len(records) else _empty(settings)
    for result in results:
        result["seconds"] = seconds.get((result["variant"], result["eps"]), 0.0)
    if blocked or not len(records):
        results = [_blanked(result) for result in results]
    rates = len(records) > 0 and not blocked
    worst = worst_case(records) if rates else []
    clean = clean_summary(records, classes) if rates else None
    gate = gate if rates else None
    settled = None
    if gate is not None and clean is not None:
        hold_anytime([clean], "accuracy")
        hold_anytime(results, "clean_accuracy", "robust_accuracy")
        hold_anytime(worst, "robust_accuracy")
        settled = gate.settled(judged(records), of)
    summary: dict[str, Any] = {
        "schema": SCHEMA_VERSION,
        "headline": answer(
            worst,
            results,
            rejects=_rejects(records),
            of=of if gate else None,
            belief=believed.sentence if believed is not None and believed.controls else "",
        )
        if rates
        else None,
        "complete": complete or settled is not None,
        "full_budget": full_budget,
        "clean": clean,
        "results": results,
        "worst_case": worst,
        "per_class": per_class(records, class_names) if rates else [],
        "confusion": confusion(records) if rates else {"clean": [], "attacked": []},
        "rejection": rejections(records) if rates and full_budget else [],
        "comparisons": comparisons(records) if rates else [],
        "findings": [one.as_dict() for one in findings],
        "cost": _cost(results, settings),
    }
    if phases is not None:
        summary["phases"] = dict(phases)
    if gate is not None:
        summary["gate"] = {"of": of, "settled": settled is not None}
        summary["gate"]["sentence"] = judge_gate(summary, gate.at_least, gate.judge).sentence
    if believed is not None:
        summary["belief"] = believed.as_dict()
    if foretold:
        summary["foretold"] = {name: dict(phase) for name, phase in foretold.items()}
    return dict(_finite(summary))


def _cost(results: Sequence[dict[str, Any]], settings: Sequence[AttackSetting]) -> dict[str, Any]:
    """Add up what the run spent; one gradient that served several eps counts once."""
    shared = {s.variant for s in settings if s.spec.sweep and s.restarts == 1}
    total: dict[str, Any] = {"seconds": sum(r["seconds"] for r in results)}
    for key in ("forwards", "backwards"):
        by_variant: dict[str, list[int]] = {}
        for r in results:
            by_variant.setdefault(r["variant"], []).append(r[key])
        total[key] = sum(max(n) if v in shared else sum(n) for v, n in by_variant.items())
    return total


def _finite(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Turn NaN and infinity into null: a model may answer with either under attack."""
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_summary(run: Path, summary: dict[str, Any]) -> None:
    """Write summary.json, whole or not at all."""
    text = json.dumps(summary, indent=1, allow_nan=False)
    write_atomically(
        run / "summary.json", lambda file: file.write_text(text + "\n", encoding="utf-8")
    )


def add_report_seconds(run: Path, seconds: float) -> None:
    """Add the time of drawing the page to the summary's phase "report"."""
    summary = read_summary(run)
    summary["phases"]["report"]["seconds"] += seconds
    write_summary(run, summary)


def _rejects(records: pl.DataFrame) -> bool:
    """Say whether any image was rejected, attacked or not."""
    return bool((records["rejected"] | records["clean_rejected"]).any())


def _empty(settings: Sequence[AttackSetting]) -> list[dict[str, Any]]:
    rows = []
    for s in settings:
        knobs = {k: s.knobs.get(k) for k in ("steps", "objective", "direction", "reference")}
        counts = {"n": 0, "forwards": 0, "backwards": 0, "queries": None}
        rows += [
            {
                "variant": s.variant,
                "attack": s.attack,
                "norm": s.norm,
                "eps": eps,
                "restarts": s.restarts,
                **knobs,
                **counts,
            }
            for eps in s.eps
        ]
    return rows


def _blanked(result: dict[str, Any]) -> dict[str, Any]:
    """Keep the request and its cost; every rate becomes null, under the same keys."""
    rates = dict.fromkeys((*RATES, *result))
    return rates | {key: result[key] for key in _KEPT_WHEN_BLOCKED}
