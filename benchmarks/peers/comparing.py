"""One comparison: best batches, then rounds in which everybody has one turn, then the probes."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

from benchmarks.peers.cells import Setup, job_of
from benchmarks.peers.jobs import Job
from benchmarks.peers.judging import judge
from benchmarks.peers.methods import MORE
from benchmarks.peers.probe import probe_apart
from benchmarks.peers.registry import attacks_of, entrants_for, version_of, why_not
from benchmarks.peers.rows import Row, Rows
from benchmarks.peers.sizing import predicted_seconds, time_batches, warm_up
from benchmarks.peers.subjects import Subject
from benchmarks.peers.timing import timed

from epsball.errors import InvalidInput


@dataclass(frozen=True)
class Options:
    """How the benchmark is run.

    Args:
        weights: directory of weights.
        autoattack: checkout of the reference code; None: it does not take part.
        rounds: how often each entrant is timed.
        once_over: seconds; an entrant whose first turn took longer has no other.
        too_slow: seconds; an entrant that would take longer, going by a few steps, has none.
        entrants: who takes part; none: all.
        probes: whether passes are counted and memory is watched.
    """

    weights: Path
    autoattack: Path | None = None
    rounds: int = 5
    once_over: float = 120.0
    too_slow: float = 1800.0
    entrants: tuple[str, ...] = ()
    probes: bool = True


@dataclass
class Comparison:
    """Entrants side by side under one setup.

    Args:
        setup: what is compared.
        subject: model and images.
        options: how.
        rows: where everything is written.
        tell: is told a line now and then.
    """

    setup: Setup
    subject: Subject
    options: Options
    rows: Rows
    tell: Callable[[str], object]
    batches: dict[str, int] = field(default_factory=dict, init=False)

    def run(self) -> None:
        """Measure what is not measured yet."""
        able = self._able()
        if not self._of("setup"):
            self._add("setup", **asdict(self.setup))
        for name in able:
            self._attempt(name, self._prepare)
        for turn in range(self.options.rounds):
            for name in _rotated(list(self.batches), turn):
                self._attempt(name, partial(self._take_turn, turn=turn))
        if self.options.probes:
            for name in list(self.batches):
                self._probe(name)

    def _able(self) -> list[str]:
        able = []
        for name in entrants_for(self.setup.method):
            if self.options.entrants and name not in self.options.entrants:
                continue
            reason = why_not(name, self.setup.method, self.subject.classes)
            if reason is None:
                able.append(name)
            elif not self._of("left-out", entrant=name, reason=reason):
                self._add("left-out", entrant=name, reason=reason)
        return able

    def _attempt(self, name: str, work: Callable[[str], None]) -> None:
        """Do a piece of an entrant's work; where it fails, say so and go on without it."""
        try:
            work(name)
        except Exception as error:
            result = str(error).strip().splitlines() or [""]
            kind = "" if isinstance(error, InvalidInput) else f"{type(error).__name__}: "
            reason = f"{name}: {kind}{result[0]}"
            self._add("left-out", entrant=name, reason=reason)
            self.batches.pop(name, None)

    def _prepare(self, name: str) -> None:
        """Find the best batch, or recall it, and warm up."""
        job = job_of(self.setup, self.subject, batch=1)
        warm_up(name, self.setup, job)
        known = self.rows.of(what="batches", sizing=self.setup.sizing, entrant=name)
        if known:
            self.batches[name] = known[-1]["batch"]
            return
        self._check_pace(name, job)
        seconds = time_batches(name, self.setup, job, self.setup.batches)
        self.batches[name] = next(iter(seconds))
        self._add(
            "batches",
            entrant=name,
            sizing=self.setup.sizing,
            batch=self.batches[name],
            seconds={str(batch): time for batch, time in seconds.items()},
        )

    def _check_pace(self, name: str, job: Job) -> None:
        """Refuse what would take far too long, before it is tried on all images."""
        seconds = predicted_seconds(name, self.setup, job)
        if seconds > self.options.too_slow:
            raise InvalidInput(
                f"a turn would take about {seconds:,.0f} s, more than --too-slow "
                f"{self.options.too_slow:,.0f}"
            )

    def _take_turn(self, name: str, turn: int) -> None:
        done = self._of("turn", entrant=name)
        slow = any(row["seconds"] > self.options.once_over for row in done)
        if slow or any(row["turn"] == turn for row in done):
            return
        job = job_of(self.setup, self.subject, batch=self.batches[name], seed=turn)
        result, seconds = timed(attacks_of(name)[self.setup.method], job)
        verdict = judge(
            job.model,
            job.images,
            result,
            job.labels,
            norm=job.norm,
            eps=job.eps,
            device=job.device,
        )
        answer = {"turn": turn, "version": version_of(name), "batch": job.batch}
        self._add("turn", entrant=name, **answer, seconds=seconds, **asdict(verdict))

    def _probe(self, name: str) -> None:
        """Count passes and watch memory; where a floor is at stake also with more images."""
        several = (1, MORE) if self.setup.of_method.kind == "floor" else (1,)
        for times in several:
            if self._of("probe", entrant=name, times=times):
                continue
            seen = probe_apart(
                name,
                replace(self.setup, images=times * self.setup.images),
                batch=self.batches[name],
                weights=self.options.weights,
                autoattack=self.options.autoattack,
            )
            self._add("unprobed" if "error" in seen else "probe", entrant=name, times=times, **seen)

    def _of(self, what: str, **wanted: object) -> list[Row]:
        return self.rows.of(what=what, setup=self.setup.id, **wanted)

    def _add(self, what: str, **values: object) -> None:
        self.rows.add(what=what, setup=self.setup.id, **values)
        shown = {k: v for k, v in values.items() if not isinstance(v, dict)}
        place = f"{self.setup.case} {self.setup.method}"
        self.tell(f"{place}: {what} " + ", ".join(f"{k} {_short(v)}" for k, v in shown.items()))


def _rotated(names: Sequence[str], turn: int) -> list[str]:
    """Begin every round with somebody else: who goes first finds a cooler machine."""
    at = turn % len(names) if names else 0
    return [*names[at:], *names[:at]]


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
