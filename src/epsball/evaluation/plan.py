"""All that is decided, and all that can be refused, before the first byte is written."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch

from epsball.data import choose, stratified_order, to_unit
from epsball.evaluation.checks import before as checks_before
from epsball.evaluation.checks.findings import finding, is_blocked
from epsball.evaluation.engine.engine import Choices, Engine
from epsball.evaluation.engine.speed import Speed, Wanted, measure_speed
from epsball.evaluation.inputs import read_through, spread
from epsball.evaluation.manifest import (
    DataEntry,
    EngineEntry,
    Manifest,
    ModelEntry,
    attack_entries,
    surroundings,
)
from epsball.evaluation.metrics.present import eps_text
from epsball.evaluation.progress import Progress
from epsball.evaluation.settings import AttackSetting
from epsball.evaluation.subject import Subject, check_fit, rehearse
from epsball.types import Dataset, Finding, Positions

Sample: TypeAlias = Literal["auto", "first", "stratified"]
_PROBED = 64  # images for the checks before and after
_SECONDS_A_SHARD = 30.0  # what a kill may cost, about
_SMALLEST, _LARGEST = 16, 1024
# shares of a time budget: for the attacks themselves, the checks after them, the measuring before
_SEARCHING, _CHECKING, _MEASURING = 0.5, 0.15, 0.05
_CHECKS = 6  # gradients the checks spend for one of the attack: again, longer, watched, wider
_SLICES = 10  # a budgeted run answers about this often


@dataclass(frozen=True)
class Options:
    """How a run is to be done; see `epsball.audit` for each."""

    limit: int | None = None
    sample: Sample = "auto"
    seed: int = 0
    precision: Wanted = "float32"
    full_budget: bool = True
    micro_batch: int | None = None
    budget: float | None = None
    command: str = ""


@dataclass(frozen=True)
class Plan:
    """A run that may begin.

    Args:
        manifest: what will be written.
        positions: of its images, in the order they are done.
        settings: its attacks.
        findings: doubts from before the attacks.
    """

    manifest: Manifest
    positions: Positions
    settings: tuple[AttackSetting, ...]
    findings: tuple[Finding, ...]

    @property
    def described(self) -> str:
        """Say in one sentence what is about to be done, defaults included."""
        model, data, engine = self.manifest.model, self.manifest.data, self.manifest.engine
        first = next((s for s in self.settings if s.norm != "none"), None)
        ball = ""
        if first is not None:
            ball = f" in {first.norm} at eps {', '.join(eps_text(eps) for eps in first.eps)}"
        return (
            f"auditing {model.name} on {data.n:,} of {data.total:,} images of {data.spec} "
            f"({data.sample}) with {', '.join(s.variant for s in self.settings)}{ball}; "
            f"{'full budget' if engine.full_budget else 'verdicts'}, {engine.device}, "
            f"{engine.precision}, micro-batch {engine.micro_batch}"
        )


def make_plan(
    subject: Subject,
    data: Dataset,
    settings: tuple[AttackSetting, ...],
    options: Options,
    *,
    begun: Manifest | None,
    told: Progress,
) -> Plan:
    """Decide on images, sizes and manifest, and look for what is wrong before any attack.

    Args:
        subject: the model.
        data: the images.
        settings: the attacks.
        options: what was asked for.
        begun: manifest of the same directory, where a run was begun there; its choices are kept.
        told: is told how far the reading is.

    Raises:
        EpsballError: an image cannot be read, labels do not fit, an attack refuses its settings.
    """
    drawn = _draw(data, options)
    probe = _probe_of(data, drawn)
    asked = not subject.findings
    if asked:
        check_fit(subject, data, drawn)
        rehearse(subject, settings, (probe.images, probe.labels))
    engine, speed = _engine(subject, probe, settings, options, begun)
    positions = drawn[: _affordable(len(drawn), speed, settings, options, begun)]
    if options.budget is not None and begun is None:
        slices = max(1, len(positions) // _SLICES)
        engine = engine.model_copy(update={"shard": min(engine.shard, slices)})
    told.begin("reading", len(positions))
    content = read_through(data, positions, told.advance)
    findings = [*subject.findings, *content.findings, *checks_before.check_eps(settings)]
    if asked:
        findings += _check_model(subject, probe, settings, engine, options)
    manifest = Manifest(
        command=options.command,
        seed=options.seed,
        budget=options.budget,
        model=ModelEntry(
            spec=subject.spec,
            name=subject.name,
            sha256=subject.sha256,
            parameters=subject.parameters,
            classes=subject.info.classes,
            gives=subject.info.gives,
            rejects=subject.info.rejects,
        ),
        data=DataEntry(
            spec=data.name,
            n=len(positions),
            total=len(data),
            shape=data.shape,
            sample=_sample_name(positions, len(data)),
            sha256=content.sha256,
            class_names=data.class_names,
        ),
        attacks=attack_entries(settings),
        engine=engine,
        **surroundings(),
    )
    return Plan(manifest, positions, settings, tuple(findings))


def _draw(data: Dataset, options: Options) -> Positions:
    """Choose the images; with a time budget in an order whose every beginning is a fair sample."""
    if options.budget is None:
        return choose(data.labels, options.limit, how=options.sample, seed=options.seed)
    return stratified_order(data.labels, options.seed)[: options.limit]


def _sample_name(positions: Positions, total: int) -> str:
    if len(positions) == total:
        return "all"
    return "first" if int(positions[-1]) == len(positions) - 1 else "stratified"


def _probe_of(data: Dataset, positions: Positions) -> checks_before.Probe:
    chosen = spread(positions, _PROBED)
    return checks_before.Probe(to_unit(data.read(chosen)), torch.from_numpy(data.labels[chosen]))


def _engine(
    subject: Subject,
    probe: checks_before.Probe,
    settings: Sequence[AttackSetting],
    options: Options,
    begun: Manifest | None,
) -> tuple[EngineEntry, float]:
    """Choose sizes, and say how many gradients a second this machine makes."""
    if begun is not None:
        asked = {"device": subject.device, "full_budget": options.full_budget}
        if options.precision == "float32":
            asked |= {"precision": options.precision}
        return begun.engine.model_copy(update=asked), 0.0
    measured = Speed("float32", 1, 1.0)
    if not subject.findings:
        measuring = 4.0 if options.budget is None else min(4.0, _MEASURING * options.budget)
        measured = measure_speed(subject, probe.images, options.precision, measuring)
    size, speed = options.micro_batch or measured.micro_batch, measured.rate
    dearest = max([1, *(setting.gradients for setting in settings)])
    images = _SECONDS_A_SHARD * speed / dearest
    shard = int(min(max(images, _SMALLEST), _LARGEST))
    shard = max(1, shard // size) * size if shard > size else shard
    entry = EngineEntry(
        device=subject.device,
        precision=measured.precision,
        micro_batch=size,
        threads=torch.get_num_threads(),
        full_budget=options.full_budget,
        shard=shard,
        probe=_PROBED if options.budget is None else _probed(speed, settings, options.budget),
    )
    return entry, speed


def _probed(speed: float, settings: Sequence[AttackSetting], budget: float) -> int:
    """Return how many images the checks after the attacks may look at in a time budget."""
    steps = [int(setting.knobs.get("steps", 1)) for setting in settings]
    each = sum(_CHECKS * count + _CHECKS for count in steps)
    return int(min(max(_CHECKING * budget * speed / each, 4), _PROBED))


def _affordable(
    count: int,
    speed: float,
    settings: Sequence[AttackSetting],
    options: Options,
    begun: Manifest | None,
) -> int:
    """Return how many images a time budget allows; all of them without one."""
    if options.budget is None:
        return count
    if begun is not None:
        return begun.data.n
    each = sum(setting.gradients + 1 for setting in settings)
    return max(1, min(count, int(_SEARCHING * options.budget * speed / each)))


def _check_model(
    subject: Subject,
    probe: checks_before.Probe,
    settings: Sequence[AttackSetting],
    engine: EngineEntry,
    options: Options,
) -> list[Finding]:
    choices = Choices(**engine.model_dump(exclude={"shard", "probe"}))
    asking = Engine(subject.model, subject.info, choices, options.seed)
    found = checks_before.check_scores(asking, probe, subject.info)
    if is_blocked(found):
        return found
    found += checks_before.check_gradients(asking, probe, settings)
    if engine.precision != "float32" and engine.full_budget:
        message = f"attacks searched in {engine.precision}; every verdict is float32"
        found.append(finding("low-precision-search", message))
    return found
