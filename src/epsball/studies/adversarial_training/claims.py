"""What came out for each claim about adversarial training. Imports no torch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

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

NAME = "adversarial-training"
_USUAL = ("mnist", "cifar10")
_ALIKE = 0.005  # of clean accuracy: what is called performing alike
_FALLS = 0.5  # of the accuracy under FGSM: less than that under PGD is falling
_LINEAR = 0.9  # of the spread that a straight line explains: what is called almost linear
_ONE_STEP = ("fgsm-only", "fgsm-mix")
_LEAKING = (*_ONE_STEP, "fgsm-only-long", "fast")  # made by one step with the true label
_MISSING = "the rows that it compares were not all run"


@dataclass(frozen=True)
class Case:
    """What claims are judged on.

    Args:
        found: the rows.
        eps: the study's.
        differs: what is not as in the source.
        partly: how the networks were trained on less than there is.
    """

    found: StudyRows
    eps: float
    differs: tuple[str, ...]
    partly: tuple[str, ...] = ()

    def at(self, row: str, attack: str = "none", *, eps: float | None = None) -> Point:
        """Return where a row was measured under an attack; clean without one."""
        radius = 0.0 if attack == "none" else self.eps if eps is None else eps
        return Point({"row": row}, attack, radius)

    def finding(self, claim: Claim, least: Estimate, *, holds: bool, note: str) -> Verdict:
        """Judge a finding on the number that decides."""
        differs = (*self.differs, *self.partly)
        return judge_finding(claim, least, holds=holds, note=note, differs=differs)


def judge(
    found: StudyRows, eps: float, data: DataSummary, trained: int | None = None
) -> list[Verdict]:
    """Judge every claim.

    The slides state neither data nor network, so none can differ from theirs; digits of 8 x 8
    pixels are so much easier that they are held not to refute, and so are networks that were given
    a part of the training images.

    Args:
        found: the rows.
        eps: the study's.
        data: on which images.
        trained: how many training images were used; None: all.

    Returns:
        A verdict for each claim of the source, in the order of the list.
    """
    strange = data.name not in _USUAL
    differs = (f"measured on {data.name}",) if strange else ()
    partly = trained is not None and trained < data.train
    less = (f"trained on {trained:,} of {data.train:,} images",) if partly else ()
    case = Case(found, eps, differs, less)
    return complete(NAME, [_one(claim, case, data) for claim in load_claims(NAME)])


def _one(claim: Claim, case: Case, data: DataSummary) -> Verdict:
    name = claim.id.removeprefix(f"{NAME}.")
    if claim.kind == "value":
        return _goodfellow(claim, case, data)
    return _JUDGES[name](claim, case)


def _goodfellow(claim: Claim, case: Case, data: DataSummary) -> Verdict:
    row = "none" if claim.id.endswith("before") else "fgsm-mix"
    right = case.found.estimate(case.at(row))
    if right is None or data.name != "mnist":
        return not_run(claim, "a number of MNIST; the row was not run on it")
    error = replace(right, value=1 - right.value, low=1 - right.high, high=1 - right.low)
    return judge_value(claim, error, differs=("base-cnn, not Goodfellow's maxout network",))


def _higher(more: tuple[str, str], less: tuple[str, str], words: str) -> Callable[..., Verdict]:
    """Return a judge of an ordering of two (row, attack)."""

    def judged(claim: Claim, case: Case) -> Verdict:
        gap = case.found.gap(case.at(*more), case.at(*less))
        if gap is None:
            return not_run(claim, _MISSING)
        values = [_shown(case, where) for where in (more, less)]
        note = f"{words}: {values[0]} against {values[1]}"
        return case.finding(claim, gap, holds=gap.value > 0, note=note)

    return judged


def _shown(case: Case, where: tuple[str, str]) -> str:
    found = case.found.estimate(case.at(*where))
    return "-" if found is None else f"{found.value:.1%}"


def _offline(claim: Claim, case: Case) -> Verdict:
    gap = case.found.gap(case.at("offline"), case.at("dropout"))
    if gap is None:
        return not_run(claim, _MISSING)
    under = [_shown(case, (row, "fgsm")) for row in ("offline", "dropout")]
    note = (
        f"clean accuracy differs by {gap.value:+.4f} (alike: at most {_ALIKE:g}, or an interval "
        f"around 0); under FGSM, which the slides do not compare, {under[0]} against {under[1]}"
    )
    return case.finding(claim, gap, holds=abs(gap.value) <= _ALIKE or gap.holds(0), note=note)


def _capacity(claim: Claim, case: Case) -> Verdict:
    rows = ("fgsm-mix-narrow", "fgsm-mix", "fgsm-mix-wide")
    pairs = ((rows[1], rows[0]), (rows[2], rows[1]))
    gaps = [case.found.gap(case.at(a, "fgsm"), case.at(b, "fgsm")) for a, b in pairs]
    known = [gap for gap in gaps if gap is not None]
    if len(known) < len(pairs):
        return not_run(claim, _MISSING)
    least = min(known, key=lambda gap: gap.value)
    fgsm, hard = ([_shown(case, (row, attack)) for row in rows] for attack in ("fgsm", "strongest"))
    note = (
        f"the FGSM mix at a quarter, once and twice the width keeps {', '.join(fgsm)} under FGSM, "
        f"and {', '.join(hard)} under strongest"
    )
    return case.finding(claim, least, holds=least.value > 0, note=note)


def _leak(claim: Claim, case: Case) -> Verdict:
    gaps = {row: case.found.gap(case.at(row, "fgsm"), case.at(row)) for row in _LEAKING}
    known = {row: gap for row, gap in gaps.items() if gap is not None}
    if not known:
        return not_run(claim, _MISSING)
    row = max(known, key=lambda name: known[name].low)
    note = (
        f"{row}: {_shown(case, (row, 'fgsm'))} under FGSM with the true label, "
        f"{_shown(case, (row, 'none'))} clean; one such case bears 'can' out"
    )
    holds = known[row].low > 0
    few = () if holds else ("the networks tried here are too few to refute that it can",)
    differs = (*case.differs, *case.partly, *few)
    return judge_finding(claim, known[row], holds=holds, note=note, differs=differs)


def _one_step_fails(claim: Claim, case: Case) -> Verdict:
    """Judge mix and FGSM alone: FGSM leaves more than without, PGD less than half of it."""
    gaps = {}
    for row in _ONE_STEP:
        helps = case.found.gap(case.at(row, "fgsm"), case.at("none", "fgsm"))
        falls = case.found.gap(case.at(row, "fgsm"), case.at(row, "pgd"))
        if helps is not None and falls is not None:
            gaps[row] = (helps, falls)
    if not gaps:
        return not_run(claim, _MISSING)
    held = []
    for row, (helps, _) in gaps.items():
        left = case.found.estimate(case.at(row, "pgd"))
        step = case.found.estimate(case.at(row, "fgsm"))
        if left is not None and step is not None:
            held.append(helps.value > 0 and left.value < _FALLS * step.value)
    note = "; ".join(
        f"{row}: {_shown(case, (row, 'fgsm'))} under FGSM, {_shown(case, (row, 'pgd'))} under PGD"
        for row in gaps
    )
    least = min((falls for _, falls in gaps.values()), key=lambda gap: gap.value)
    note = f"{note}; falling is read as less than half of what FGSM leaves"
    return case.finding(claim, least, holds=all(held), note=note)


def _eight_bit(claim: Claim, case: Case) -> Verdict:
    near, far = (
        case.found.estimate(case.at("none", "levels", eps=part / 255)) for part in (0.45, 0.9)
    )
    if near is None or far is None:
        return not_run(claim, _MISSING)
    note = (
        f"rounded to the nearest level, {near.value:.1%} of the moved pixels keep a move of 0.45 "
        f"levels, and {far.value:.1%} one of 0.9: what vanishes is below half a level, unless "
        "images are truncated towards the original"
    )
    holds = near.value == 0 and far.value == 0
    # what rounding does to a pixel has nothing to do with how a network was trained
    return judge_finding(claim, far, holds=holds, note=note, differs=case.differs)


def _linear(claim: Claim, case: Case) -> Verdict:
    found = case.found.estimate(case.at("none", "slopes"))
    if found is None:
        return not_run(claim, _MISSING)
    note = (
        f"a straight line explains {found.value:.1%} of how logits move along the gradient sign "
        f"up to eps {case.eps:.3g} (median image); almost linear is read as {_LINEAR:.0%}"
    )
    return case.finding(claim, found, holds=found.value >= _LINEAR, note=note)


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


def rows_of(found: StudyRows) -> Sequence[str]:
    """Return the rows that were run, in the order of the plan, helpers left out."""
    helpers = ("source-0", "source-1", "held-out")
    names = [str(setting["row"]) for setting in found.settings(["row"])]
    return [name for name in names if name not in helpers]
