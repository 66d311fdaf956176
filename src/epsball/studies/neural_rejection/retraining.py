"""The verdicts on the claims about training on adversarial examples. Imports no torch."""

from functools import partial

from epsball.studies.claims.estimates import Estimate
from epsball.studies.claims.table import Claim, Verdict
from epsball.studies.neural_rejection.case import (
    ALIKE,
    CROSSING,
    FIRST,
    Case,
    ours_text,
    points,
    signed,
    under_ours,
)
from epsball.studies.neural_rejection.results import NOTES, SOURCE
from epsball.studies.neural_rejection.subjects import SUBJECTS

_RETRAINED = (("retrained", "none"), ("dnr-retrained", "dnr"))


def _effect(case: Case, attack: str) -> tuple[list[Estimate], float, bool] | None:
    """Compare on the first draw with those that were not retrained.

    Returns:
        The gain beyond the crossing of each, the larger mean move of a curve, and whether curves
        move little and up there; None where not all were measured.
    """
    gains, means = [], []
    for pair in _RETRAINED:
        moves = [case.lead(*pair, [e], attack, draw=0) for e in (0.0, *case.results.eps)]
        known = [abs(move.value) for move in moves if move is not None]
        gain = case.lead(*pair, case.far, attack, draw=0)
        if gain is None or len(known) < len(moves):
            return None
        gains.append(gain)
        means.append(sum(known) / len(known))
    return gains, max(means), max(means) <= ALIKE and all(gain.value > 0 for gain in gains)


def retraining(claim: Claim, case: Case) -> Verdict | None:
    """Judge whether retraining moves the curves little, and up at large eps."""
    effect, middle = _effect(case, SOURCE), case.results.middle or 0
    if effect is None:
        return None
    gains, mean, holds = effect
    each, eps = [], [middle] if middle in case.results.eps and middle else []
    for pair, gain in zip(_RETRAINED, gains, strict=True):
        under = ours_text(under_ours(partial(case.lead, *pair, eps, draw=0)))
        title = SUBJECTS[pair[0]].title
        each.append(f"{title} {signed(gain)} beyond eps 3 (at eps {middle:g} {under})")
    note = NOTES.text("reason-retraining", each=each, mean=points(mean), alike=points(ALIKE))
    hardest = under_ours(partial(_effect, case))
    ours = None if hardest is None else (hardest[0], hardest[1][2])
    least = min(gains, key=lambda gain: gain.value)
    return case.finding(claim, least, holds=holds, note=note, ours=ours, beside=[FIRST])


def enough_data(claim: Claim, case: Case) -> Verdict | None:
    """Judge whether PGD training helps at large eps, and costs clean accuracy."""
    lead = partial(case.lead, "pgd", "none", draw=0)
    gain, clean = lead(case.far, SOURCE), lead([0.0], SOURCE)
    if gain is None or clean is None:
        return None
    hardest = under_ours(partial(lead, case.far))
    within = (case.results.one("train", net="pgd") or {}).get("train_eps")
    each = [f"beyond eps 3 {signed(gain)} ({ours_text(hardest)})"]
    for eps in case.results.eps:
        one = lead([eps], SOURCE)
        if one is not None and within is not None and within <= eps <= CROSSING:
            other = ours_text(under_ours(partial(lead, [eps])))
            each.append(f"at eps {eps:g} {signed(one)} ({other})")
    note = NOTES.text("reason-enough-data", each=each, clean=signed(clean))
    costs = clean.value < 0
    ours = None if hardest is None else (hardest[0], hardest[1].value > 0 and costs)
    beside = [FIRST, *([] if within is None else [f"trained within eps {within:g}"])]
    holds = gain.value > 0 and costs
    return case.finding(claim, gain, holds=holds, note=note, ours=ours, beside=beside)
