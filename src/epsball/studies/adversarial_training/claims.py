"""The verdict on each claim about adversarial training. Imports no torch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from epsball.studies.adversarial_training.trainings import HELPERS
from epsball.studies.claims.estimates import Estimate
from epsball.studies.claims.study_rows import Point, StudyRows
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

NAME = "adversarial-training"
_USUAL = ("mnist", "cifar10")
_ALIKE = 0.005  # difference of clean accuracy that counts as performing alike
_FALLS = 0.5  # of the accuracy under FGSM: less than that under PGD counts as falling
_LINEAR = 0.9  # share of the variance explained by a line that counts as almost linear
_ONE_STEP = ("fgsm-only", "fgsm-mix")
_LEAKING = (*_ONE_STEP, "fgsm-only-long", "fast")  # trained on one step with the true label
NOTES = read_notes("epsball.studies.adversarial_training")


@dataclass(frozen=True)
class Case:
    """The rows and departures on which claims are judged.

    Args:
        rows: of the study.
        eps: of the study.
        differs: departures from the source.
        partly: how the networks were trained on a part of the images; empty if on all.
    """

    rows: StudyRows
    eps: float
    differs: tuple[str, ...]
    partly: tuple[str, ...] = ()

    def at(self, row: str, attack: str = "none", *, eps: float | None = None) -> Point:
        """Return the point of a row under an attack; clean without one."""
        radius = 0.0 if attack == "none" else self.eps if eps is None else eps
        return Point({"row": row}, attack, radius)

    def finding(self, claim: Claim, least: Estimate, *, holds: bool, note: str) -> Verdict:
        """Judge a finding by the number that decides."""
        differs = (*self.differs, *self.partly)
        return judge_finding(claim, least, holds=holds, note=note, differs=differs)


def judge(
    rows: StudyRows, eps: float, data: DataSummary, trained: int | None = None
) -> list[Verdict]:
    """Judge every claim.

    The slides state neither data nor network, so there is no departure from them. Digits of 8 x 8
    pixels are so much easier that they cannot refute a claim, and neither can networks trained on a
    part of the images.

    Args:
        rows: of the study.
        eps: of the study.
        data: facts about the images.
        trained: number of training images that were used; None: all.

    Returns:
        One verdict per claim of the source, in the order of the list.
    """
    differs = () if data.name in _USUAL else (f"measured on {data.name}",)
    partly = trained is not None and trained < data.train
    less = (f"trained on {trained:,} of {data.train:,} images",) if partly else ()
    case = Case(rows, eps, differs, less)
    return complete(NAME, [_one(claim, case, data) for claim in load_claims(NAME)])


def _one(claim: Claim, case: Case, data: DataSummary) -> Verdict:
    name = claim.id.removeprefix(f"{NAME}.")
    if claim.kind == "value":
        return _goodfellow(claim, case, data)
    return _JUDGES[name](claim, case)


def _goodfellow(claim: Claim, case: Case, data: DataSummary) -> Verdict:
    row = "none" if claim.id.endswith("before") else "fgsm-mix"
    right = case.rows.estimate(case.at(row))
    if right is None or data.name != "mnist":
        return not_run(claim, NOTES.text("reason-goodfellow"))
    error = replace(right, value=1 - right.value, low=1 - right.high, high=1 - right.low)
    return judge_value(claim, error, differs=("base-cnn, not Goodfellow's maxout network",))


def _higher(more: tuple[str, str], less: tuple[str, str], condition: str) -> Callable[..., Verdict]:
    """Return a function that judges an ordering of two (row, attack)."""

    def judged(claim: Claim, case: Case) -> Verdict:
        gap = case.rows.gap(case.at(*more), case.at(*less))
        if gap is None:
            return not_run(claim, NOTES.text("reason-missing"))
        values = {"more": _shown(case, more), "less": _shown(case, less)}
        note = NOTES.text("reason-ordering", condition=condition, **values)
        return case.finding(claim, gap, holds=gap.value > 0, note=note)

    return judged


def _shown(case: Case, where: tuple[str, str]) -> str:
    estimate = case.rows.estimate(case.at(*where))
    return "-" if estimate is None else f"{estimate.value:.1%}"


def _offline(claim: Claim, case: Case) -> Verdict:
    gap = case.rows.gap(case.at("offline"), case.at("dropout"))
    if gap is None:
        return not_run(claim, NOTES.text("reason-missing"))
    attacked = {row: _shown(case, (row, "fgsm")) for row in ("offline", "dropout")}
    note = NOTES.text("reason-offline", gap=gap.value, alike=_ALIKE, **attacked)
    return case.finding(claim, gap, holds=abs(gap.value) <= _ALIKE or gap.holds(0), note=note)


def _capacity(claim: Claim, case: Case) -> Verdict:
    rows = ("fgsm-mix-narrow", "fgsm-mix", "fgsm-mix-wide")
    pairs = ((rows[1], rows[0]), (rows[2], rows[1]))
    gaps = [case.rows.gap(case.at(a, "fgsm"), case.at(b, "fgsm")) for a, b in pairs]
    known = [gap for gap in gaps if gap is not None]
    if len(known) < len(pairs):
        return not_run(claim, NOTES.text("reason-missing"))
    least = min(known, key=lambda gap: gap.value)
    shown = {a: [_shown(case, (row, a)) for row in rows] for a in ("fgsm", "strongest")}
    note = NOTES.text("reason-capacity", **shown)
    return case.finding(claim, least, holds=least.value > 0, note=note)


def _leak(claim: Claim, case: Case) -> Verdict:
    gaps = {row: case.rows.gap(case.at(row, "fgsm"), case.at(row)) for row in _LEAKING}
    known = {row: gap for row, gap in gaps.items() if gap is not None}
    if not known:
        return not_run(claim, NOTES.text("reason-missing"))
    row = max(known, key=lambda name: known[name].low)
    fgsm, clean = (_shown(case, (row, attack)) for attack in ("fgsm", "none"))
    note = NOTES.text("reason-leak", row=row, fgsm=fgsm, clean=clean)
    holds = known[row].low > 0
    few = () if holds else (NOTES.text("reason-leak-few"),)
    differs = (*case.differs, *case.partly, *few)
    return judge_finding(claim, known[row], holds=holds, note=note, differs=differs)


def _one_step_fails(claim: Claim, case: Case) -> Verdict:
    """Judge mix and FGSM only: more accurate under FGSM than without, under PGD less than half."""
    gaps = {}
    for row in _ONE_STEP:
        helps = case.rows.gap(case.at(row, "fgsm"), case.at("none", "fgsm"))
        falls = case.rows.gap(case.at(row, "fgsm"), case.at(row, "pgd"))
        if helps is not None and falls is not None:
            gaps[row] = (helps, falls)
    if not gaps:
        return not_run(claim, NOTES.text("reason-missing"))
    verdicts = []
    for row, (helps, _) in gaps.items():
        left = case.rows.estimate(case.at(row, "pgd"))
        step = case.rows.estimate(case.at(row, "fgsm"))
        if left is not None and step is not None:
            verdicts.append(helps.value > 0 and left.value < _FALLS * step.value)
    least = min((falls for _, falls in gaps.values()), key=lambda gap: gap.value)
    shown = [(row, _shown(case, (row, "fgsm")), _shown(case, (row, "pgd"))) for row in gaps]
    note = NOTES.text("reason-one-step", rows=shown)
    return case.finding(claim, least, holds=all(verdicts), note=note)


def _eight_bit(claim: Claim, case: Case) -> Verdict:
    near, far = (
        case.rows.estimate(case.at("none", "levels", eps=part / 255)) for part in (0.45, 0.9)
    )
    if near is None or far is None:
        return not_run(claim, NOTES.text("reason-missing"))
    note = NOTES.text("reason-eight-bit", near=near.value, far=far.value)
    holds = near.value == 0 and far.value == 0
    # what rounding does to a pixel has nothing to do with how a network was trained
    return judge_finding(claim, far, holds=holds, note=note, differs=case.differs)


def _linear(claim: Claim, case: Case) -> Verdict:
    fit = case.rows.estimate(case.at("none", "slopes"))
    if fit is None:
        return not_run(claim, NOTES.text("reason-missing"))
    note = NOTES.text("reason-linear", explained=fit.value, eps=case.eps, least=_LINEAR)
    return case.finding(claim, fit, holds=fit.value >= _LINEAR, note=note)


_JUDGES: Mapping[str, Callable[[Claim, Case], Verdict]] = {
    "offline-like-dropout": _offline,
    "fgsm-regulariser": _higher(("fgsm-mix", "fgsm"), ("none", "fgsm"), "under FGSM"),
    "capacity": _capacity,
    "label-leak": _leak,
    "one-step-fails": _one_step_fails,
    "iterative-helps": _higher(("iterative-mix", "pgd"), ("fgsm-mix", "pgd"), "under PGD"),
    "black-box-hole": _higher(
        ("fgsm-mix", "fgsm"), ("fgsm-mix", "transfer:fgsm"), "its own FGSM against a held-out one's"
    ),
    "ensemble": _higher(
        ("ensemble", "transfer:fgsm"),
        ("fgsm-mix", "transfer:fgsm"),
        "under a held-out model's FGSM",
    ),
    "eight-bit": _eight_bit,
    "linear": _linear,
}


def rows_of(rows: StudyRows) -> Sequence[str]:
    """Return the trainings that were run, in the order of the plan, without helpers."""
    names = [str(setting["row"]) for setting in rows.settings(["row"])]
    return [name for name in names if name not in HELPERS]
