"""The verdict on each claim of study `transfer`. Imports no torch."""

from collections.abc import Sequence

from epsball.studies.claims.departures import departures
from epsball.studies.claims.estimates import Estimate
from epsball.studies.claims.table import (
    Claim,
    Verdict,
    complete,
    judge_finding,
    judge_value,
    load_claims,
    not_run,
)
from epsball.studies.core.data_summary import DataSummary
from epsball.studies.core.notes import read_notes
from epsball.studies.core.options import Options
from epsball.studies.transfer.matrix import Rates, gap
from epsball.studies.transfer.plan import NAME, OF_DIGITS, VOTE

NOTES = read_notes("epsball.studies.transfer")
VULNERABLE = ("dnn", "lr")  # of the source's intra-technique finding
RISE = 0.1  # over the clean error, from which a model counts as vulnerable
_TEST, _TRAIN = 10_000, 50_000  # images of the source


def judge(rates: Rates, options: Options, data: DataSummary) -> list[Verdict]:
    """Judge every claim.

    Args:
        rates: of the study.
        options: of the study.
        data: facts about the images.

    Returns:
        One verdict a claim of the source, in the order of the list.
    """
    differs = departures(options, data, name="mnist", test=_TEST, train=_TRAIN)
    return complete(NAME, [_one(claim, rates, differs) for claim in load_claims(NAME)])


def _one(claim: Claim, rates: Rates, differs: Sequence[str]) -> Verdict:
    if set(rates.techniques) != set(OF_DIGITS):
        return not_run(claim, NOTES.text("reason-techniques"))
    name = claim.id.partition(".")[2]
    if claim.kind == "value":
        target, _, end = name.partition("-")
        return _extreme(claim, rates, target, end, differs)
    if name == "robust-kinds":
        return _robust_kinds(claim, rates, differs)
    if name == "ensemble-vulnerable":
        return _vote(claim, rates, differs)
    return _column(claim, rates, differs)


def _extreme(claim: Claim, rates: Rates, target: str, end: str, differs: Sequence[str]) -> Verdict:
    """Judge the lowest or highest share of the images of all sources, its own included."""
    shares = {source: rates.cross(source, target) for source in rates.techniques}
    known = {source: share for source, share in shares.items() if share is not None}
    if len(known) < len(shares):
        return not_run(claim, NOTES.text("reason-missing"))
    pick = min if end == "low" else max
    source = pick(known, key=lambda one: known[one].value)
    note = NOTES.text("reason-extreme", source=source)
    return judge_value(claim, known[source], differs=differs, note=note)


def _robust_kinds(claim: Claim, rates: Rates, differs: Sequence[str]) -> Verdict:
    shares = {technique: rates.intra(technique) for technique in rates.techniques}
    known = {name: share for name, share in shares.items() if share is not None}
    if len(known) < len(shares):
        return not_run(claim, NOTES.text("reason-missing"))
    least = min(VULNERABLE, key=lambda one: known[one].value)
    most = max((one for one in known if one not in VULNERABLE), key=lambda one: known[one].value)
    return _ordering(claim, rates, (least, known[least]), (most, known[most]), differs)


def _column(claim: Claim, rates: Rates, differs: Sequence[str]) -> Verdict:
    """Judge which technique is fooled least, or most, by the images of all others."""
    means = {target: rates.column(target, rates.techniques) for target in rates.techniques}
    known = {name: share for name, share in means.items() if share is not None}
    if len(known) < len(means):
        return not_run(claim, NOTES.text("reason-missing"))
    if claim.id == "transfer.dnn-most-robust":
        other = min((one for one in known if one != "dnn"), key=lambda one: known[one].value)
        return _ordering(claim, rates, (other, known[other]), ("dnn", known["dnn"]), differs)
    other = max((one for one in known if one != "dt"), key=lambda one: known[one].value)
    return _ordering(claim, rates, ("dt", known["dt"]), (other, known[other]), differs)


def _ordering(
    claim: Claim,
    rates: Rates,
    more: tuple[str, Estimate],
    less: tuple[str, Estimate],
    differs: Sequence[str],
) -> Verdict:
    apart = gap(more[1], less[1], rates.images())
    note = NOTES.text(
        "reason-ordering",
        more=more[0], more_share=more[1].value, less=less[0], less_share=less[1].value,
    )  # fmt: skip
    return judge_finding(claim, apart, holds=apart.value > 0, note=note, differs=differs)


def _vote(claim: Claim, rates: Rates, differs: Sequence[str]) -> Verdict:
    shares = {source: rates.cross(source, VOTE) for source in rates.techniques}
    known = {source: share for source, share in shares.items() if share is not None}
    clean = rates.clean_error(VOTE)
    if len(known) < len(shares) or clean is None:
        return not_run(claim, NOTES.text("reason-missing"))
    source = max(known, key=lambda one: known[one].value)
    rise = gap(known[source], clean, rates.images())
    note = NOTES.text(
        "reason-vote", source=source, share=known[source].value, clean=clean.value, rise=RISE
    )
    return judge_finding(claim, rise, holds=rise.value > RISE, note=note, differs=differs)
