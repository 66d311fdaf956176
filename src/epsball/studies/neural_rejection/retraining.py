"""The verdicts on the claims about training on adversarial examples. Imports no torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from epsball.studies.claims.estimates import Estimate
from epsball.studies.claims.table import Claim, Verdict
from epsball.studies.neural_rejection.case import (
    ALIKE,
    CROSSING,
    FIRST,
    NOTES,
    Case,
    Under,
    ours_text,
    points,
    signed,
    under_ours,
)
from epsball.studies.neural_rejection.results import SOURCE
from epsball.studies.neural_rejection.subjects import SUBJECTS

_RETRAINED = (("retrained", "none"), ("dnr-retrained", "dnr"))


@dataclass(frozen=True)
class _Retraining:
    """The effect of retraining: gains at large eps by subject, the larger mean move of a curve."""

    gains: Mapping[str, Estimate]
    mean: float

    @property
    def least(self) -> Estimate:
        return min(self.gains.values(), key=lambda gain: gain.value)

    @property
    def holds(self) -> bool:
        return self.mean <= ALIKE and self.least.value > 0


def _effect_of_retraining(case: Case, attack: str) -> _Retraining | None:
    """Compare on the first draw with those that were not retrained; None: not all measured."""
    gains, means = {}, []
    for after, before in _RETRAINED:
        moves = [case.first(after, before, attack, [e]) for e in (0.0, *case.results.eps)]
        known = [abs(move.value) for move in moves if move is not None]
        gain = case.first(after, before, attack, case.far)
        if gain is None or len(known) < len(moves):
            return None
        gains[after] = gain
        means.append(sum(known) / len(known))
    return _Retraining(gains, max(means))


def retraining(claim: Claim, case: Case) -> Verdict | None:
    """Judge whether retraining moves the curves little, and up at large eps."""
    effect, middle = _effect_of_retraining(case, SOURCE), case.results.middle
    if effect is None:
        return None
    each = []
    for after, before in _RETRAINED:
        eps = [middle] if middle in case.results.eps and middle else []
        under = ours_text(under_ours(partial(case.first, after, before, eps=eps)))
        gain = signed(effect.gains[after])
        title = SUBJECTS[after].title
        each.append(f"{title} {gain} beyond eps 3 (at eps {middle or 0:g} {under})")
    note = NOTES.text("reason-retraining", each=each, mean=points(effect.mean), alike=points(ALIKE))
    ours = under_ours(partial(_effect_of_retraining, case))
    judged = None if ours is None else Under(ours.attack, ours.result.holds)
    return case.finding(
        claim, effect.least, holds=effect.holds, note=note, ours=judged, beside=[FIRST]
    )


def enough_data(claim: Claim, case: Case) -> Verdict | None:
    """Judge whether PGD training helps at large eps, and costs clean accuracy."""
    gain, clean = (case.first("pgd", "none", SOURCE, eps) for eps in (case.far, [0.0]))
    if gain is None or clean is None:
        return None
    under = under_ours(partial(case.first, "pgd", "none", eps=case.far))
    within = (case.results.one("train", net="pgd") or {}).get("train_eps")
    each = [f"beyond eps 3 {signed(gain)} ({ours_text(under)})"]
    for eps in case.results.eps:
        one = case.first("pgd", "none", SOURCE, [eps])
        if one is not None and within is not None and within <= eps <= CROSSING:
            other = under_ours(partial(case.first, "pgd", "none", eps=[eps]))
            each.append(f"at eps {eps:g} {signed(one)} ({ours_text(other)})")
    note = NOTES.text("reason-enough-data", each=each, clean=signed(clean))
    costs = clean.value < 0
    ours = None if under is None else Under(under.attack, under.result.value > 0 and costs)
    beside = [FIRST, *([] if within is None else [f"trained within eps {within:g}"])]
    holds = gain.value > 0 and costs
    return case.finding(claim, gain, holds=holds, note=note, ours=ours, beside=beside)
