"""The plan of a run: all decisions and refusals before anything is written."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

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
from epsball.evaluation.engine.deadline import OutOfTime
from epsball.evaluation.engine.engine import Engine
from epsball.evaluation.engine.examples import Examples
from epsball.evaluation.inputs import check_finite, read_through, spread
from epsball.evaluation.manifest import DataEntry, Manifest
from epsball.evaluation.metrics.gate import Gate
from epsball.evaluation.metrics.present import counted, eps_text
from epsball.evaluation.phases import Phases
from epsball.evaluation.planning.budgeting import Clock
from epsball.evaluation.planning.rehearsal import check_fit, rehearse
from epsball.evaluation.planning.request import Request
from epsball.evaluation.planning.sizing import PROBED, affordable_images, choose_sizes, shard_sizes
from epsball.evaluation.progress import Progress
from epsball.evaluation.records.shards import read_examples
from epsball.evaluation.settings import AttackSetting
from epsball.evaluation.subject import Subject
from epsball.runs.environment import environment
from epsball.runs.likeness import sample_scores
from epsball.types import Dataset, Finding, Positions

_COMPARED = 4  # images of the data whose scores are compared when a run is continued
_LOOKED, _LOOKED_BYTES = 256, 2**26  # images whose scaling is looked at, and their memory


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
        config, rate = choose_sizes(
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
    positions = drawn[: affordable_images(len(drawn), rate or 1.0, reading, request, begun)]
    sample = _sample_name(positions, len(data))
    if request.gate is not None:  # what its interval holds for
        positions = np.random.default_rng(request.seed).permutation(positions)
    if begun is None:
        config = config.changed(**shard_sizes(config, rate or 1.0, request))
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
    findings += out_of_range
    return Plan(
        manifest, positions, tuple(findings), probe, request.gate, request.control, rate or 1.0
    )


def _draw(data: Dataset, request: Request) -> Positions:
    """Choose the images; with a time budget in an order of which every prefix is stratified."""
    if request.budget is None:
        return choose(data.labels, request.limit, how=request.sample, seed=request.seed)
    return stratified_order(data.labels, request.seed)[: request.limit]


def _looked(data: Dataset, request: Request) -> int:
    """Return how many images are read for the checks before the attacks."""
    affordable = _LOOKED_BYTES // (4 * math.prod(data.shape))
    return PROBED if request.budget is not None else max(PROBED, min(affordable, _LOOKED))


def _sample_name(positions: Positions, total: int) -> str:
    if len(positions) == total:
        return "all"
    return "first" if int(positions[-1]) == len(positions) - 1 else "stratified"


def _extremes(images: torch.Tensor) -> tuple[float, float]:
    return float(images.amin()), float(images.amax())


def _evenly(count: int, chosen: int) -> torch.Tensor:
    """Return the places of some images, evenly over all."""
    return torch.linspace(0, count - 1, min(count, chosen)).long()


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
