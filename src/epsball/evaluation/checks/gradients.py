"""Does the loss rise where the gradient says that it rises?"""

from collections.abc import Sequence

import torch
from torch import Tensor

from epsball.evaluation.checks.findings import finding
from epsball.evaluation.engine.asking import ask
from epsball.evaluation.engine.engine import Engine
from epsball.evaluation.engine.verdicts import Batch
from epsball.evaluation.settings import AttackSetting
from epsball.geometry import size
from epsball.objectives import margin
from epsball.rejecting import against_rejection
from epsball.types import Finding

_LENGTHS = (0.01, 0.1, 1.0, 4.0)  # of a move along the gradient, in radii of the ball
_LARGEST = 16 / 255  # a pixel: in larger balls even an honest gradient holds only near the image
# of the rise that the gradient promises; honest models keep 0.7 and more, and so do those whose
# rounding is given the gradient of the identity; unrelated gradients keep 0.0, give or take 0.3
_KEPT = 0.3
_ROUNDING = 1e-4  # of the largest score: a smaller rise cannot be told from float32 rounding


def box_radius(setting: AttackSetting, few: Batch) -> float:
    """Return the radius of a ball that holds the whole box, wherever its centre lies."""
    norm = "linf" if setting.norm == "none" else setting.norm
    return float(size(torch.ones_like(few.images[:1]), norm))


def check_promise(
    engine: Engine, setting: AttackSetting, few: Batch, found: Sequence[Finding]
) -> list[Finding]:
    """Move along the gradient by several lengths: at one of them the loss must do as it says.

    Args:
        engine: the run's engine.
        setting: one of the run's attacks, at one eps.
        few: images that are right when clean.
        found: what is known already; the gradient is the same for every attack.
    """
    if any(known.code == "gradient-noise" for known in found):
        return []
    slope, scores = _slopes(engine, few)
    start = margin(scores, few.labels)
    pixel = min(setting.eps[0] / box_radius(setting, few), _LARGEST)
    best = torch.full((len(few),), -torch.inf, dtype=torch.float64)
    for length in _LENGTHS:
        moved = (few.images + length * pixel * slope.sign()).clamp(0, 1)
        promised = (slope * (moved - few.images)).double().flatten(1).sum(1)
        logits = against_rejection(engine.scores(moved), few.labels, engine.info.classes)
        rise = margin(logits, few.labels) - start
        clear = promised > _ROUNDING * scores.abs().amax(1)
        best = torch.where(clear, torch.maximum(best, rise.double() / promised), best)
    looked = best > -torch.inf
    broken, count = int((best[looked] < _KEPT).sum()), int(looked.sum())
    if broken <= max(1, count / 2):
        return []
    message = (
        f"on {broken} of {count} images a move along the gradient brings less than {_KEPT:.0%} "
        f"of the rise it promises, at every length tried from {_LENGTHS[0] * pixel:.2g} to "
        f"{_LENGTHS[-1] * pixel:.2g} a pixel"
    )
    return [finding("gradient-noise", message, images=broken, of=count)]


def _slopes(engine: Engine, few: Batch) -> tuple[Tensor, Tensor]:
    """Return the gradient of each image's margin, and its scores, rejection counted in."""

    def work(rows: slice) -> tuple[Tensor, Tensor]:
        point = few.images[rows].to(engine.choices.device, copy=True).requires_grad_()
        with torch.enable_grad():
            truth = few.labels[rows].to(point.device)
            logits = ask(engine.model, point).float()
            logits = against_rejection(logits, truth, engine.info.classes)
            value = margin(logits, truth)
        (slope,) = torch.autograd.grad(value.sum(), point)
        return slope.cpu(), logits.detach().cpu()

    slopes, scores = zip(*engine.each_batch(len(few), work), strict=True)
    return torch.cat(slopes), torch.cat(scores)
