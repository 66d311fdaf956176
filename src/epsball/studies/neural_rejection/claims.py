"""The verdict on each claim about Neural Rejection. Imports no torch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from epsball.evaluation.metrics.present import percent
from epsball.studies.claims.estimates import Estimate
from epsball.studies.claims.table import Claim, Verdict, complete, load_claims, not_run
from epsball.studies.core.data_summary import DataSummary
from epsball.studies.core.options import Options
from epsball.studies.neural_rejection.case import (
    ALIKE,
    CROSSING,
    FIRST,
    NOTES,
    Case,
    Under,
    departures,
    ours_text,
    points,
    signed,
    under_ours,
    without_interval,
)
from epsball.studies.neural_rejection.networks import (
    USED,
    as_stated,
    judge_number,
    train_below_test,
)
from epsball.studies.neural_rejection.results import LIMITED, OURS, SOURCE, TITLES, Results
from epsball.studies.neural_rejection.retraining import enough_data, retraining
from epsball.studies.neural_rejection.subjects import NETS, SUBJECTS

NAME = "neural-rejection"
_FAR_LESS = 1 / 3  # of the other's cost: what counts as far less
_THREE, _TWO = ("none", "nr", "dnr"), ("nr", "dnr")


def judge(results: Results, options: Options, data: DataSummary) -> list[Verdict]:
    """Judge every claim under the source's attack; the notes add the result of our strongest.

    Args:
        results: the rows.
        options: of the study.
        data: facts about the images.

    Returns:
        One verdict per claim of the source, in the order of the list.
    """
    trained = results.one("train", net=USED) is not None
    around = (NETS[USED].title,) if trained and not as_stated(results) else ()
    case = Case(results, *departures(options, data), around)
    return complete(NAME, [_one(claim, case) for claim in load_claims(NAME)])


def _one(claim: Claim, case: Case) -> Verdict:
    name = claim.id.removeprefix(f"{NAME}.")
    verdict = judge_number(claim, case) if claim.kind == "value" else _JUDGES[name](claim, case)
    return verdict or not_run(claim, NOTES.text("reason-missing"))


@dataclass(frozen=True)
class _Pattern:
    """How subjects compare over eps: the widest gap near, DNR's smallest lead far away."""

    widest: float
    lead: Estimate

    @property
    def holds(self) -> bool:
        return self.widest <= ALIKE and self.lead.value > 0

    def __str__(self) -> str:
        lead = signed(self.lead)
        return NOTES.text("reason-pattern", widest=points(self.widest), lead=lead)


def _pattern(case: Case, names: Sequence[str], column: str, attack: str) -> _Pattern | None:
    near = [eps for eps in (0.0, *case.results.eps) if eps <= CROSSING]
    sets = [[case.results.estimate(n, attack, eps, column) for n in names] for eps in near]
    known = [[one.value for one in each if one is not None] for each in sets]
    others = [name for name in names if name != "dnr"]
    leads = [
        case.gap("dnr", name, attack, [eps], column=column) for name in others for eps in case.far
    ]
    measured = [lead for lead in leads if lead is not None]
    # clean images alone are not "up to 3"
    if len(near) < 2 or not measured or len(measured) < len(leads):
        return None
    if any(len(values) < len(names) for values in known):
        return None
    widest = max(max(values) - min(values) for values in known)
    return _Pattern(widest, min(measured, key=lambda lead: lead.value))


def _crossover(claim: Claim, case: Case) -> Verdict | None:
    source = _pattern(case, _THREE, "accuracy", SOURCE)
    if source is None:
        return None
    ours = under_ours(partial(_pattern, case, _THREE, "accuracy"))
    note = NOTES.text(
        "reason-crossover",
        source=source,
        attack="ours" if ours is None else TITLES[ours.attack],
        ours="not run" if ours is None else ours.result,
        alike=points(ALIKE),
    )
    judged = None if ours is None else Under(ours.attack, ours.result.holds)
    return case.finding(claim, source.lead, holds=source.holds, note=note, ours=judged)


def _rejection(claim: Claim, case: Case) -> Verdict | None:
    """Compare who leads at each large eps (the pattern), and the mean leads (its strength)."""
    pattern = _pattern(case, _TWO, "rejected", SOURCE)
    columns = ("rejected", "accuracy")
    rates, shares = (case.gap("dnr", "nr", SOURCE, case.far, column=column) for column in columns)
    if pattern is None or rates is None or shares is None:
        return None
    each = [
        [case.gap("dnr", "nr", SOURCE, [e], column=column) for column in columns] for e in case.far
    ]
    alike = all(one and other and one.value * other.value > 0 for one, other in each)
    note = NOTES.text(
        "reason-rejection",
        rates=signed(rates),
        shares=signed(shares),
        alike=alike,
        widest=points(pattern.widest),
    )
    holds = alike and abs(rates.value) < abs(shares.value)
    return case.finding(claim, rates, holds=holds, note=note)


def _dnr_over_nr(claim: Claim, case: Case) -> Verdict | None:
    lead = case.gap("dnr", "nr", SOURCE, case.results.eps)
    if lead is None:
        return None
    under = under_ours(partial(case.gap, "dnr", "nr", eps=case.results.eps))
    note = NOTES.text("reason-dnr-over-nr", lead=signed(lead), ours=ours_text(under))
    ours = None if under is None else Under(under.attack, under.result.value > 0)
    return case.finding(claim, lead, holds=lead.value > 0, note=note, ours=ours)


def _knowledge(claim: Claim, case: Case) -> Verdict | None:
    """Compare on the first draw, whose images of the bare network are given to the defences."""
    gaps = [gap for gap in (_limited_gap(case, name, SOURCE) for name in _TWO) if gap is not None]
    if len(gaps) < len(_TWO):
        return None
    # the strongest attack has other images than those that are given to the defences
    ours = [_limited_gap(case, name, OURS) for name in _TWO]
    each = [
        f"{SUBJECTS[name].title} {signed(gap)} ({ours_text(Under(OURS, other) if other else None)})"
        for name, gap, other in zip(_TWO, gaps, ours, strict=True)
    ]
    least = min(gaps, key=lambda gap: gap.value)
    known = [gap for gap in ours if gap is not None]
    judged = Under(OURS, all(g.value > 0 for g in known)) if len(known) == len(_TWO) else None
    note = NOTES.text("reason-knowledge", each=each)
    return case.finding(claim, least, holds=least.value > 0, note=note, ours=judged, beside=[FIRST])


def _limited_gap(case: Case, name: str, attack: str) -> Estimate | None:
    """Return how much more accuracy limited knowledge leaves than an attack that knows."""
    limited, perfect = (
        [case.results.at(name, one, eps, draw=0) for eps in case.results.eps]
        for one in (LIMITED, attack)
    )
    return case.results.across(limited, perfect)


def _weaker_attack(claim: Claim, case: Case) -> Verdict:
    """Compare with the 2020 attack as that paper describes it: its numbers are not available."""
    eps, gaps = case.results.middle or 0, {}
    for name in _TWO:
        one, other = (case.results.at(name, f"rung:{v}", eps) for v in ("hinge", "margin"))
        gap = case.results.across([one], [other]) if eps else None
        if gap is None:
            return not_run(claim, NOTES.text("reason-no-2020"))
        gaps[name] = gap
    patient = {name: case.results.estimate(name, "rung:patient", eps) for name in _TWO}
    note = NOTES.text(
        "reason-weaker-attack",
        eps=f"{eps:g}",
        each=[f"{signed(gap)} on {SUBJECTS[name].title}" for name, gap in gaps.items()],
        patient=[
            f"{percent(one.value)} of {SUBJECTS[n].title}" for n, one in patient.items() if one
        ],
    )
    least = min(gaps.values(), key=lambda gap: gap.value)
    images = case.results.rows_by_point.images(case.results.at("nr", "rung:margin", eps))
    few = [FIRST, f"{images:,} images of it"]
    return case.finding(claim, least, holds=least.value > 0, note=note, beside=few)


def _cheaper(claim: Claim, case: Case) -> Verdict | None:
    fit = case.results.one("fit", fit="dnr", combiner="in-sample")
    plain, pgd = (case.results.one("train", net=net) for net in (USED, "pgd"))
    if fit is None or plain is None or pgd is None:
        return None
    per_epoch = plain["gradient_evaluations"] / plain["epochs_run"]
    more = pgd["gradient_evaluations"] - per_epoch * pgd["epochs_run"]
    epoch = pgd["training_seconds"] * more / pgd["gradient_evaluations"] / pgd["epochs_run"]
    ratio = fit["fit_seconds"] / (epoch * plain["epochs_run"])
    note = NOTES.text(
        "reason-cheaper",
        seconds=f"{fit['fit_seconds']:,.0f}",
        images=f"{fit['n']:,}",
        epoch=f"{epoch:,.0f}",
        gradients=f"{more / pgd['epochs_run']:,.0f}",
        fits=f"{fit['fit_seconds'] / epoch:.1f}",
        ratio=f"{ratio:.3f}",
        plain_epochs=plain["epochs_run"],
        here=f"{fit['fit_seconds'] / (epoch * pgd['epochs_run']):.2f}",
        pgd_epochs=pgd["epochs_run"],
    )
    cost = Estimate(ratio, ratio, ratio, 1, "images")
    return without_interval(
        case.finding(claim, cost, holds=ratio <= _FAR_LESS, note=note, attacked=False)
    )


_JUDGES: Mapping[str, Callable[[Claim, Case], Verdict | None]] = {
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
