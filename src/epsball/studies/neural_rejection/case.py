"""What the verdicts on claims about Neural Rejection share. Imports no torch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from epsball.studies.claims.estimates import Estimate
from epsball.studies.claims.table import Claim, Verdict, judge_finding
from epsball.studies.core.data_summary import DataSummary
from epsball.studies.core.options import Options
from epsball.studies.neural_rejection.results import NOTES, OURS, STRONGEST, TITLES, Results

CROSSING = 3.0  # the source's: up to this eps all are alike
ALIKE = 0.05  # of accuracy, or of the rejection rate, that counts as similar or unchanged
FIRST = "the first draw alone"
_DRAWS, _IMAGES, _TRAINED = 5, 1000, 30_000  # of the source
_NET: Mapping[str, float] = {"lr": 0.1, "epochs": 50, "batch_size": 128, "dropout": 0.5}
_DEFENCE: Mapping[str, float] = {"theta": 0.9, "gamma": 0.01, "c": 0.1, "tolerance": 0.01}

T = TypeVar("T")


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

    def lead(
        self,
        more: str,
        less: str,
        eps: Sequence[float],
        attack: str,
        column: str = "accuracy",
        *,
        draw: int | None = None,
    ) -> Estimate | None:
        """Return the lead of one subject over another, a mean over eps; None: not measured."""
        return self.results.gap((more, attack), (less, attack), eps, column, draw=draw)

    @property
    def far(self) -> list[float]:
        """Return the eps beyond the source's crossing."""
        return [eps for eps in self.results.eps if eps > CROSSING]

    def finding(
        self,
        claim: Claim,
        decisive: Estimate,
        *,
        holds: bool,
        note: str,
        ours: tuple[str, bool] | None = None,
        beside: Sequence[str] = (),
        attacked: bool = True,
    ) -> Verdict:
        """Judge a finding by the number that decides; repetitions are draws of images.

        Args:
            claim: of kind "ordering" or "statement".
            decisive: the number.
            holds: under the source's attack.
            note: why.
            ours: the hardest of our attacks, and whether the claim holds under it; None: unknown.
                The note states where it differs.
            beside: further departures, which are listed and leave the verdict as it is.
            attacked: whether the claim is about images that are attacked.
        """
        if ours is not None and ours[1] != holds:
            note += NOTES.text("reason-under", attack=TITLES[ours[0]], holds=ours[1])
        differs = (*self.network, *self.attack, *(self.draws if attacked else ()))
        verdict = judge_finding(
            claim, decisive, holds=holds, note=note, differs=differs, beside=(*self.around, *beside)
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


def under_ours(compute: Callable[[str], T | None]) -> tuple[str, T] | None:
    """Return the hardest of our attacks that was run on all that is compared, and a result.

    Args:
        compute: attack -> the result; None where the attack was not run on all.
    """
    for attack in (STRONGEST, OURS):
        result = compute(attack)
        if result is not None:
            return attack, result
    return None


def ours_text(under: tuple[str, Estimate] | None) -> str:
    """Write a difference under our attacks."""
    return "ours not run" if under is None else f"under {TITLES[under[0]]} {signed(under[1])}"
