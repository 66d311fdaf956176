"""Signs that a gradient attack failed unnoticed, looked for on a few images of the run.

Source: Pintor et al. 2022, arXiv:2106.09947. docs/findings.md says which of our findings stands
for which of its six indicators. Departures: a ball is opened to the whole box, not beyond it; the
loss around an image is called unstable where the gradient does not keep what it promises, not by
its variance, which every steep model has.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import polars as pl
import torch
from torch import Tensor

from epsball.attacks import ATTACKS
from epsball.evaluation.checks.findings import finding
from epsball.evaluation.checks.gradients import box_radius, check_promise
from epsball.evaluation.checks.recorder import watch_attack
from epsball.evaluation.engine.engine import Engine
from epsball.evaluation.engine.verdicts import Batch
from epsball.evaluation.records.measure import Clean, read_scores
from epsball.evaluation.settings import AttackSetting, make_settings
from epsball.objectives import OBJECTIVES
from epsball.types import Finding

_FEW = 16  # images
_OPEN_STEPS = (20, 50)  # with the whole box open every honest gradient arrives in so many
_WALK_STEPS = 100
_FAR_STEPS = 40
_STAND_IN = "apgd:steps=20,objective=margin"
_SURVIVING = 0.1
_LOST = 0.25
_MORE_FOOLED = 0.05


def check_indicators(
    engine: Engine,
    setting: AttackSetting,
    probe: Clean,
    records: pl.DataFrame,
    found: Sequence[Finding],
    *,
    random: bool,
) -> list[Finding]:
    """Open the ball, watch the walk and follow the gradient, on at most 16 images.

    Args:
        engine: the run's engine.
        setting: one of the run's attacks.
        probe: a few images of the run.
        records: of the run.
        found: what is known already; it is not said twice.
        random: the model answers differently each time. Then nothing is looked at: what fooled one
            draw need not fool the next, and `random-forward` has said so already.
    """
    few, widest = _chosen(probe), replace(setting, eps=setting.eps[-1:], restarts=1)
    harmful = setting.means_harm and setting.is_plain and setting.norm != "none"
    if random or not len(few) or not harmful or widest.eps[0] == 0:
        return []
    if setting.spec.adaptive:
        return _check_stand_in(engine, widest, few)
    if not setting.spec.needs_gradient:
        return []
    told = check_promise(engine, widest, few, found)
    if setting.spec.kind == "minimal":
        return told + _check_nearest(engine, widest, records)
    if not setting.spec.takes_eps or "steps" not in setting.knobs or "queries" in setting.knobs:
        return told
    told += _check_open(engine, widest, few)
    return told + _check_walk(engine, widest, few, found)


def _chosen(probe: Clean) -> Batch:
    """Return a few images that are right when clean, evenly over all."""
    right = (probe.reading.prediction == probe.labels).nonzero()[:, 0]
    places = torch.linspace(0, max(0, len(right) - 1), min(_FEW, len(right))).long()
    rows = right[places]
    return Batch(probe.images[rows], probe.labels[rows], probe.positions[rows])


def _fooled(engine: Engine, images: Tensor, few: Batch) -> Tensor:
    return ~read_scores(engine.scores(images), few.labels, engine.info).safe


def _exact(engine: Engine, *, full_budget: bool) -> Engine:
    """Return an engine that searches on the model itself."""
    choices = replace(engine.choices, full_budget=full_budget, precision="float32")
    return Engine(engine.model, engine.info, choices, engine.seed)


def _freely(setting: AttackSetting, steps: int) -> AttackSetting:
    """Return the attack with so many steps, as long as it chooses by itself."""
    knobs = setting.knobs | {"steps": steps}
    if "step_size" in knobs and setting.spec.knobs["step_size"] is None:
        knobs["step_size"] = None
    return replace(setting, knobs=knobs)


def _check_open(engine: Engine, setting: AttackSetting, few: Batch) -> list[Finding]:
    """With every image allowed, a useful gradient leads from anywhere to another class."""
    fewest, most = _OPEN_STEPS
    free = _freely(_unhurried(setting), min(max(setting.knobs["steps"], fewest), most))
    far = box_radius(setting, few)
    free = replace(free, eps=(far / 4, far))  # a step across the whole box may overshoot
    verdicts = _exact(engine, full_budget=False)
    made = verdicts.attack(free, few.images, few.labels, few.positions)[-1].images
    return _unfooled(engine, setting, int((~_fooled(engine, made, few)).sum()), len(few))


def _unhurried(setting: AttackSetting) -> AttackSetting:
    """Return the attack, or pgd in its place, begun at the clean image.

    A random image of the whole box is noise, and wrong without any help by a gradient.
    """
    if "random_start" in setting.knobs:
        return replace(setting, knobs=setting.knobs | {"random_start": False})
    if not setting.spec.random or setting.norm not in ATTACKS["pgd"].norms:
        return setting
    objective = setting.knobs.get("objective")
    objective = objective if objective in OBJECTIVES else "margin"
    asked = f"pgd:random_start=false,objective={objective}"
    return make_settings([asked], norm=setting.norm, eps=setting.eps)[0]


def _check_nearest(engine: Engine, setting: AttackSetting, records: pl.DataFrame) -> list[Finding]:
    """Read off the records whom an attack that is allowed every image fooled at no distance."""
    own = records.filter(variant=setting.variant, eps=setting.eps[0])
    right = own.filter(pl.col("clean_prediction") == pl.col("label"))
    return _unfooled(engine, setting, int(right["distance"].is_infinite().sum()), len(right))


def _unfooled(engine: Engine, setting: AttackSetting, left: int, count: int) -> list[Finding]:
    if left == 0 or left < _SURVIVING * count:
        return []
    or_rejected = " or rejected" if engine.info.rejects else ""
    message = (
        f"with every image allowed, however far, {setting.variant} still leaves {left} of "
        f"{count} right{or_rejected}: its gradient or its objective leads nowhere"
    )
    evidence: dict[str, Any] = {"variant": setting.variant, "left": left, "of": count}
    return [finding("unconstrained-failure", message, **evidence)]


def _check_walk(
    engine: Engine, setting: AttackSetting, few: Batch, found: Sequence[Finding]
) -> list[Finding]:
    """Watch the attack as the run ran it."""
    steps = min(setting.knobs["steps"], _WALK_STEPS)
    short = replace(setting, knobs=setting.knobs | {"steps": steps})
    walk = watch_attack(engine, short, few)
    told = _transferred(setting, walk.claimed, walk.returned, "its cheaper copy")
    passed = int((walk.passed & ~walk.returned).sum())
    if passed:
        message = (
            f"at eps {setting.eps[0]:.4g}, {setting.variant} passes a point that fools the model "
            f"on {passed} of {len(few)} images, and returns one that does not"
        )
        told.append(finding("silent-success", message, variant=setting.variant, images=passed))
    return told + _check_reach(engine, setting, few, walk.returned, found)


def _transferred(
    setting: AttackSetting, claimed: Tensor, returned: Tensor, surrogate: str
) -> list[Finding]:
    """Say where what fools the searched model does not fool the model."""
    lost, count = int((claimed & ~returned).sum()), int(claimed.sum())
    if lost <= max(1, _LOST * count):
        return []
    message = (
        f"at eps {setting.eps[0]:.4g}, of {count} images on which {setting.variant} fools "
        f"{surrogate}, {lost} do not fool the model itself"
    )
    evidence: dict[str, Any] = {"surrogate": surrogate, "fooled": count, "lost": lost}
    return [finding("transfer-failure", message, variant=setting.variant, **evidence)]


def _check_reach(
    engine: Engine,
    setting: AttackSetting,
    few: Batch,
    returned: Tensor,
    found: Sequence[Finding],
) -> list[Finding]:
    """Doubling steps that are far too short changes nothing: look what steps that suffice do."""
    steps, length = setting.knobs["steps"], setting.knobs.get("step_size")
    told = any(
        known.code == "not-converged" and known.evidence.get("variant") == setting.variant
        for known in found
    )
    if told or length is None or steps * length >= setting.eps[0]:
        return []
    longer = _freely(setting, max(steps, _FAR_STEPS))
    verdicts = _exact(engine, full_budget=False)
    made = verdicts.attack(longer, few.images, few.labels, few.positions)[0].images
    fooled, more = int(returned.sum()), int((returned | _fooled(engine, made, few)).sum())
    if more - fooled <= max(1, _MORE_FOOLED * len(few)):
        return []
    message = (
        f"{steps} steps of {length:.4g} cannot cross a ball of {setting.eps[0]:.4g}: "
        f"{setting.variant} fools {fooled} of {len(few)} images, and {more} with "
        f"{longer.knobs['steps']} steps that can"
    )
    evidence: dict[str, Any] = {"variant": setting.variant, "fooled": fooled, "longer": more}
    return [finding("not-converged", message, **evidence)]


def _check_stand_in(engine: Engine, setting: AttackSetting, few: Batch) -> list[Finding]:
    """Attack a model's own stand-in for itself, and try the results on the model."""
    relaxed = getattr(engine.model, "relaxed", None)
    held = relaxed() if callable(relaxed) else None
    if held is None:
        return []
    (attack,) = make_settings([_STAND_IN], norm=setting.norm, eps=setting.eps)
    smoother = replace(_exact(engine, full_budget=True), model=held)
    made = smoother.attack(attack, few.images, few.labels, few.positions)[0].images
    claimed = _fooled(smoother, made, few)
    return _transferred(setting, claimed, _fooled(engine, made, few), "its stand-in relaxed()")
