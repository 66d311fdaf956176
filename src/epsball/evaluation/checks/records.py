"""Checks of the records of a run. Imports no torch."""

from collections.abc import Sequence
from itertools import pairwise, product
from typing import Any

import polars as pl

from epsball.evaluation.checks.findings import finding
from epsball.evaluation.metrics.statistics import mcnemar
from epsball.evaluation.settings import AttackSetting
from epsball.types import Finding

_SURPRISE = 0.01  # p below which a paired difference is not chance
_ROUNDING = 1e-6  # float32 sums of images in [0, 1]
_CLEAN = ("clean_prediction", "clean_rejected")
_LEAST_SHARE = 0.9
_LITTLE_MORE = 1.25


def check_records(records: pl.DataFrame, settings: Sequence[AttackSetting]) -> list[Finding]:
    """Check every record against ball and box, and the attacks against each other."""
    by_name = {setting.variant: setting for setting in settings}
    findings = [*_check_finite(records), *_check_ball(records), *_check_box(records, by_name)]
    read = [*("index", "label", "variant", "norm", "eps", "safe"), *_CLEAN]
    for (norm,), part in records.select(read).group_by("norm", maintain_order=True):
        verdicts = _Verdicts(part, str(norm))
        findings += _check_larger_eps(verdicts, by_name)
        findings += _check_orderings(verdicts, by_name)
        findings += _check_noise(verdicts, by_name)
    return findings + _check_8bit(records)


class _Verdicts:
    """Safe or not, image by image, for every (variant, eps) of one norm."""

    def __init__(self, part: pl.DataFrame, norm: str) -> None:
        self.norm = norm
        groups = part.group_by("variant", "eps", maintain_order=True)
        self.safe = {(str(v), float(e)): images.sort("index")["safe"] for (v, e), images in groups}
        one = part.unique("index", keep="first").sort("index")
        right = pl.col("clean_prediction") == pl.col("label")
        # a clean image that is rejected is no success before the attack
        self.clean = one.select(unfooled=right | pl.col("clean_rejected"))["unfooled"]

    def eps_of(self, variant: str) -> list[float]:
        return sorted(eps for name, eps in self.safe if name == variant)

    def fooled(self, key: tuple[str, float]) -> int:
        return int((~self.safe[key]).sum())

    def only(self, a: tuple[str, float], b: tuple[str, float]) -> int:
        """Count the images that a fools and b does not."""
        return int((~self.safe[a] & self.safe[b]).sum())

    def beats(self, a: tuple[str, float], b: tuple[str, float]) -> bool:
        """Say whether a fools more images than b, by more than chance explains."""
        more, fewer = self.only(a, b), self.only(b, a)
        return more > fewer and mcnemar(more, fewer) < _SURPRISE


def _check_finite(records: pl.DataFrame) -> list[Finding]:
    not_finite = records.filter(pl.col("confidence").is_nan() | pl.col("excess").is_nan())
    if not_finite.is_empty():
        return []
    first = not_finite.row(0, named=True)
    message = (
        f"{len(not_finite)} attacked images get scores or gradients that are not finite; the first "
        f"is image {first['index']} under {first['variant']}"
    )
    return [finding("non-finite-scores", message, results=len(not_finite))]


def _check_ball(records: pl.DataFrame) -> list[Finding]:
    beyond = records.filter(pl.col("excess") > pl.col("eps") * 1e-5 + _ROUNDING)
    if beyond.is_empty():
        return []
    worst = beyond.sort("excess").row(-1, named=True)
    message = (
        f"{len(beyond)} results leave their eps-ball; the farthest, image {worst['index']} under "
        f"{worst['variant']}, has size {worst['eps'] + worst['excess']:.6g} in {worst['norm']} "
        f"at eps {worst['eps']:.6g}"
    )
    return [finding("outside-ball", message, results=len(beyond), variant=worst["variant"])]


def _check_box(records: pl.DataFrame, settings: dict[str, AttackSetting]) -> list[Finding]:
    outside = records.filter((pl.col("lowest") < -_ROUNDING) | (pl.col("highest") > 1 + _ROUNDING))
    findings = []
    for (variant,), part in outside.group_by("variant", maintain_order=True):
        unclipped = settings[str(variant)].knobs.get("clip") is False
        message = f"{len(part)} results of {variant} have pixels outside [0, 1]"
        code = "unclipped" if unclipped else "outside-box"
        findings.append(finding(code, message, variant=variant, results=len(part)))
    return findings


def _check_larger_eps(verdicts: _Verdicts, settings: dict[str, AttackSetting]) -> list[Finding]:
    findings = []
    for variant in dict.fromkeys(name for name, _ in verdicts.safe):
        if not settings[variant].means_harm:
            continue
        for small, large in pairwise(verdicts.eps_of(variant)):
            if verdicts.beats((variant, small), (variant, large)):
                counts = verdicts.fooled((variant, small)), verdicts.fooled((variant, large))
                message = (
                    f"{variant} fools {counts[0]} images at eps {small:.4g} and only {counts[1]} "
                    f"at {large:.4g} ({verdicts.norm})"
                )
                findings.append(
                    finding("larger-eps-helps", message, variant=variant, eps=[small, large])
                )
    return findings


def _check_orderings(verdicts: _Verdicts, settings: dict[str, AttackSetting]) -> list[Finding]:
    """One step must not beat many, and few steps must not beat more of the same."""
    findings = []
    for a, b in product(verdicts.safe, verdicts.safe):
        one, two = settings[a[0]], settings[b[0]]
        comparable = a[1] == b[1] and one.is_plain and two.is_plain
        if not comparable or not (one.spec.needs_gradient and two.spec.needs_gradient):
            continue
        steps = one.knobs.get("steps", 1), two.knobs.get("steps", 1)
        if steps[0] >= steps[1] or not verdicts.beats(a, b):
            continue
        if one.attack == two.attack:
            if one.knobs | {"steps": 0} != two.knobs | {"steps": 0}:
                continue
            code = "more-steps-help"
        elif steps[0] == 1:
            code = "one-step-stronger"
        else:
            continue
        message = (
            f"at eps {a[1]:.4g} ({verdicts.norm}) {a[0]} with {steps[0]} steps fools "
            f"{verdicts.fooled(a)} images, {b[0]} with {steps[1]} only {verdicts.fooled(b)}"
        )
        findings.append(finding(code, message, fewer=a[0], more=b[0], eps=a[1]))
    return findings


def _check_noise(verdicts: _Verdicts, settings: dict[str, AttackSetting]) -> list[Finding]:
    """Compare every gradient attack with those that need no gradient, such as noise."""
    findings = []
    wrong = int((~verdicts.clean).sum())
    for blind, seeing in product(verdicts.safe, verdicts.safe):
        if blind[1] != seeing[1] or blind[1] == 0:
            continue
        one, two = settings[blind[0]], settings[seeing[0]]
        # a composite follows gradients where there are any
        sees = one.spec.needs_gradient or one.spec.composite
        if sees or not (two.spec.needs_gradient and two.is_plain):
            continue
        counts = verdicts.fooled(blind), verdicts.fooled(seeing)
        message = (
            f"at eps {blind[1]:.4g} ({verdicts.norm}) {blind[0]} leaves {counts[0]} images wrong, "
            f"{seeing[0]} {counts[1]}; {wrong} are wrong when clean"
        )
        evidence: dict[str, Any] = {"blind": blind[0], "gradient": seeing[0], "eps": blind[1]}
        if verdicts.beats(blind, seeing):
            findings.append(finding("black-box-stronger", message, **evidence))
        elif one.spec.kind != "query" and _hardly_stronger(*(count - wrong for count in counts)):
            findings.append(finding("noise-as-strong", message, **evidence))
    return findings


def _hardly_stronger(blind: int, seeing: int) -> bool:
    """Say whether noise fools beyond chance, and the gradient attack hardly more."""
    return blind > 0 and mcnemar(blind, 0) < _SURPRISE and seeing <= _LITTLE_MORE * blind


def _check_8bit(records: pl.DataFrame) -> list[Finding]:
    shares = records.group_by("variant", "norm", "eps", maintain_order=True).agg(
        share=pl.col("survives_8bit").mean(), fooled=pl.col("survives_8bit").count()
    )
    low = shares.filter((pl.col("share") < _LEAST_SHARE) & (pl.col("fooled") > 0)).sort("share")
    if low.is_empty():
        return []
    worst = low.row(0, named=True)
    message = (
        f"of the {worst['fooled']} images that {worst['variant']} fools at eps {worst['eps']:.4g}, "
        f"{worst['share']:.0%} stay fooled when rounded to 8 bits"
    )
    return [finding("lost-at-8-bits", message, variant=worst["variant"], share=worst["share"])]
