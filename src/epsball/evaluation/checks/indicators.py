"""Indicators that a gradient attack failed unnoticed, measured on a few images of the run.

Source: Pintor et al. 2022, arXiv:2106.09947. docs/findings.md says which of our findings stands
for which of its six indicators. Departures: a ball is opened to the whole box, not beyond it; the
loss around an image is called unstable where the gradient does not keep what it promises, not by
its variance, which every steep model has.
"""

from collections.abc import Sequence
from typing import Any

import polars as pl
import torch
from torch import Tensor

from epsball.attacks import ATTACKS
from epsball.attacks.core.asking import relaxed_of
from epsball.evaluation.checks.findings import finding
from epsball.evaluation.checks.gradients import box_radius, check_promise
from epsball.evaluation.checks.probe import AttackedProbe, Probe, safe_rows
from epsball.evaluation.engine.attacking import attack_examples
from epsball.evaluation.engine.engine import Engine
from epsball.evaluation.settings import AttackSetting, make_settings
from epsball.objectives import OBJECTIVES
from epsball.types import Finding

_IMAGES = 16  # images
_OPEN_STEPS = (20, 50)  # steps in which an unmasked gradient succeeds where every image is allowed
_FAR_STEPS = 40
_RELAXED_ATTACK = "apgd:steps=20,objective=margin"
_SURVIVING = 0.1
_LOST = 0.25
_MORE_FOOLED = 0.05


def check_indicators(
    engine: Engine,
    attacked: AttackedProbe,
    records: pl.DataFrame,
    known: Sequence[Finding],
) -> list[Finding]:
    """Check the unbounded attack, its steps and its gradients, on at most 16 images.

    Args:
        engine: the run's engine.
        attacked: a few images of the run under one of its attacks, at its largest eps.
        records: of the run.
        known: findings so far; none is raised twice.
    """
    setting, rows = attacked.setting, _right(attacked.probe)
    harmful = setting.means_harm and setting.is_plain and setting.norm != "none"
    if not len(rows) or not harmful:
        return []
    few = attacked.probe.rows(rows)
    if setting.spec.composite:
        return _check_relaxed(engine, setting, few)
    if not setting.spec.needs_gradient:
        return []
    findings = []
    if not _is_known("gradient-noise", known):
        findings = check_promise(engine, setting, few)
    if setting.spec.kind == "minimal":
        findings += _check_nearest(engine, setting, records)
    elif setting.spec.takes_eps and "steps" in setting.knobs and "queries" not in setting.knobs:
        findings += _check_open(engine, setting, few)
        findings += _check_walk(engine, attacked, rows, known)
    return findings


def _is_known(code: str, known: Sequence[Finding], variant: str | None = None) -> bool:
    return any(one.code == code and variant in (None, one.evidence.get("variant")) for one in known)


def _right(probe: Probe) -> Tensor:
    """Return the rows of a few images that are right when clean, evenly over all."""
    examples = probe.examples
    right = (examples.reading.prediction == examples.labels).nonzero()[:, 0]
    return right[torch.linspace(0, max(0, len(right) - 1), min(_IMAGES, len(right))).long()]


def _freely(setting: AttackSetting, steps: int) -> AttackSetting:
    """Return the attack with so many steps, of a length that it chooses by itself if it can."""
    knobs = setting.knobs | {"steps": steps}
    if "step_size" in knobs and setting.spec.knobs["step_size"] is None:
        knobs["step_size"] = None
    return setting.changed(knobs=knobs)


def _check_open(engine: Engine, setting: AttackSetting, few: Probe) -> list[Finding]:
    """Check that the unbounded attack reaches another class, as any useful gradient does."""
    fewest, most = _OPEN_STEPS
    free = _freely(_unhurried(setting), min(max(setting.knobs["steps"], fewest), most))
    far = box_radius(setting, few)
    free = free.changed(eps=(far / 4, far))  # a step across the whole box may overshoot
    verdicts = engine.changed(full_budget=False, precision="float32")
    images = attack_examples(verdicts, free, few.examples)[-1].images
    count = len(few.examples)
    return _unfooled(engine, setting, int(safe_rows(engine, images, few).sum()), count)


def _unhurried(setting: AttackSetting) -> AttackSetting:
    """Return the attack, or pgd in its place, begun at the clean image.

    A random image of the whole box is noise, and wrong without any help by a gradient.
    """
    if "random_start" in setting.knobs:
        return setting.changed(knobs=setting.knobs | {"random_start": False})
    if not setting.spec.random or setting.norm not in ATTACKS["pgd"].norms:
        return setting
    objective = setting.knobs.get("objective")
    objective = objective if objective in OBJECTIVES else "margin"
    text = f"pgd:random_start=false,objective={objective}"
    return make_settings([text], norm=setting.norm, eps=setting.eps)[0]


def _check_nearest(engine: Engine, setting: AttackSetting, records: pl.DataFrame) -> list[Finding]:
    """Find in the records images that an attack without eps did not fool at any distance."""
    own = records.filter(variant=setting.variant, eps=setting.eps[0])
    right = own.filter(pl.col("clean_prediction") == pl.col("label"))
    return _unfooled(engine, setting, int(right["distance"].is_infinite().sum()), len(right))


def _unfooled(engine: Engine, setting: AttackSetting, remaining: int, count: int) -> list[Finding]:
    if remaining == 0 or remaining < _SURVIVING * count:
        return []
    or_rejected = " or rejected" if engine.info.rejects else ""
    message = (
        f"with every image allowed, however far, {setting.variant} still leaves {remaining} of "
        f"{count} right{or_rejected}: its gradient or its objective leads nowhere"
    )
    evidence: dict[str, Any] = {"variant": setting.variant, "left": remaining, "of": count}
    return [finding("unconstrained-failure", message, **evidence)]


def _check_walk(
    engine: Engine, attacked: AttackedProbe, few: Tensor, known: Sequence[Finding]
) -> list[Finding]:
    """Check the points that the attack visited, repeated as in the run."""
    setting, walk = attacked.setting, attacked.walk
    returned = ~attacked.safe[few]
    findings = _transferred(setting, walk.claimed.cpu()[few], returned, "its cheaper copy")
    passed = int((walk.passed.cpu()[few] & ~returned).sum())
    if passed:
        message = (
            f"at eps {setting.eps[0]:.4g}, {setting.variant} passes a point that fools the model "
            f"on {passed} of {len(few)} images, and returns one that does not"
        )
        findings.append(finding("silent-success", message, variant=setting.variant, images=passed))
    if _is_known("not-converged", known, setting.variant):
        return findings
    return findings + _check_reach(engine, setting, attacked.probe.rows(few), returned)


def _transferred(
    setting: AttackSetting, success_on_surrogate: Tensor, success_on_model: Tensor, surrogate: str
) -> list[Finding]:
    """Report images that fool the surrogate and not the model."""
    lost, count = (
        int((success_on_surrogate & ~success_on_model).sum()),
        int(success_on_surrogate.sum()),
    )
    if lost <= max(1, _LOST * count):
        return []
    message = (
        f"at eps {setting.eps[0]:.4g}, of {count} images on which {setting.variant} fools "
        f"{surrogate}, {lost} do not fool the model itself"
    )
    evidence: dict[str, Any] = {"surrogate": surrogate, "fooled": count, "lost": lost}
    return [finding("transfer-failure", message, variant=setting.variant, **evidence)]


def _check_reach(
    engine: Engine, setting: AttackSetting, few: Probe, returned: Tensor
) -> list[Finding]:
    """Repeat with a step size that can cross the ball, where the one given cannot.

    Doubling the number of such steps would change nothing.
    """
    steps, length = setting.knobs["steps"], setting.knobs.get("step_size")
    if length is None or steps * length >= setting.eps[0]:
        return []
    longer = _freely(setting, max(steps, _FAR_STEPS))
    verdicts = engine.changed(full_budget=False, precision="float32")
    images = attack_examples(verdicts, longer, few.examples)[0].images
    count, fooled = len(returned), int(returned.sum())
    more = int((returned | ~safe_rows(engine, images, few)).sum())
    if more - fooled <= max(1, _MORE_FOOLED * count):
        return []
    message = (
        f"{steps} steps of {length:.4g} cannot cross a ball of {setting.eps[0]:.4g}: "
        f"{setting.variant} fools {fooled} of {count} images, and {more} with "
        f"{longer.knobs['steps']} steps that can"
    )
    evidence: dict[str, Any] = {"variant": setting.variant, "fooled": fooled, "longer": more}
    return [finding("not-converged", message, **evidence)]


def _check_relaxed(engine: Engine, setting: AttackSetting, few: Probe) -> list[Finding]:
    """Attack a model's differentiable version, and score the results with the model."""
    relaxed = relaxed_of(engine.model)
    if relaxed is None:
        return []
    (attack,) = make_settings([_RELAXED_ATTACK], norm=setting.norm, eps=setting.eps)
    smoother = engine.of(relaxed).changed(full_budget=True, precision="float32")
    images = attack_examples(smoother, attack, few.examples)[0].images
    claimed, returned = (~safe_rows(one, images, few) for one in (smoother, engine))
    return _transferred(setting, claimed, returned, "its stand-in relaxed()")
