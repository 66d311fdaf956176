"""What came out for each claim of the red team, blue team report. Imports no torch."""

from collections.abc import Sequence

from epsball.studies.claims.estimates import Estimate
from epsball.studies.claims.measured import Measured, Point, Setting
from epsball.studies.claims.table import (
    Claim,
    Verdict,
    complete,
    judge_finding,
    judge_value,
    load_claims,
    not_run,
)
from epsball.studies.core.materials import Materials
from epsball.studies.core.options import Options

NAME = "red-blue"
EPS, FAR = 0.10, 0.25
HIGH, LOW = 1e-4, 0.0
_TEST, _TRAIN = 10_000, 60_000  # of the source
_KEPT = 0.9  # of clean accuracy: what may be called a failure of the red team
_JUDGES = ("strongest", "pgd", "fgsm")
Pair = tuple[Point, Point]


def judge(found: Measured, base: Setting, options: Options, materials: Materials) -> list[Verdict]:
    """Judge every claim.

    Args:
        found: the rows.
        base: values of the parameters that are no penalties; the arm is "clean".
        options: what was asked for.
        materials: on which images.

    Returns:
        A verdict for each claim of the source, in the order of the list.
    """
    differs = differences(options, materials)
    return complete(NAME, [_one(c, found, base, differs) for c in load_claims(NAME)])


def differences(options: Options, materials: Materials) -> tuple[str, ...]:
    """Say what is not as in the source. What it does not state, nobody can differ in."""
    found = []
    if materials.data != "mnist":
        found.append(f"measured on {materials.data}, not on MNIST")
    elif options.limit is not None and options.limit < _TEST:
        found.append(f"on {options.limit:,} of {_TEST:,} test images")
    if options.train_limit is not None and options.train_limit < _TRAIN:
        found.append(f"trained on {options.train_limit:,} images")
    return tuple(found)


def _one(claim: Claim, found: Measured, base: Setting, differs: Sequence[str]) -> Verdict:
    if claim.kind == "value":
        return _value(claim, found, base, differs)
    if claim.id == "red-blue.visible":
        return not_run(
            claim,
            "no person was asked; the strip of digits lets the reader judge: at eps 0.10 every "
            "pixel moves by up to 25 of 255 grey levels",
        )
    if claim.id == "red-blue.red-fails":
        return _red_fails(claim, found, base, differs)
    pairs = _pairs(claim.id, base)
    gaps = [(found.gap(more, less), more, less) for more, less in pairs]
    known = [(gap, more, less) for gap, more, less in gaps if gap is not None]
    if not known or len(known) < len(gaps):
        return not_run(claim, "the settings that it compares were not all run")
    least, more, less = min(known, key=lambda one: one[0].value)
    right = sum(gap.value > 0 for gap, _, _ in known)
    note = (
        f"{right} of {len(known)} comparisons hold; the least difference is {least.value:+.4f}: "
        f"{words(more.setting)} against {words(less.setting)} at eps {more.eps:g}"
    )
    return judge_finding(claim, least, holds=right == len(known), note=note, differs=differs)


def _value(claim: Claim, found: Measured, base: Setting, differs: Sequence[str]) -> Verdict:
    column = "confidence" if ".confidence." in claim.id else "accuracy"
    setting = {**base, "l1": float(claim.setting["l1"]), "l2": float(claim.setting["l2"])}
    attack, eps = claim.setting.get("attack", "none"), float(claim.setting.get("eps", 0.0))
    ours = found.estimate(Point(setting, attack, eps, column))
    if ours is None:
        return not_run(claim, "the setting was not run")
    return judge_value(claim, ours, differs=differs, note=_other_readings(found, setting, claim))


def _other_readings(found: Measured, setting: Setting, claim: Claim) -> str:
    """Say what the ambiguous rest of the text would have given."""
    column = "confidence" if ".confidence." in claim.id else "accuracy"
    attack, eps = claim.setting.get("attack", "none"), float(claim.setting.get("eps", 0.0))
    arm = {k: v for k, v in setting.items() if k != "arm_eps"} | {"arm": "adversarial"}
    readings = {"penalties on adversarial inputs": Point(arm, attack, eps, column)}
    if eps:
        readings["unclipped"] = Point(setting, "fgsm:clip=False", eps, column)
    known = {name: found.estimate(point) for name, point in readings.items()}
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


def _red_fails(claim: Claim, found: Measured, base: Setting, differs: Sequence[str]) -> Verdict:
    """The red team fails where a penalised network keeps 9 in 10 of its right answers."""
    penalised = [s for s in of_the_source(base) if s["l1"] or s["l2"]]
    judged = {attack: _kept(found, penalised, attack) for attack in _JUDGES}
    # the strongest of the attacks that saw most of the networks
    attack = max(_JUDGES, key=lambda name: (len(judged[name]), -_JUDGES.index(name)))
    if not judged[attack]:
        return not_run(claim, "no penalised setting was run")
    return _failure(claim, judged[attack], attack, differs)


def _kept(
    found: Measured, settings: Sequence[Setting], attack: str
) -> list[tuple[Estimate, Estimate, Setting]]:
    """Return what is left under an attack, what was right clean, and the setting."""
    kept = [(found.estimate(Point(s, attack, EPS)), found.estimate(Point(s)), s) for s in settings]
    return [(a, c, s) for a, c, s in kept if a is not None and c is not None]


def _failure(
    claim: Claim,
    known: Sequence[tuple[Estimate, Estimate, Setting]],
    attack: str,
    differs: Sequence[str],
) -> Verdict:
    best, clean, setting = max(known, key=lambda one: one[0].value)
    note = (
        f"the most that any penalised network keeps at eps {EPS:.2f} is {best.value:.1%} under "
        f"{attack} ({words(setting)}), of {clean.value:.1%} clean; a failure of the red team is "
        f"read as 9 in 10 kept"
    )
    holds = best.value >= _KEPT * clean.value
    return judge_finding(claim, best, holds=holds, note=note, differs=differs)


def words(setting: Setting) -> str:
    """Write the penalties of a setting as people do.

    Example:
        >>> words({"l1": 1e-4, "l2": 0.0}), words({"l1": 0.0, "l2": 0.0})
        ('l1 1e-4', 'no penalty')
    """
    parts = [f"{name} {penalty(setting[name])}" for name in ("l1", "l2") if setting[name]]
    return ", ".join(parts) or "no penalty"


def penalty(value: object) -> str:
    """Write the weight of a penalty: 1e-4, 0."""
    return f"{value:g}".replace("e-0", "e-") if value != HIGH else "1e-4"
