"""What a run is going to cost, by phase, from what was measured before it begins."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch

from epsball.evaluation.belief import Control
from epsball.evaluation.checks.probe import Probe
from epsball.evaluation.checks.results import attacks_again, repeated
from epsball.evaluation.engine.config import EngineConfig
from epsball.evaluation.metrics.belief import control_count
from epsball.evaluation.settings import AttackSetting
from epsball.geometry import steepest
from epsball.types import Passes

_GRADIENT = Passes(1, 1)
# an image that lies clearly within the ball is fooled after about so many gradients
_EASY = 8
_OPENED = 16  # images that are attacked in the whole box, by the checks of the results
_SAVED = 3  # ways in which a fooled image is saved and scored again, with the full budget
_UNMOVED = 2  # images on which an ensemble is tried with eps = 0
_DRAWING = 2.0  # seconds, to draw the page: hardly more for a large run than for a small one


def foretell(
    spent: Mapping[str, Mapping[str, float]],
    probe: Probe | None,
    settings: Sequence[AttackSetting],
    config: EngineConfig,
    *,
    count: int,
    rate: float,
    rejects: bool = False,
    control: Control | None = None,
) -> dict[str, dict[str, Any]]:
    """Foretell the passes and the seconds of every phase of a run.

    Attacks cost what their own count of passes says for an image that nothing fools, and a few
    gradients for one that is fooled. Which of the two an image of the probe is, its gradient says
    to first order; where nobody computed gradients, none is fooled.

    Args:
        spent: {phase: {seconds, forwards, backwards}} until now: reading, planning and measuring
            are over, and so are the checks before the attacks.
        probe: a few images of the run; None where the model cannot be called.
        settings: the attacks.
        config: says whether only verdicts are sought.
        count: images of the run.
        rate: input gradients a second, measured.
        rejects: whether the model does.
        control: of the verdict; None: there is none.

    Returns:
        The same for the whole run.
    """
    foretold: dict[str, dict[str, Any]] = {name: dict(phase) for name, phase in spent.items()}
    belief, left = Passes(), 1.0
    if probe is None:
        return foretold
    attacks, checks = Passes(count), Passes()  # every clean image is scored once
    scored = 1 + _SAVED + (config.through is not None) if config.full_budget else 1
    for setting in settings:
        shares = _surviving(probe, setting, full_budget=config.full_budget)
        passes = _each(setting, shares, rejects=rejects).times(count)
        attacks += passes + Passes(scored * len(setting.eps) * count)
        checks += _checked(setting, passes, count=min(count, len(probe.examples)), of=count)
        left = min(left, shares[-1])
    if control is not None:
        each = control.setting.changed(eps=control.setting.eps[-1:]).passes()
        belief = each.times(
            control_count(control.requested, round(left * count), attacks.cost, each.cost)
        )
    for name, passes in (("attacks", attacks), ("checks", checks), ("belief", belief)):
        phase = foretold[name]
        phase["forwards"] += round(passes.forwards)
        phase["backwards"] += round(passes.backwards)
        phase["seconds"] += passes.cost / _GRADIENT.cost / rate
    foretold["report"]["seconds"] += _DRAWING
    return foretold


def total(phases: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Add up the phases.

    Example:
        >>> total({"reading": {"seconds": 1.0, "forwards": 2, "backwards": 0},
        ...        "attacks": {"seconds": 2.0, "forwards": 3, "backwards": 1}})
        {'seconds': 3.0, 'forwards': 5, 'backwards': 1}
    """
    keys = ("seconds", "forwards", "backwards")
    return {key: sum(phase[key] for phase in phases.values()) for key in keys}


def _surviving(probe: Probe, setting: AttackSetting, *, full_budget: bool) -> list[float]:
    """Return the share of images that are still to be fooled after 0, 1, 2 ... of the eps."""
    right = probe.examples.not_yet_adversarial
    shares = [1.0 if full_budget else float(right.float().mean())]
    for eps in setting.eps:
        if not full_budget and setting.norm != "none" and probe.margin_slopes is not None:
            right = right & (_rise(probe, setting, eps) < probe.examples.reading.margin)
        shares.append(shares[0] if full_budget else min(shares[-1], float(right.float().mean())))
    return shares


def _rise(probe: Probe, setting: AttackSetting, eps: float) -> torch.Tensor:
    """Return (n,), by how much the margin changes at most within eps, to first order."""
    images, slopes = probe.examples.images, probe.margin_slopes
    assert slopes is not None  # noqa: S101 - the caller looked
    norm = setting.norm if setting.norm in ("linf", "l2") else "l1"  # l0: the best pixels alone
    moved = (images + eps * steepest(slopes, norm)).clamp(0, 1)
    return (slopes * (moved - images)).double().flatten(1).sum(1)


def _each(setting: AttackSetting, shares: Sequence[float], *, rejects: bool) -> Passes:
    """Return the passes of an image in the mean, over all eps."""
    whole = setting.passes(rejects=rejects)
    easy = whole if whole.cost <= _EASY * _GRADIENT.cost else _GRADIENT.times(_EASY)
    if setting.calls == 1:
        shares = (shares[0], shares[-1 if setting.spec.takes_eps else 0])
    passes = Passes()
    for before, after in pairwise(shares):
        passes += whole.times(after) + easy.times(before - after)
    return passes


def _checked(setting: AttackSetting, passes: Passes, *, count: int, of: int) -> Passes:
    """Return what the checks of an attack's results cost."""
    images = min(repeated(setting, passes, count), count)
    again = passes.times(images / of / max(1, setting.calls) * attacks_again(setting))
    opened = setting.spec.needs_gradient and setting.is_plain and setting.spec.takes_eps
    if setting.spec.composite:  # a ball of radius 0, in which nothing is fooled
        again += setting.passes().times(min(_UNMOVED, count))
    return again + _GRADIENT.times(_EASY * min(_OPENED, count) if opened else 0)
