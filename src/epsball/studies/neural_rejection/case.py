"""The rows and departures on which claims about Neural Rejection are judged. Imports no torch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from epsball.studies.claims.estimates import Estimate
from epsball.studies.claims.table import Claim, Verdict, judge_finding
from epsball.studies.core.data_summary import DataSummary
from epsball.studies.core.notes import read_notes
from epsball.studies.core.options import Options
from epsball.studies.neural_rejection.results import OURS, STRONGEST, TITLES, Results

NOTES = read_notes("epsball.studies.neural_rejection")
CROSSING = 3.0  # the source's: up to this eps all are alike
ALIKE = 0.05  # of accuracy, or of the rejection rate, that counts as similar or unchanged
FIRST = "the first draw alone"
_DRAWS, _IMAGES, _TRAINED = 5, 1000, 30_000  # of the source
_NET: Mapping[str, float] = {"lr": 0.1, "epochs": 50, "batch_size": 128, "dropout": 0.5}
_DEFENCE: Mapping[str, float] = {"theta": 0.9, "gamma": 0.01, "c": 0.1, "tolerance": 0.01}

T = TypeVar("T")


@dataclass(frozen=True)
class Under(Generic[T]):
    """A result under the hardest of our attacks that was run on all that is compared."""

    attack: str
    result: T


@dataclass(frozen=True)
class Case:
    """The rows and departures on which claims are judged.

    Args:
        results: the rows.
        network: departures of the networks from the source.
        attack: departures of defences and attacks.
        draws: departures of the images that are attacked.
        around: the departure of the defended network, where it is not the source's.
    """

    results: Results
    network: tuple[str, ...]
    attack: tuple[str, ...]
    draws: tuple[str, ...] = ()
    around: tuple[str, ...] = ()

    def gap(
        self,
        more: str,
        less: str,
        attack: str,
        eps: Sequence[float],
        *,
        column: str = "accuracy",
        draw: int | None = None,
    ) -> Estimate | None:
        """Return the lead of one subject over another, a mean over eps; None: not measured."""
        one, other = (
            [self.results.at(name, attack, e, column, draw=draw) for e in eps]
            for name in (more, less)
        )
        return self.results.across(one, other)

    def first(self, more: str, less: str, attack: str, eps: Sequence[float]) -> Estimate | None:
        """Return the lead on the first draw, for subjects that have no other."""
        return self.gap(more, less, attack, eps, draw=0)

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
        ours: Under[bool] | None = None,
        beside: Sequence[str] = (),
        attacked: bool = True,
    ) -> Verdict:
        """Judge a finding by the number that decides; repetitions are draws of images.

        Args:
            claim: of kind "ordering" or "statement".
            least: the number.
            holds: under the source's attack.
            note: why.
            ours: whether it holds under the hardest of our attacks; None: unknown. The note says
                so where it differs.
            beside: further departures, which are listed and leave the verdict as it is.
            attacked: whether the claim is about images that are attacked.
        """
        if ours is not None and ours.result != holds:
            note += NOTES.text("reason-under", attack=TITLES[ours.attack], holds=ours.result)
        differs = (*self.network, *self.attack, *(self.draws if attacked else ()))
        verdict = judge_finding(
            claim, least, holds=holds, note=note, differs=differs, beside=(*self.around, *beside)
        )
        kind = (verdict.interval_kind or "").replace("seeds", "draws")
        return replace(verdict, interval_kind=kind.replace("one seed", "one draw"))


def departures(
    options: Options, data: DataSummary
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """List the departures from the source; parameters it leaves unstated do not count.

    Returns:
        Those of the networks; of defences and attacks; of the images that are attacked.
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
        draws.append(f"{images:,} of {_IMAGES:,} images per draw")
    network += _changed(options, _NET)
    return tuple(network), tuple(_changed(options, _DEFENCE)), tuple(draws)


def _changed(options: Options, stated: Mapping[str, float]) -> list[str]:
    own = {name: options.grid.get(name, (value,))[0] for name, value in stated.items()}
    if options.epochs is not None and "epochs" in own:
        own["epochs"] = options.epochs
    return [
        f"{name} {own[name]}, not {value:g}" for name, value in stated.items() if own[name] != value
    ]


def without_interval(verdict: Verdict) -> Verdict:
    """Return a verdict without its interval, for a number that has none."""
    return replace(verdict, interval=None, interval_kind=None)


def points(share: float) -> str:
    """Write a share in percentage points: 1.5 points."""
    return f"{100 * share:.1f} points"


def signed(gap: Estimate) -> str:
    """Write a difference of shares: +1.5 points."""
    return f"{100 * gap.value:+.1f} points"


def under_ours(compute: Callable[[str], T | None]) -> Under[T] | None:
    """Return a result under the hardest of our attacks that was run on all that is compared.

    Args:
        compute: attack -> the result; None where the attack was not run on all.
    """
    for attack in (STRONGEST, OURS):
        result = compute(attack)
        if result is not None:
            return Under(attack, result)
    return None


def ours_text(under: Under[Estimate] | None) -> str:
    """Write a difference under our attacks."""
    return (
        "ours not run" if under is None else f"under {TITLES[under.attack]} {signed(under.result)}"
    )
