"""What came out for each claim about Neural Rejection. Imports no torch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from epsball.evaluation.metrics.present import percent
from epsball.studies.claims.estimates import Estimate
from epsball.studies.claims.table import Claim, Verdict, complete, load_claims, not_run
from epsball.studies.core.data_summary import DataSummary
from epsball.studies.core.options import Options
from epsball.studies.neural_rejection.base import USED, as_stated, judge_number, train_below_test
from epsball.studies.neural_rejection.case import (
    ALIKE,
    CROSSING,
    FIRST,
    MISSING,
    Case,
    Under,
    bare,
    differences,
    points,
    signed,
    told,
    under_ours,
)
from epsball.studies.neural_rejection.measured import LIMITED, OURS, SAID, SOURCE, Results
from epsball.studies.neural_rejection.subjects import NETS, SUBJECTS
from epsball.studies.neural_rejection.trained import enough_data, retraining

NAME = "neural-rejection"
_FAR_LESS = 1 / 3  # of the other's cost: what is called far less
_THREE, _TWO = ("none", "nr", "dnr"), ("nr", "dnr")


def judge(results: Results, options: Options, data: DataSummary) -> list[Verdict]:
    """Judge every claim, under the source's attack; the notes say what the strongest one says.

    Args:
        results: the rows.
        options: what was asked for.
        data: on which images.

    Returns:
        A verdict for each claim of the source, in the order of the list.
    """
    trained = results.one("train", net=USED) is not None
    around = (NETS[USED].words,) if trained and not as_stated(results) else ()
    case = Case(results, *differences(options, data), around)
    return complete(NAME, [_one(claim, case) for claim in load_claims(NAME)])


def _one(claim: Claim, case: Case) -> Verdict:
    name = claim.id.removeprefix(f"{NAME}.")
    return judge_number(claim, case) if claim.kind == "value" else _JUDGES[name](claim, case)


@dataclass(frozen=True)
class _Pattern:
    """How subjects stand to each other over eps: the widest gap near, the least lead far away."""

    widest: float
    lead: Estimate

    @property
    def holds(self) -> bool:
        return self.widest <= ALIKE and self.lead.value > 0

    def __str__(self) -> str:
        return (
            f"{points(self.widest)} apart at most up to eps 3, beyond it DNR's least lead is "
            f"{signed(self.lead)}"
        )


def _pattern(case: Case, names: Sequence[str], attack: str, column: str) -> _Pattern | None:
    near = [eps for eps in (0.0, *case.results.eps) if eps <= CROSSING]
    sets = [[case.results.estimate(n, attack, eps, column) for n in names] for eps in near]
    spreads = [_spread(one) for one in sets if None not in one]
    others = [name for name in names if name != "dnr"]
    leads = [case.lead("dnr", name, attack, [eps], column) for name in others for eps in case.far]
    known = [lead for lead in leads if lead is not None]
    # clean images alone are not "up to 3"
    if len(spreads) < len(near) or len(near) < 2 or not known or len(known) < len(leads):
        return None
    return _Pattern(max(spreads), min(known, key=lambda lead: lead.value))


def _spread(found: Sequence[Estimate | None]) -> float:
    values = [one.value for one in found if one is not None]
    return max(values) - min(values)


def _crossover(claim: Claim, case: Case) -> Verdict:
    found = _pattern(case, _THREE, SOURCE, "accuracy")
    if found is None:
        return not_run(claim, MISSING)
    other = under_ours(lambda attack: _pattern(case, _THREE, attack, "accuracy"))
    under = "ours: not run" if other is None else f"{SAID[other.attack]}: {other.found}"
    note = f"source's attack: {found}; {under}; similar is read as {points(ALIKE)} apart at most"
    ours = None if other is None else Under(other.attack, other.found.holds)
    return case.finding(claim, found.lead, holds=found.holds, note=note, ours=ours)


def _rejection(claim: Claim, case: Case) -> Verdict:
    """Read the pattern as who is ahead at each large eps, and its strength as the mean lead."""
    found = _pattern(case, _TWO, SOURCE, "rejected")
    rates, shares = (case.lead("dnr", "nr", SOURCE, case.far, c) for c in ("rejected", "accuracy"))
    each = [
        [case.lead("dnr", "nr", SOURCE, [eps], column) for column in ("rejected", "accuracy")]
        for eps in case.far
    ]
    if found is None or rates is None or shares is None:
        return not_run(claim, MISSING)
    alike = all(one and other and one.value * other.value > 0 for one, other in each)
    note = (
        f"DNR over NR beyond eps 3: {signed(rates)} in rejection rate, {signed(shares)} in "
        f"accuracy, {'with the same sign' if alike else 'not with the same sign'} at every eps, "
        "which is read as the same pattern, and the smaller lead as less strongly; rates of NR "
        f"and DNR are {points(found.widest)} apart at most up to eps 3"
    )
    holds = alike and abs(rates.value) < abs(shares.value)
    return case.finding(claim, rates, holds=holds, note=note)


def _dnr_over_nr(claim: Claim, case: Case) -> Verdict:
    found = case.lead("dnr", "nr", SOURCE, case.results.eps)
    if found is None:
        return not_run(claim, MISSING)
    under = under_ours(lambda attack: case.lead("dnr", "nr", attack, case.results.eps))
    note = f"DNR over NR, mean over eps: {signed(found)}; {told(under)}"
    ours = None if under is None else Under(under.attack, under.found.value > 0)
    return case.finding(claim, found, holds=found.value > 0, note=note, ours=ours)


def _knowledge(claim: Claim, case: Case) -> Verdict:
    """Compare on the first draw, on which the bare network's images are shown."""
    found = [_known(case, name, SOURCE) for name in _TWO]
    # the strongest attack has other images than those that are shown
    under = [_known(case, name, OURS) for name in _TWO]
    gaps = [gap for gap in found if gap is not None]
    if len(gaps) < len(_TWO):
        return not_run(claim, MISSING)
    others = [gap for gap in under if gap is not None]
    known = [None if gap is None else Under(OURS, gap) for gap in under]
    lines = [
        f"{SUBJECTS[name].words} {signed(gap)} ({told(other)})"
        for name, gap, other in zip(_TWO, gaps, known, strict=True)
    ]
    note = f"limited minus perfect knowledge, mean over eps: {', '.join(lines)}"
    least = min(gaps, key=lambda gap: gap.value)
    all_ = Under(OURS, all(gap.value > 0 for gap in others)) if len(others) == len(_TWO) else None
    return case.finding(claim, least, holds=least.value > 0, note=note, ours=all_, beside=[FIRST])


def _known(case: Case, name: str, attack: str) -> Estimate | None:
    """Return by how much limited knowledge leaves more than an attack that knows."""
    limited, perfect = (
        [case.results.at(name, one, eps, draw=0) for eps in case.results.eps]
        for one in (LIMITED, attack)
    )
    return case.results.across(limited, perfect)


def _weaker_attack(claim: Claim, case: Case) -> Verdict:
    """Compare with the 2020 attack as that paper describes it: its numbers are not at hand."""
    eps, gaps = case.results.middle, {}
    for name in _TWO:
        rungs = [case.results.at(name, f"rung:{rung}", eps or 0) for rung in ("hinge", "margin")]
        gap = case.results.across(rungs[:1], rungs[1:]) if eps else None
        if gap is None:
            return not_run(claim, "the attack of 2020, rebuilt, was not run beside the source's")
        gaps[name] = gap
    each = ", ".join(f"{signed(gap)} on {SUBJECTS[name].words}" for name, gap in gaps.items())
    patient = [case.results.estimate(name, "rung:patient", eps or 0) for name in _TWO]
    left = [
        f"{percent(one.value)} of {SUBJECTS[name].words}"
        for name, one in zip(_TWO, patient, strict=True)
        if one is not None
    ]
    images = case.results.found.images(case.results.at("nr", "rung:margin", eps or 0))
    note = (
        f"accuracy that the source's hinge leaves at eps {eps:g}, against the attack of 2020 "
        f"rebuilt (the margin on raw scores), as many steps of searched length each, verdicts: "
        f"{each}; that paper's own numbers are not at hand"
        + (
            f"; without its early stop the source's hinge leaves {' and '.join(left)}"
            if left
            else ""
        )
    )
    least = min(gaps.values(), key=lambda gap: gap.value)
    few = [FIRST, f"{images:,} images of it"]
    return case.finding(claim, least, holds=least.value > 0, note=note, beside=few)


def _cheaper(claim: Claim, case: Case) -> Verdict:
    fit = case.results.one("fit", fit="dnr", combiner="in-sample")
    plain, pgd = (case.results.one("train", net=net) for net in (USED, "pgd"))
    if fit is None or plain is None or pgd is None:
        return not_run(claim, MISSING)
    a_pass = plain["gradient_evaluations"] / plain["epochs_run"]
    more = pgd["gradient_evaluations"] - a_pass * pgd["epochs_run"]
    epoch = pgd["training_seconds"] * more / pgd["gradient_evaluations"] / pgd["epochs_run"]
    ratio = fit["fit_seconds"] / (epoch * plain["epochs_run"])
    here = fit["fit_seconds"] / (epoch * pgd["epochs_run"])
    note = (
        f"fitting DNR takes {fit['fit_seconds']:,.0f} s and {fit['n']:,} images forward, an "
        f"epoch of PGD training {epoch:,.0f} s and {more / pgd['epochs_run']:,.0f} gradients more "
        f"than a plain one: a fit is worth {fit['fit_seconds'] / epoch:.1f} of them, which is "
        f"{ratio:.3f} of the {plain['epochs_run']} epochs that the network is trained for, "
        f"{here:.2f} of the {pgd['epochs_run']} that PGD trains for here; far less is read as a "
        "third at most of the former; seconds are of one machine, that may not have been idle"
    )
    found = Estimate(ratio, ratio, ratio, 1, "images")
    return bare(case.finding(claim, found, holds=ratio <= _FAR_LESS, note=note, attacked=False))


_JUDGES: Mapping[str, Callable[[Claim, Case], Verdict]] = {
    "crossover": _crossover,
    "rejection": _rejection,
    "retraining": retraining,
    "weaker-attack": _weaker_attack,
    "cheaper": _cheaper,
    "dnr-over-nr": _dnr_over_nr,
    "enough-data": enough_data,
    "knowledge": _knowledge,
    "train-below-test": train_below_test,
}
