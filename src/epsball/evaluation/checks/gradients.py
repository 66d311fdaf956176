"""Whether the loss changes along the gradient as the gradient predicts."""

import torch

from epsball.evaluation.checks.findings import finding
from epsball.evaluation.checks.probe import Probe
from epsball.evaluation.engine.engine import Engine
from epsball.evaluation.settings import AttackSetting
from epsball.geometry import size
from epsball.objectives import margin
from epsball.rejecting import against_rejection
from epsball.types import Finding

_LENGTHS = (0.01, 0.1, 1.0, 4.0)  # of a move along the gradient, in radii of the ball
_LARGEST = 16 / 255  # of a pixel: in larger balls any gradient holds only near the image
# of the rise that the gradient promises; unmasked models keep 0.7 and more, and so do those whose
# rounding is given the gradient of the identity; unrelated gradients keep 0.0, give or take 0.3
_LEAST = 0.3
_ROUNDING = 1e-4  # of the largest score: a smaller rise cannot be told from float32 rounding


def box_radius(setting: AttackSetting, probe: Probe) -> float:
    """Return the radius of a ball that holds the whole box, wherever its centre lies."""
    norm = "linf" if setting.norm == "none" else setting.norm
    return float(size(torch.ones_like(probe.examples.images[:1]), norm))


def check_promise(engine: Engine, setting: AttackSetting, probe: Probe) -> list[Finding]:
    """Move along the gradient by several lengths; at one the loss must change as predicted.

    Args:
        engine: the run's engine.
        setting: one of the run's attacks, at one eps.
        probe: images that are right when clean, with gradients.
    """
    examples, slope = probe.examples, probe.margin_slopes
    if slope is None:
        return []
    labels, classes = examples.labels, engine.info.classes
    start = margin(against_rejection(probe.scores, labels, classes), labels)
    scale = probe.scores.abs().amax(1)
    pixel = min(setting.eps[0] / box_radius(setting, probe), _LARGEST)
    best = torch.full((len(examples),), -torch.inf, dtype=torch.float64)
    for length in _LENGTHS:
        moved = (examples.images + length * pixel * slope.sign()).clamp(0, 1)
        promised = (slope * (moved - examples.images)).double().flatten(1).sum(1)
        logits = against_rejection(engine.scores(moved), labels, classes)
        rise = margin(logits, labels) - start
        clear = promised > _ROUNDING * scale
        best = torch.where(clear, torch.maximum(best, rise.double() / promised), best)
    looked = best > -torch.inf
    broken, count = int((best[looked] < _LEAST).sum()), int(looked.sum())
    if broken <= max(1, count / 2):
        return []
    message = (
        f"on {broken} of {count} images a move along the gradient brings less than {_LEAST:.0%} "
        f"of the rise it promises, at every length tried from {_LENGTHS[0] * pixel:.2g} to "
        f"{_LENGTHS[-1] * pixel:.2g} a pixel"
    )
    return [finding("gradient-noise", message, images=broken, of=count)]
