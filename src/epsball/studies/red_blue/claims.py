"""The verdict on each claim of the red team, blue team report. Imports no torch."""

from collections.abc import Sequence

from epsball.studies.claims.departures import departures
from epsball.studies.claims.estimates import Estimate
from epsball.studies.claims.study_rows import Point, Setting, StudyRows
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

NAME = "red-blue"
EPS, FAR = 0.10, 0.25
HIGH, LOW = 1e-4, 0.0
_TEST, _TRAIN = 10_000, 60_000  # images of the source
_KEEPS = 0.9  # of clean accuracy: from here on the attack counts as failed
_ATTACKS = ("strongest", "pgd", "fgsm")
Pair = tuple[Point, Point]
NOTES = read_notes("epsball.studies.red_blue")


def judge(rows: StudyRows, base: Setting, options: Options, data: DataSummary) -> list[Verdict]:
    """Judge every claim.

    Args:
        rows: of the study.
        base: values of the parameters other than the penalties; the arm is "clean".
        options: of the study.
        data: facts about the images.

    Returns:
        One verdict per claim of the source, in the order of the list.
    """
    differs = departures(options, data, name="mnist", test=_TEST, train=_TRAIN)
    return complete(NAME, [_one(c, rows, base, differs) for c in load_claims(NAME)])


def _one(claim: Claim, rows: StudyRows, base: Setting, differs: Sequence[str]) -> Verdict:
    if claim.kind == "value":
        return _value(claim, rows, base, differs)
    if claim.id == "red-blue.visible":
        return not_run(claim, NOTES.text("reason-visible"))
    if claim.id == "red-blue.red-fails":
        return _red_fails(claim, rows, base, differs)
    pairs = _pairs(claim.id, base)
    gaps = [(rows.gap(more, less), more, less) for more, less in pairs]
    known = [(gap, more, less) for gap, more, less in gaps if gap is not None]
    if not known or len(known) < len(gaps):
        return not_run(claim, NOTES.text("reason-missing"))
    least, more, less = min(known, key=lambda one: one[0].value)
    right = sum(gap.value > 0 for gap, _, _ in known)
    note = NOTES.text(
        "reason-ordering",
        right=right,
        count=len(known),
        least=least.value,
        more=label(more.setting),
        less=label(less.setting),
        eps=more.eps,
    )
    return judge_finding(claim, least, holds=right == len(known), note=note, differs=differs)


def _value(claim: Claim, rows: StudyRows, base: Setting, differs: Sequence[str]) -> Verdict:
    column = "confidence" if ".confidence." in claim.id else "accuracy"
    setting = {**base, "l1": float(claim.setting["l1"]), "l2": float(claim.setting["l2"])}
    attack, eps = claim.setting.get("attack", "none"), float(claim.setting.get("eps", 0.0))
    point = Point(setting, attack, eps, column)
    estimate = rows.estimate(point)
    if estimate is None:
        return not_run(claim, NOTES.text("reason-setting"))
    return judge_value(claim, estimate, differs=differs, note=_other_readings(rows, point))


def _other_readings(rows: StudyRows, point: Point) -> str:
    """Give the values under the other readings of an ambiguous text."""
    arm = {k: v for k, v in point.setting.items() if k != "arm_eps"} | {"arm": "adversarial"}
    readings = {
        "penalties on adversarial inputs": Point(arm, point.attack, point.eps, point.column)
    }
    if point.eps:
        readings["unclipped"] = Point(point.setting, "fgsm:clip=False", point.eps, point.column)
    known = {name: rows.estimate(other) for name, other in readings.items()}
    return ", ".join(f"{name} {e.value:.4g}" for name, e in known.items() if e is not None)


def _pairs(claim: str, base: Setting) -> list[Pair]:
    """Return (what should be higher, what should be lower) for an ordering."""
    none, both = {**base, "l1": LOW, "l2": LOW}, {**base, "l1": HIGH, "l2": HIGH}
    settings = of_the_source(base)
    if claim == "red-blue.small-eps":
        return [_pair(both, none, eps, "accuracy") for eps in (0.05, 0.075)]
    if claim == "red-blue.small-eps-confidence":
        return [_pair(both, none, eps, "confidence") for eps in (0.05, 0.075)]
    if claim == "red-blue.every-penalty-helps":
        return [_pair(s, none) for s in settings if s != none]
    if claim == "red-blue.l1-over-l2":
        high = [s for s in settings if s["l1"] == HIGH]
        return [_pair(s, other) for s in high for other in settings if other["l1"] == LOW]
    best = [both]
    if claim == "red-blue.two-best":
        best.append({**base, "l1": HIGH, "l2": LOW})
    return [_pair(s, other) for s in best for other in settings if other not in best]


def _pair(more: Setting, less: Setting, eps: float = EPS, column: str = "accuracy") -> Pair:
    return Point(more, "fgsm", eps, column), Point(less, "fgsm", eps, column)


def of_the_source(base: Setting) -> list[Setting]:
    """Return the nine settings of the source, whether or not they were run."""
    values = (LOW, 1e-5, HIGH)
    return [{**base, "l1": l1, "l2": l2} for l1 in values for l2 in values]


def _red_fails(claim: Claim, rows: StudyRows, base: Setting, differs: Sequence[str]) -> Verdict:
    """Judge by the penalised network that keeps most, under the strongest attack that was run."""
    penalised = [s for s in of_the_source(base) if s["l1"] or s["l2"]]
    remaining = {attack: _remaining(rows, penalised, attack) for attack in _ATTACKS}
    # the strongest of the attacks that were run on most of the networks
    attack = max(_ATTACKS, key=lambda name: (len(remaining[name]), -_ATTACKS.index(name)))
    if not remaining[attack]:
        return not_run(claim, NOTES.text("reason-penalised"))
    best, clean, setting = max(remaining[attack], key=lambda one: one[0].value)
    note = NOTES.text(
        "reason-red-fails",
        best=best.value,
        clean=clean.value,
        attack=attack,
        setting=label(setting),
    )
    holds = best.value >= _KEEPS * clean.value
    return judge_finding(claim, best, holds=holds, note=note, differs=differs)


def _remaining(
    rows: StudyRows, settings: Sequence[Setting], attack: str
) -> list[tuple[Estimate, Estimate, Setting]]:
    """Return the accuracy under an attack, the clean accuracy, and the setting."""
    both = [(rows.estimate(Point(s, attack, EPS)), rows.estimate(Point(s)), s) for s in settings]
    return [(a, c, s) for a, c, s in both if a is not None and c is not None]


def label(setting: Setting) -> str:
    """Write the penalties of a setting.

    Example:
        >>> label({"l1": 1e-4, "l2": 0.0}), label({"l1": 0.0, "l2": 0.0})
        ('l1 1e-4', 'no penalty')
    """
    parts = [f"{name} {penalty(setting[name])}" for name in ("l1", "l2") if setting[name]]
    return ", ".join(parts) or "no penalty"


def penalty(value: object) -> str:
    """Write the weight of a penalty: 1e-4, 0."""
    return f"{value:g}".replace("e-0", "e-") if value != HIGH else "1e-4"
