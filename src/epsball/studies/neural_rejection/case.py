"""What claims about Neural Rejection are judged on. Imports no torch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from epsball.studies.claims.estimates import Estimate
from epsball.studies.claims.study_rows import Point
from epsball.studies.claims.table import Claim, Verdict, judge_finding
from epsball.studies.core.data_summary import DataSummary
from epsball.studies.core.options import Options
from epsball.studies.neural_rejection.measured import OURS, SAID, STRONGEST, Results

CROSSING = 3.0  # the source's: up to this eps all are alike
ALIKE = 0.05  # of accuracy, or of the rejection rate: what is called similar, or unchanged
FIRST = "the first draw alone"
MISSING = "the rows that it compares were not all run"
_DRAWS, _IMAGES, _TRAINED = 5, 1000, 30_000  # of the source
_NET: Mapping[str, float] = {"lr": 0.1, "epochs": 50, "batch_size": 128, "dropout": 0.5}
_DEFENCE: Mapping[str, float] = {"theta": 0.9, "gamma": 0.01, "c": 0.1, "tolerance": 0.01}


Found = TypeVar("Found")


@dataclass(frozen=True)
class Case:
    """What claims are judged on.

    Args:
        results: the rows.
        network: what is not as in the source about the networks.
        attack: what is not about defences and attacks.
        draws: what is not about the images that are attacked.
        around: what the network that is defended has of its own, where it is not the source's.
    """

    results: Results
    network: tuple[str, ...]
    attack: tuple[str, ...]
    draws: tuple[str, ...] = ()
    around: tuple[str, ...] = ()

    def places(self, subject: str, attack: str, eps: Sequence[float], column: str) -> list[Point]:
        """Return a subject's places at several eps."""
        return [self.results.at(subject, attack, e, column) for e in eps]

    def lead(
        self, more: str, less: str, attack: str, eps: Sequence[float], column: str = "accuracy"
    ) -> Estimate | None:
        """Return by how much one subject is ahead of another, a mean over eps."""
        one, other = (self.places(name, attack, eps, column) for name in (more, less))
        return self.results.across(one, other)

    def first(self, more: str, less: str, attack: str, eps: Sequence[float]) -> Estimate | None:
        """Return the lead on the first draw, for subjects that were given no other."""
        one, other = (
            [self.results.at(name, attack, e, draw=0) for e in eps] for name in (more, less)
        )
        return self.results.across(one, other)

    @property
    def far(self) -> list[float]:
        """Return the eps beyond the source's crossing."""
        return [eps for eps in self.results.eps if eps > CROSSING]

    def finding(
        self,
        claim: Claim,
        least: Estimate,
        *,
        holds: bool,
        note: str,
        ours: "Under[bool] | None" = None,
        beside: Sequence[str] = (),
        attacked: bool = True,
    ) -> Verdict:
        """Judge a finding on the number that decides; what repeats are draws of images.

        Args:
            claim: of kind "ordering" or "statement".
            least: the number.
            holds: under the source's attack.
            note: why.
            ours: whether it holds under the hardest of our attacks; None: unknown. Told where it
                is not the same.
            beside: what else is not as in the source, and is said without taking the verdict away.
            attacked: whether it is about images that are attacked.
        """
        if ours is not None and ours.found != holds:
            note += f"; under {SAID[ours.attack]} it {'holds' if ours.found else 'does not hold'}"
        differs = (*self.network, *self.attack, *(self.draws if attacked else ()))
        found = judge_finding(
            claim, least, holds=holds, note=note, differs=differs, beside=(*self.around, *beside)
        )
        kind = (found.interval_kind or "").replace("seeds", "draws").replace("one seed", "one draw")
        return replace(found, interval_kind=kind)


def differences(
    options: Options, data: DataSummary
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Say what is not as in the source. What it does not state, nobody can differ in.

    Returns:
        What concerns the networks; defences and attacks; the images that are attacked.
    """
    network, draws = [], []
    trained = min(options.train_limit or data.train, data.train)
    images = min(options.limit or _IMAGES, data.test)
    if data.name != "mnist":
        network.append(f"measured on {data.name}, not on MNIST")
    if trained != _TRAINED:
        network.append(f"trained on {trained:,} images, not {_TRAINED:,}")
    if options.seeds < _DRAWS:
        draws.append(f"{options.seeds} of {_DRAWS} draws of images")
    if images < _IMAGES:
        draws.append(f"{images:,} of {_IMAGES:,} images a draw")
    network += _changed(options, _NET)
    return tuple(network), tuple(_changed(options, _DEFENCE)), tuple(draws)


def _changed(options: Options, stated: Mapping[str, float]) -> list[str]:
    own = {name: options.grid.get(name, (value,))[0] for name, value in stated.items()}
    if options.epochs is not None and "epochs" in own:
        own["epochs"] = options.epochs
    return [
        f"{name} {own[name]}, not {value:g}" for name, value in stated.items() if own[name] != value
    ]


def bare(verdict: Verdict) -> Verdict:
    """Take away the interval of a number that has none."""
    return replace(verdict, interval=None, interval_kind=None)


def points(share: float) -> str:
    """Write a share in points of a hundred: 1.5 points."""
    return f"{100 * share:.1f} points"


def signed(gap: Estimate) -> str:
    """Write a difference of shares: +1.5 points."""
    return f"{100 * gap.value:+.1f} points"


@dataclass(frozen=True)
class Under(Generic[Found]):
    """What came out under the hardest of our attacks that saw all that is compared."""

    attack: str
    found: Found


def under_ours(ask: Callable[[str], Found | None]) -> Under[Found] | None:
    """Ask what came out under our attacks, the hardest first.

    Args:
        ask: attack -> what came out; None where it did not see all that is compared.
    """
    for attack in (STRONGEST, OURS):
        found = ask(attack)
        if found is not None:
            return Under(attack, found)
    return None


def told(under: Under[Estimate] | None) -> str:
    """Write a difference under our attacks."""
    return "ours not run" if under is None else f"under {SAID[under.attack]} {signed(under.found)}"
