"""The plan of a run: all decisions and refusals before anything is written."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
import torch

from epsball.data import choose, stratified_order
from epsball.evaluation.belief import Control
from epsball.evaluation.checks import before as checks_before
from epsball.evaluation.checks.before import check_range
from epsball.evaluation.checks.findings import RANDOM, cut_short, finding, is_blocked
from epsball.evaluation.checks.meeting import check_meeting
from epsball.evaluation.checks.probe import Probe
from epsball.evaluation.engine.asking import broken_contract
from epsball.evaluation.engine.config import EngineConfig
from epsball.evaluation.engine.deadline import OutOfTime
from epsball.evaluation.engine.engine import Engine
from epsball.evaluation.engine.examples import Examples
from epsball.evaluation.engine.measuring import RequestedPrecision, choose_config
from epsball.evaluation.inputs import check_finite, read_through, spread
from epsball.evaluation.manifest import DataEntry, Manifest
from epsball.evaluation.metrics.gate import Gate
from epsball.evaluation.metrics.present import counted, eps_text
from epsball.evaluation.phases import Phases
from epsball.evaluation.planning.budgeting import Clock, affordable, first_shard
from epsball.evaluation.planning.rehearsal import check_fit, rehearse
from epsball.evaluation.progress import Progress
from epsball.evaluation.records.shards import read_examples
from epsball.evaluation.settings import AttackSetting
from epsball.evaluation.subject import Subject
from epsball.runs.environment import environment
from epsball.runs.likeness import sample_scores
from epsball.types import Dataset, Finding, Positions

Sample: TypeAlias = Literal["auto", "first", "stratified"]
_COMPARED = 4  # images of the data whose scores are compared when a run is continued
_PROBED = 64  # images for the checks, at most
_LOOKED, _LOOKED_BYTES = 256, 2**26  # images whose scaling is looked at, and their memory
_FEWEST, _FEWEST_IN_TIME = 16, 4  # and at least, where there are as many; with a time budget
_SHARE = 0.1  # of the passes of the attacks, for the checks before them
_EACH = 6  # passes that these checks need for an image
_SECONDS_A_SHARD = 30.0  # what a kill may cost, about
_SMALLEST, _LARGEST = 16, 1024
_FIRST_JUDGED = 16  # images after which a gate that may end early is judged first
# shares of a time budget: for the checks after the attacks, the measuring before
_CHECKING, _MEASURING = 0.15, 0.05
_CHECKS = 6  # gradients the checks spend for one of the attack


@dataclass(frozen=True)
class Request:
    """What a run is to be; see `epsball.audit` for each."""

    settings: tuple[AttackSetting, ...]
    limit: int | None = None
    sample: Sample = "auto"
    seed: int = 0
    precision: RequestedPrecision = "float32"
    full_budget: bool = True
    through: str | None = None
    micro_batch: int | None = None
    budget: float | None = None
    gate: Gate | None = None
    command: str = ""
    control: Control | None = None


@dataclass(frozen=True)
class Plan:
    """A run that may begin.

    Args:
        manifest: what will be written.
        positions: of its images, in the order they are attacked.
        findings: doubts from before the attacks.
        probe: a few images of the run, with scores and gradients, for the checks; None where the
            model cannot be called.
        gate: ends the run as soon as its verdict is settled; None: all images are attacked.
        control: of the verdict, by a dear attack on a few survivors; None: there is none.
        rate: input gradients a second, measured.
        foretold: {phase: {seconds, forwards, backwards}} of the whole run.
    """

    manifest: Manifest
    positions: Positions
    findings: tuple[Finding, ...]
    probe: Probe | None
    gate: Gate | None = None
    control: Control | None = None
    rate: float = 1.0
    foretold: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def settings(self) -> tuple[AttackSetting, ...]:
        """Return the run's attacks."""
        return self.manifest.attacks

    @property
    def described(self) -> str:
        """Say in one sentence what is about to be done, defaults included."""
        model, data, engine = self.manifest.model, self.manifest.data, self.manifest.engine
        most = "" if self.manifest.budget is None else "up to "
        first = next((s for s in self.settings if s.norm != "none"), None)
        ball = ""
        if first is not None:
            ball = f" in {first.norm} at eps {', '.join(eps_text(eps) for eps in first.eps)}"
        return (
            f"auditing {model.name} on {most}{data.n:,} of {counted(data.total, 'image')} of "
            f"{data.spec} "
            f"({data.sample}) with {', '.join(s.variant for s in self.settings)}{ball}; "
            f"{'full budget' if engine.full_budget else 'verdicts'}, {engine.device}, "
            f"{engine.precision}, micro-batch {engine.micro_batch}, "
            f"{counted(engine.threads, 'thread')}"
        )


def make_plan(
    subject: Subject,
    data: Dataset,
    request: Request,
    *,
    begun: Manifest | None,
    phases: Phases,
    progress: Progress,
) -> Plan:
    """Decide on images, sizes and manifest, and look for what is wrong before any attack.

    Args:
        subject: the model.
        data: the images.
        request: the attacks, and how they are to be run.
        begun: manifest of the same directory, where a run was begun there; its choices stay.
        phases: adds up the cost.
        progress: shows how far the reading is.

    Raises:
        EpsballError: an image cannot be read, labels do not fit, an attack refuses its settings.
    """
    drawn = _draw(data, request)
    begun_reading = time.perf_counter()
    images = read_examples(data, looked := spread(drawn, _looked(data, request)))
    reading = (time.perf_counter() - begun_reading) / len(images)
    check_finite(data, images.images, looked)
    callable_model = not subject.findings
    if callable_model:
        check_fit(subject, data, drawn)
    # attacks refuse images outside [0, 1] that the finding below is about
    if callable_model and not check_range(*_extremes(images.images)):
        limit = 0.02 * request.budget if request.budget is not None else 10.0
        rehearse(subject, request.settings, images, phases.passes, limit)
    progress.begin("measuring speed", 0)
    with phases.during("measuring"):
        config, rate = _config(
            subject, images.images, request, begun, count=len(drawn), phases=phases
        )
    engine = Engine(subject.model, subject.info, config, request.seed, passes=phases.passes)
    early = (*subject.findings, *subject.noted, *checks_before.check_eps(request.settings))
    findings, probe = [*early], None
    scores: tuple[tuple[float, ...], ...] = ()
    if callable_model:
        progress.begin("checking the model", 0)
        with phases.during("checks"), broken_contract(subject.name):
            shown = images
            images = images.rows(_evenly(len(images), config.probe))
            started = time.perf_counter()
            probe = Probe.of(engine, images, request.settings)
            rate = rate or len(images) / (time.perf_counter() - started)
            findings += _check_model(subject, engine, probe, shown, request)
            random = any(known.code in RANDOM for known in findings)
            if not random:
                own = read_examples(data, drawn[:_COMPARED]).images
                scores = sample_scores(engine.scores, data.shape, own)
    positions = drawn[: _affordable(len(drawn), rate or 1.0, reading, request, begun)]
    sample = _sample_name(positions, len(data))
    if request.gate is not None:  # what its interval holds for
        positions = np.random.default_rng(request.seed).permutation(positions)
    if begun is None:
        config = config.changed(**_shards(config, rate or 1.0, request))
    with phases.during("reading"):
        progress.begin("reading images", len(positions))
        sha256, out_of_range = read_through(data, positions, progress.advance)
    manifest = Manifest(
        command=request.command,
        seed=request.seed,
        budget=request.budget,
        model=subject.entry().model_copy(update={"scores": scores}),
        data=DataEntry(
            spec=data.name,
            n=len(positions),
            total=len(data),
            shape=data.shape,
            sample=sample,
            order="sample" if request.gate is None else "random",
            sha256=sha256,
            class_names=data.class_names,
        ),
        attacks=request.settings,
        engine=config,
        **environment(),
    )
    found = (*findings, *out_of_range)
    return Plan(manifest, positions, found, probe, request.gate, request.control, rate or 1.0)


def _draw(data: Dataset, request: Request) -> Positions:
    """Choose the images; with a time budget in an order of which every prefix is stratified."""
    if request.budget is None:
        return choose(data.labels, request.limit, how=request.sample, seed=request.seed)
    return stratified_order(data.labels, request.seed)[: request.limit]


def _looked(data: Dataset, request: Request) -> int:
    """Return how many images are read for the checks before the attacks."""
    affordable = _LOOKED_BYTES // (4 * math.prod(data.shape))
    return _PROBED if request.budget is not None else max(_PROBED, min(affordable, _LOOKED))


def _sample_name(positions: Positions, total: int) -> str:
    if len(positions) == total:
        return "all"
    return "first" if int(positions[-1]) == len(positions) - 1 else "stratified"


def _extremes(images: torch.Tensor) -> tuple[float, float]:
    return float(images.amin()), float(images.amax())


def _evenly(count: int, chosen: int) -> torch.Tensor:
    """Return the places of some images, evenly over all."""
    return torch.linspace(0, count - 1, min(count, chosen)).long()


def _gradients(settings: Sequence[AttackSetting]) -> int:
    """Return the gradients that all attacks may spend on an image."""
    return sum(setting.gradients for setting in settings)


def _config(
    subject: Subject,
    sample: torch.Tensor,
    request: Request,
    begun: Manifest | None,
    *,
    count: int,
    phases: Phases,
) -> tuple[EngineConfig, float | None]:
    """Choose sizes, and say how many gradients a second this machine computes, if measured."""
    if begun is not None:
        update: dict[str, object] = {
            "device": subject.device,
            "full_budget": request.full_budget,
            "through": request.through,
        }
        if request.precision == "float32":
            update["precision"] = request.precision
        return begun.engine.changed(**update), None
    probed = _SHARE * count * _gradients(request.settings) / _EACH
    config = EngineConfig(
        device=subject.device,
        micro_batch=request.micro_batch or 1,
        threads=torch.get_num_threads(),
        full_budget=request.full_budget,
        through=request.through,
        probe=int(min(max(probed, _FEWEST), _PROBED)),
    )
    if subject.findings:
        return config, 1.0
    limit = {} if request.budget is None else {"seconds": min(4.0, _MEASURING * request.budget)}
    config, rate = choose_config(
        subject.model,
        sample,
        config,
        requested=request.precision,
        micro_batch=request.micro_batch,
        most=count,
        gradients=count * _gradients(request.settings),
        passes=phases.passes,
        **limit,
    )
    if request.budget is not None and rate is not None:
        steps = [int(setting.knobs.get("steps", 1)) for setting in request.settings]
        each = sum(_CHECKS * (number + 1) for number in steps)
        affordable = int(_CHECKING * request.budget * rate / each)
        config = config.changed(probe=min(config.probe, max(affordable, _FEWEST_IN_TIME)))
    return config, rate


def _shards(config: EngineConfig, rate: float, request: Request) -> dict[str, int]:
    """Return how many images are written at once: what a kill may cost is half a minute, about."""
    dearest = max([1, *(setting.gradients for setting in request.settings)])
    size, images = config.micro_batch, _SECONDS_A_SHARD * rate / dearest
    shard = int(min(max(images, _SMALLEST), _LARGEST))
    shard = max(1, shard // size) * size if shard > size else shard
    first = min(shard, _FIRST_JUDGED) if request.gate is not None else shard
    if request.budget is not None:
        first = min(first, first_shard(request.settings, rate, request.budget, size))
    if request.budget is None and request.gate is None:
        return {"shard": shard}
    return {"shard": max(shard, first), "first": first}


def _affordable(
    count: int, rate: float, reading: float, request: Request, begun: Manifest | None
) -> int:
    """Return how many images a time budget may reach; all of them without one."""
    if request.budget is None:
        return count
    if begun is not None:
        return begun.data.n
    return min(count, affordable(request.settings, rate, reading, request.budget))


def _check_model(
    subject: Subject, engine: Engine, probe: Probe, shown: Examples, request: Request
) -> list[Finding]:
    findings = checks_before.check_scores(engine, probe)
    if is_blocked(findings):
        return findings
    findings += checks_before.check_gradients(probe, request.settings)
    if not any(one.code in RANDOM for one in findings):
        engine.deadline = Clock(time.monotonic(), request.budget).before
        try:
            findings += check_meeting(engine, probe, shown, named=":" in subject.spec)
        except OutOfTime:
            findings.append(cut_short("before the attacks"))
        engine.deadline = math.inf
    if engine.config.precision != "float32" and engine.config.full_budget:
        message = f"attacks searched in {engine.config.precision}; every verdict is float32"
        findings.append(finding("low-precision-search", message))
    return findings
