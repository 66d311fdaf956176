"""The verdicts on numbers that the thesis states. Imports no torch."""

from collections.abc import Callable
from statistics import fmean

from epsball.studies.claims.estimates import Estimate, over_seeds
from epsball.studies.claims.table import (
    Claim,
    Verdict,
    not_run,
)
from epsball.studies.class_imbalance.case import MISSING, NOTES, Case


def balanced_accuracy(claim: Claim, case: Case) -> Verdict:
    """Judge the balanced network's clean accuracy."""
    rows = case.measured.whole("loss")
    estimate = over_seeds([row["accuracy"] for row in rows], rows[0]["n"]) if rows else None
    return case.value(claim, estimate)


def balanced_loss(claim: Claim, case: Case) -> Verdict:
    """Judge the balanced network's loss."""
    rows = case.measured.whole("loss")
    if not rows:
        return case.value(claim, None)
    mean, half = fmean(row["loss"] for row in rows), 1.96 * rows[0]["loss_error"]
    estimate = Estimate(mean, mean - half, mean + half, len(rows), "images")
    return case.value(claim, estimate, NOTES.text("balanced-loss"))


def parameters(claim: Claim, case: Case) -> Verdict:
    """Judge the network's number of parameters."""
    rows = case.measured.whole("parameters")
    if not rows:
        return case.value(claim, None)
    count = float(rows[0]["parameters"])
    return case.value(claim, Estimate(count, count, count, len(rows), "seeds"))


def mean_of(kind: str, gradient: str) -> Callable[[Claim, Case], Verdict]:
    """Return the judge of a mean accuracy over classes."""

    def judged(claim: Claim, case: Case) -> Verdict:
        return case.value(claim, case.measured.mean(kind, gradient))

    return judged


def _flow(
    claim: Claim, case: Case, kind: str, *, label: str, other: str, note: str = ""
) -> Verdict:
    if not {label, other} <= set(case.measured.class_names):
        return not_run(claim, NOTES.text("no-class", label=label, other=other))
    shares = case.measured.confusion(kind, label, other, "same")
    if not shares:
        return not_run(claim, MISSING)
    images = case.measured.records(kind, label, "same")[0]["n"]
    return case.value(claim, over_seeds(shares, images), note)


def cat_to_dog(claim: Claim, case: Case) -> Verdict:
    """Judge how many cats are taken for dogs."""
    return _flow(claim, case, "under", label="cat", other="dog")


def dog_to_cat(claim: Claim, case: Case) -> Verdict:
    """Judge how many dogs are taken for cats."""
    other = "not measured"
    if {"cat", "dog"} <= set(case.measured.class_names):
        at = case.measured.class_names.index("cat")
        flow = case.measured.cross("over", "cat", "dog")
        shares = [int(row["named"].split()[at]) / row["n"] for row in flow]
        other = f"{fmean(shares):.1%}" if shares else other
    note = NOTES.text("dog-to-cat", other=other)
    return _flow(claim, case, "over", label="dog", other="cat", note=note)
