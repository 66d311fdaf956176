"""What came out for the claims about training on examples. Imports no torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from epsball.studies.claims.estimates import Estimate
from epsball.studies.claims.table import Claim, Verdict, not_run
from epsball.studies.neural_rejection.case import (
    ALIKE,
    CROSSING,
    FIRST,
    MISSING,
    Case,
    Under,
    points,
    signed,
    told,
    under_ours,
)
from epsball.studies.neural_rejection.measured import SOURCE
from epsball.studies.neural_rejection.subjects import SUBJECTS

_PAIRS = (("retrained", "none"), ("dnr-retrained", "dnr"))


@dataclass(frozen=True)
class _Retrained:
    """What retraining did: gain at large eps by subject, and the widest mean move of a curve."""

    gains: Mapping[str, Estimate]
    mean: float

    @property
    def least(self) -> Estimate:
        return min(self.gains.values(), key=lambda gain: gain.value)

    @property
    def holds(self) -> bool:
        return self.mean <= ALIKE and self.least.value > 0


def _retrained(case: Case, attack: str) -> _Retrained | None:
    """Compare with those that were not retrained, on the first draw; None where some lack."""
    gains, means = {}, []
    for after, before in _PAIRS:
        eps = (0.0, *case.results.eps)
        moves = [case.first(after, before, attack, [e]) for e in eps]
        known = [abs(move.value) for move in moves if move is not None]
        gain = case.first(after, before, attack, case.far)
        if gain is None or len(known) < len(moves):
            return None
        gains[after] = gain
        means.append(sum(known) / len(known))
    return _Retrained(gains, max(means))


def retraining(claim: Claim, case: Case) -> Verdict:
    """Judge whether retraining moves the curves little, and up at large eps."""
    found = _retrained(case, SOURCE)
    if found is None:
        return not_run(claim, MISSING)
    middle = [eps for eps in case.results.eps if eps == case.results.middle]
    lines = []
    for after, before in _PAIRS:
        under = under_ours(partial(case.first, after, before, eps=middle))
        gain = signed(found.gains[after])
        near = f"at eps {case.results.middle or 0:g} {told(under)}"
        lines.append(f"{SUBJECTS[after].words} {gain} beyond eps 3 ({near})")
    note = (
        f"{'; '.join(lines)}; a curve moves by {points(found.mean)} on average, where at most "
        f"{points(ALIKE)} is read as unchanged"
    )
    ours = under_ours(partial(_retrained, case))
    judged = None if ours is None else Under(ours.attack, ours.found.holds)
    return case.finding(
        claim, found.least, holds=found.holds, note=note, ours=judged, beside=[FIRST]
    )


def enough_data(claim: Claim, case: Case) -> Verdict:
    """Judge whether PGD training helps at large eps, and costs clean accuracy."""
    gain, clean = (case.first("pgd", "none", SOURCE, eps) for eps in (case.far, [0.0]))
    if gain is None or clean is None:
        return not_run(claim, MISSING)
    under = under_ours(partial(case.first, "pgd", "none", eps=case.far))
    row = case.results.one("train", net="pgd") or {}
    within = row.get("train_eps")
    near = [eps for eps in case.results.eps if within is not None and within <= eps <= CROSSING]
    lines = [f"beyond eps 3 {signed(gain)} ({told(under)})"]
    for eps in near:
        one = case.first("pgd", "none", SOURCE, [eps])
        other = under_ours(partial(case.first, "pgd", "none", eps=[eps]))
        if one is not None:
            lines.append(f"at eps {eps:g} {signed(one)} ({told(other)})")
    note = f"PGD training on every image: {', '.join(lines)}; {signed(clean)} on clean images"
    costs = clean.value < 0
    ours = None if under is None else Under(under.attack, under.found.value > 0 and costs)
    beside = [FIRST, *([] if within is None else [f"trained within eps {within:g}"])]
    return case.finding(
        claim, gain, holds=gain.value > 0 and costs, note=note, ours=ours, beside=beside
    )
