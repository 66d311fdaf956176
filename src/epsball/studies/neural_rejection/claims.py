"""The verdict on each claim about Neural Rejection. Imports no torch."""

from collections.abc import Callable, Mapping, Sequence
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
    Case,
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
from epsball.studies.neural_rejection.results import LIMITED, NOTES, OURS, SOURCE, TITLES, Results
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


def _pattern(
    case: Case, names: Sequence[str], column: str, attack: str
) -> tuple[float, Estimate] | None:
    """Return the widest gap up to the crossing, and DNR's smallest lead beyond it."""
    near = [eps for eps in (0.0, *case.results.eps) if eps <= CROSSING]
    sets = [[case.results.estimate(n, attack, eps, column) for n in names] for eps in near]
    known = [[one.value for one in each if one is not None] for each in sets]
    others = [name for name in names if name != "dnr"]
    leads = [case.lead("dnr", n, [eps], attack, column) for n in others for eps in case.far]
    measured = [lead for lead in leads if lead is not None]
    # clean images alone are not "up to 3"
    if len(near) < 2 or not measured or len(measured) < len(leads):
        return None
    if any(len(values) < len(names) for values in known):
        return None
    widest = max(max(values) - min(values) for values in known)
    return widest, min(measured, key=lambda lead: lead.value)


def _crossover(claim: Claim, case: Case) -> Verdict | None:
    def holds(pattern: tuple[float, Estimate]) -> bool:
        return pattern[0] <= ALIKE and pattern[1].value > 0

    def text(pattern: tuple[float, Estimate]) -> str:
        return NOTES.text("reason-pattern", widest=points(pattern[0]), lead=signed(pattern[1]))

    source = _pattern(case, _THREE, "accuracy", SOURCE)
    if source is None:
        return None
    hardest = under_ours(partial(_pattern, case, _THREE, "accuracy"))
    attack = "ours" if hardest is None else TITLES[hardest[0]]
    other = "not run" if hardest is None else text(hardest[1])
    note = NOTES.text(
        "reason-crossover", source=text(source), attack=attack, ours=other, alike=points(ALIKE)
    )
    ours = None if hardest is None else (hardest[0], holds(hardest[1]))
    return case.finding(claim, source[1], holds=holds(source), note=note, ours=ours)


def _rejection(claim: Claim, case: Case) -> Verdict | None:
    """Compare who leads at each large eps (the pattern), and the mean leads (its strength)."""

    def leads(eps: Sequence[float]) -> list[Estimate | None]:
        return [case.lead("dnr", "nr", eps, SOURCE, c) for c in ("rejected", "accuracy")]

    pattern, (rates, shares) = _pattern(case, _TWO, "rejected", SOURCE), leads(case.far)
    if pattern is None or rates is None or shares is None:
        return None
    each = [leads([eps]) for eps in case.far]
    alike = all(one and other and one.value * other.value > 0 for one, other in each)
    values = {"rates": signed(rates), "shares": signed(shares), "widest": points(pattern[0])}
    note = NOTES.text("reason-rejection", alike=alike, **values)
    holds = alike and abs(rates.value) < abs(shares.value)
    return case.finding(claim, rates, holds=holds, note=note)


def _dnr_over_nr(claim: Claim, case: Case) -> Verdict | None:
    lead = partial(case.lead, "dnr", "nr", case.results.eps)
    measured, hardest = lead(SOURCE), under_ours(lead)
    if measured is None:
        return None
    note = NOTES.text("reason-dnr-over-nr", lead=signed(measured), ours=ours_text(hardest))
    ours = None if hardest is None else (hardest[0], hardest[1].value > 0)
    return case.finding(claim, measured, holds=measured.value > 0, note=note, ours=ours)


def _knowledge(claim: Claim, case: Case) -> Verdict | None:
    """Compare on the first draw, whose images of the bare network are given to the defences.

    By how much more accuracy limited knowledge leaves than an attack that knows the defence.
    """
    perfect, ours = (
        [case.results.gap((n, LIMITED), (n, attack), case.results.eps, draw=0) for n in _TWO]
        # the strongest attack has other images than those that are given to the defences
        for attack in (SOURCE, OURS)
    )
    gaps, ours_gaps = ([gap for gap in some if gap is not None] for some in (perfect, ours))
    if len(gaps) < len(_TWO):
        return None
    each = [
        f"{SUBJECTS[n].title} {signed(gap)} ({ours_text(None if other is None else (OURS, other))})"
        for n, gap, other in zip(_TWO, gaps, ours, strict=True)
    ]
    note = NOTES.text("reason-knowledge", each=each)
    least = min(gaps, key=lambda gap: gap.value)
    complete_ = len(ours_gaps) == len(_TWO)
    under = (OURS, all(gap.value > 0 for gap in ours_gaps)) if complete_ else None
    return case.finding(claim, least, holds=least.value > 0, note=note, ours=under, beside=[FIRST])


def _weaker_attack(claim: Claim, case: Case) -> Verdict:
    """Compare with the 2020 attack as that paper describes it: its numbers are not available."""
    eps, gaps = case.results.middle or 0, dict[str, Estimate]()
    for name in _TWO if eps else ():
        gap = case.results.gap((name, "rung:hinge"), (name, "rung:margin"), [eps])
        gaps |= {} if gap is None else {name: gap}
    if len(gaps) < len(_TWO):
        return not_run(claim, NOTES.text("reason-no-2020"))
    each = [f"{signed(gap)} on {SUBJECTS[name].title}" for name, gap in gaps.items()]
    rest = {name: case.results.estimate(name, "rung:patient", eps) for name in _TWO}
    patient = [f"{percent(one.value)} of {SUBJECTS[n].title}" for n, one in rest.items() if one]
    note = NOTES.text("reason-weaker-attack", eps=f"{eps:g}", each=each, patient=patient)
    least = min(gaps.values(), key=lambda gap: gap.value)
    few = [FIRST, f"{case.results.images('nr', 'rung:margin', eps):,} images of it"]
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
    holds = ratio <= _FAR_LESS
    return without_interval(case.finding(claim, cost, holds=holds, note=note, attacked=False))


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
