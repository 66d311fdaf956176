"""From rows to numbers: medians of an entrant, and how ours stands against its rival."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.peers.methods import CASES, METHODS, MORE, Case, Kind, Method
from benchmarks.peers.registry import ENTRANTS
from benchmarks.peers.rows import Row, Rows

HEADLINE = {"floor": "epsball-full-budget"}  # whose numbers are held against the targets
OWN = "epsball-own-steps"
SLACK = {"budget": 0.0, "minimal": 0.01, "floor": 0.0}  # of distances, relative
POINTS = {"strongest": 0.002}  # of robust accuracies
_FLOOR = "bare-passes"


@dataclass(frozen=True)
class Result:
    """What an entrant did, medians over its turns.

    Args:
        entrant: who.
        version: its version.
        clean: share of the images that the model gets right before.
        seconds: of each turn.
        robust: robust accuracy.
        found: share of the images right before for which a wrong one was found.
        distance: median distance; None: half of them were not found.
        violations: images outside ball or box or not finite, the most of any turn.
        batch: images a forward pass.
        forwards: rows an image; None: not counted.
        backwards: rows an image.
        memory: MiB.
        memory_of_more: MiB with several times as many images.
    """

    entrant: str
    version: str
    clean: float
    seconds: tuple[float, ...]
    robust: float
    found: float
    distance: float | None
    violations: int
    batch: int
    forwards: float | None = None
    backwards: float | None = None
    memory: float | None = None
    memory_of_more: float | None = None

    @property
    def middle(self) -> float:
        """Return the median seconds."""
        return statistics.median(self.seconds)

    @property
    def is_peer(self) -> bool:
        """Say whether it is neither epsball nor the floor."""
        return not ENTRANTS[self.entrant].ours


@dataclass(frozen=True)
class Standing:
    """How ours compares with the peer it is held against.

    Args:
        rival: that peer, or the floor.
        time: our seconds over its seconds.
        target: the most that may be.
        better: whether our robust accuracy, or distance, is as good as it has to be; None: seconds
            are all that counts.
        against: the robust accuracy, or distance, that ours is held against.
    """

    rival: str
    time: float
    target: float | None
    better: bool | None
    against: float | None


@dataclass(frozen=True)
class Table:
    """One comparison, ready to be shown.

    Args:
        setup: the row that describes it.
        results: one an entrant, in the order of the registry.
        left_out: why others are missing.
    """

    setup: Row
    results: tuple[Result, ...]
    left_out: tuple[str, ...]

    @property
    def case(self) -> Case:
        """Return the case."""
        return CASES[self.setup["case"]]

    @property
    def method(self) -> Method:
        """Return the method."""
        return METHODS[self.setup["method"]]

    @property
    def clean(self) -> float:
        """Return the share of the images that the model gets right before any attack."""
        return self.results[0].clean if self.results else math.nan

    @property
    def ours(self) -> Result | None:
        """Return the result that is held against the targets."""
        return self.of(HEADLINE.get(self.method.kind, "epsball"))

    def of(self, entrant: str) -> Result | None:
        """Return an entrant's result; None: it has none."""
        return next((result for result in self.results if result.entrant == entrant), None)

    @property
    def standing(self) -> Standing | None:
        """Return how ours compares; None: one side is missing."""
        return self.standing_of(self.ours)

    @property
    def both(self) -> list[Result]:
        """Return ours, and ours with its own step sizes where that is another entrant."""
        return [one for one in (self.ours, self.of(OWN)) if one is not None]

    def standing_of(self, ours: Result | None) -> Standing | None:
        """Return how one of our entrants compares; None: one side is missing."""
        rival = self._rival()
        if ours is None or rival is None:
            return None
        target = self.case.targets.get(self.setup["method"])
        better, against = self._quality(ours)
        return Standing(rival.entrant, ours.middle / rival.middle, target, better, against)

    def _rival(self) -> Result | None:
        """Return the floor, the named rival, the nearest for distances, else the fastest."""
        if self.method.kind == "floor":
            return self.of(_FLOOR)
        peers = [result for result in self.results if result.is_peer]
        named = self.of(self.method.rival) if self.method.rival else None
        if named is not None or not peers:
            return named
        if self.method.kind == "minimal":
            return min(peers, key=lambda peer: (_far(peer), peer.middle))
        return min(peers, key=lambda peer: peer.middle)

    def _quality(self, ours: Result) -> tuple[bool | None, float | None]:
        kind: Kind = self.method.kind
        peers = [result for result in self.results if result.is_peer]
        if kind == "floor" or not peers:
            return None, None
        if kind == "minimal":
            nearest = min(map(_far, peers))
            return _far(ours) <= nearest * (1 + SLACK[kind]), nearest
        named = self.of(self.method.rival) if self.method.rival else None
        best = named.robust if named else min(peer.robust for peer in peers)
        slack = POINTS.get(self.setup["method"], 0.0)
        return ours.robust <= best + slack + 1e-9, best


def tables_of(rows: Rows) -> list[Table]:
    """Return the newest comparison of every case and method, in the order of the tables."""
    newest = {(row["case"], row["method"]): row for row in rows.of(what="setup")}
    results = []
    for case, entry in CASES.items():
        for method in entry.methods:
            setup = newest.get((case, method))
            if setup is not None:
                results.append(_table(rows, setup))
    return results


def _table(rows: Rows, setup: Row) -> Table:
    measured = [_result(rows, setup, name) for name in ENTRANTS]
    results = tuple(result for result in measured if result is not None)
    there = {result.entrant for result in results}
    counted = {result.entrant for result in results if result.memory is not None}
    answer = [
        *(_reason(row) for row in _of(rows, setup, "left-out") if row["entrant"] not in there),
        *(_reason(row) for row in _of(rows, setup, "unprobed") if row["entrant"] not in counted),
    ]
    return Table(setup, results, tuple(dict.fromkeys(answer)))


def _of(rows: Rows, setup: Row, what: str) -> list[Row]:
    return rows.of(what=what, setup=setup["setup"])


def _reason(row: Row) -> str:
    """Say why an entrant, or its counts, are missing; what held once may not hold any more."""
    return str(row.get("reason") or f"{row['entrant']}: passes not counted: {row['error']}")


def _result(rows: Rows, setup: Row, name: str) -> Result | None:
    turns = rows.of(what="turn", setup=setup["setup"], entrant=name)
    if not turns:
        return None
    probes = {
        row["times"]: row for row in rows.of(what="probe", setup=setup["setup"], entrant=name)
    }
    seen = probes.get(1, {})
    each = {key: _each(seen, key, setup["images"]) for key in ("forwards", "backwards")}
    return Result(
        name,
        turns[-1]["version"],
        turns[-1]["clean"],
        tuple(turn["seconds"] for turn in turns),
        statistics.median(turn["robust"] for turn in turns),
        statistics.median(turn["found"] for turn in turns),
        _distance(turns),
        max(turn["outside_ball"] + turn["outside_box"] + turn["broken"] for turn in turns),
        turns[-1]["batch"],
        memory=seen.get("memory"),
        memory_of_more=probes.get(MORE, {}).get("memory"),
        **each,
    )


def _each(seen: Row, key: str, images: int) -> float | None:
    return seen[key] / images if key in seen else None


def _distance(turns: Sequence[Row]) -> float | None:
    known = [math.inf if turn["distance"] is None else turn["distance"] for turn in turns]
    middle = statistics.median(known)
    return None if math.isinf(middle) else middle


def _far(result: Result) -> float:
    return math.inf if result.distance is None else result.distance
