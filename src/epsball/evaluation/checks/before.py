"""Checks of a model and its images before any attack."""

from collections.abc import Sequence

import torch
from scipy.special import bdtr
from torch import Tensor

from epsball.attacks import Expectation
from epsball.evaluation.checks.findings import finding
from epsball.evaluation.checks.probe import BATCH, Probe
from epsball.evaluation.engine.engine import Engine
from epsball.evaluation.metrics.present import counted
from epsball.evaluation.metrics.statistics import wilson
from epsball.evaluation.settings import AttackSetting
from epsball.models.precision import tolerance_of
from epsball.models.state import KeptState
from epsball.modes import parts_in_training
from epsball.object_graph import modules_behind
from epsball.tensors import Classifier
from epsball.types import Finding, ModelInfo

_ALONE = 4
_FLAT = 0.02  # between the largest and the smallest score; untrained networks are above
_ZERO_SHARE = 0.05
_ALL_ZERO = 0.99
_ONE_LEVEL = 1 / 255
_LITTLE = 0.25  # of the way from guessing to being right always
_BELOW = 1e-3  # p of so few right answers by guessing
_NEARLY_BLACK = 16.5 / 255


def check_mode(model: Classifier) -> list[Finding]:
    """Block on a model that is in train mode, and say which part of it is."""
    training = parts_in_training(model)
    if not training:
        return []
    message = f"the model is in train mode ({len(training)} of its modules; {training[0]} first)"
    return [finding("train-mode", message, modules=training[:10])]


def check_state(state: KeptState) -> list[Finding]:
    """Restore the model's tensors, modes and gradients, and report what a forward pass changed."""
    moved = state.moved()
    if not moved:
        return []
    state.restore()
    message = (
        f"a forward pass changed {counted(len(moved), 'part')} of the model ({moved[0]} first), "
        "which was put back"
    )
    return [finding("state-moved", message, buffers=moved[:10])]


def check_range(lowest: float, highest: float) -> list[Finding]:
    """Block on images outside [0, 1], or in so small a part of it that they were scaled twice."""
    if lowest >= 0 and highest <= _NEARLY_BLACK:
        message = (
            f"no pixel of any image is above {highest:.4g}: divided by 255 twice, or masks of 0 "
            "and 1, or grey levels from 0 to 16, in place of images"
        )
        return [finding("images-nearly-black", message, highest=highest)]
    if lowest >= 0 and highest <= 1:
        return []
    message = f"images must lie in [0, 1]; these lie in [{lowest:.6g}, {highest:.6g}]"
    return [finding("inputs-out-of-range", message, lowest=lowest, highest=highest)]


def check_scores(engine: Engine, probe: Probe) -> list[Finding]:
    """Check the scores: finite, logits, repeatable, independent of the rest of the batch."""
    scores, info = probe.scores, engine.info
    bad = int((~scores.isfinite().all(1)).sum())
    if bad:
        message = f"{bad} of {len(scores)} images get scores that are not finite"
        return [finding("non-finite-scores", message, images=bad)]
    return [
        *_check_gives(info, scores),
        *_check_repeatable(engine, probe),
        *_check_classes(info),
    ]


def _check_gives(info: ModelInfo, scores: Tensor) -> list[Finding]:
    if info.gives == "probabilities":
        message = (
            "the model returns probabilities; their logarithm is attacked in place of logits, "
            "which has no gradient where a probability has underflowed"
        )
        return [finding("probabilities-not-logits", message)]
    if info.gives == "log-probabilities":
        return [finding("log-probabilities", "the model returns log-probabilities: used as logits")]
    if info.gives == "logits" and float(scores.amin()) >= 0 and float(scores.amax()) <= 1:
        message = (
            "all scores lie in [0, 1] and do not add up to 1: sigmoid outputs, perhaps; they are "
            "attacked as if they were logits"
        )
        return [finding("bounded-scores", message)]
    apart = float((scores.amax(1) - scores.amin(1)).median())
    if info.gives == "logits" and 0 < apart < _FLAT:
        message = (
            f"the scores of an image lie within {apart:.2g} of each other, in the median: to the "
            "cross-entropy all other classes are alike, and its gradient is that of their mean"
        )
        return [finding("flat-scores", message, apart=apart)]
    return []


def _check_repeatable(engine: Engine, probe: Probe) -> list[Finding]:
    """Score the first batch again, then image by image: random, or dependent on the batch?"""
    scale = float(probe.scores.abs().amax()) or 1.0
    size = min(engine.config.micro_batch, BATCH)
    scores, images = probe.scores[:size], probe.examples.images[:size]
    again = float((engine.scores(images) - scores).abs().amax()) / scale
    same = tolerance_of(engine.model)
    if again > same:
        message = f"two forward passes on the same batch differ by {again:.2g} (relative)"
        return [finding("random-forward", message, difference=again)]
    alone = torch.cat([engine.scores(image[None]) for image in probe.examples.images[:_ALONE]])
    if size < _ALONE:  # measuring may have chosen single images
        scores = engine.changed(micro_batch=_ALONE).scores(probe.examples.images[:_ALONE])
    apart = float((alone - scores[:_ALONE]).abs().amax()) / scale
    if apart > same and (draws := _draws_of(engine.model)):
        message = (
            f"the model's scores are means of {draws} draws, and differ by {apart:.2g} of their "
            "size with other draws"
        )
        return [finding("few-draws", message, difference=apart, draws=draws)]
    if apart > same:
        message = (
            f"an image's scores alone and in a batch of {len(scores)} differ by {apart:.2g} "
            "(relative)"
        )
        return [finding("batch-dependent", message, difference=apart)]
    return []


def _draws_of(model: Classifier) -> int:
    """Return how many draws of a random model are averaged; 0 where none are."""
    parts = [part for module in modules_behind(model).values() for part in module.modules()]
    return next((part.samples for part in parts if isinstance(part, Expectation)), 0)


def _check_classes(info: ModelInfo) -> list[Finding]:
    if info.classes >= 4:
        return []
    return [finding("few-classes", f"the model has {info.classes} classes", classes=info.classes)]


def check_chance(right: int, count: int, classes: int) -> list[Finding]:
    """Warn when clean accuracy is little better than guessing; block when it is worse."""
    low, high = wilson(right, count)
    if count < 4:  # too few answers to decide
        return []
    if low > 1 / classes and right / count > 1 / classes + _LITTLE * (1 - 1 / classes):
        return []
    message = (
        f"clean accuracy is {right / count:.1%} on {counted(count, 'image')} "
        f"(95 % interval {low:.1%} to {high:.1%}); guessing among {classes} classes "
        f"gives {1 / classes:.1%}"
    )
    below = bdtr(right, count, 1 / classes) < _BELOW
    code = "below-chance" if below else "near-chance"
    return [finding(code, message, accuracy=right / count, chance=1 / classes)]


def check_gradients(probe: Probe, settings: Sequence[AttackSetting]) -> list[Finding]:
    """Check the gradients of cross-entropy and of the margin at each clean image.

    Args:
        probe: with gradients, or nothing is checked.
        settings: the attacks of the run; a model without any gradient blocks those that need one.
    """
    if probe.loss_slopes is None or probe.margin_slopes is None or not len(probe.scores):
        return []
    slopes = [probe.loss_slopes.flatten(1), probe.margin_slopes.flatten(1)]
    count = len(probe.scores)
    zero, flat = [float((s == 0).all(1).float().mean()) for s in slopes]
    if flat >= _ALL_ZERO:
        message = f"{flat:.0%} of {count} clean images have no gradient at all"
        blind = any(setting.spec.needs_gradient for setting in settings)
        code = "no-gradient" if blind else "zero-gradient"
        return [finding(code, message, cross_entropy=zero, margin=flat)]
    findings = []
    if max(zero, flat) >= _ZERO_SHARE:
        message = (
            f"the gradient is exactly zero for {zero:.0%} of {count} clean images with "
            f"cross-entropy, for {flat:.0%} with the margin"
        )
        findings.append(finding("zero-gradient", message, cross_entropy=zero, margin=flat))
    return findings + _check_constant(slopes[0])


def _check_constant(slopes: Tensor) -> list[Finding]:
    spread = (slopes - slopes[0]).abs().amax()
    if len(slopes) == 1 or float(spread) > 1e-6 * float(slopes.abs().amax()):
        return []
    message = f"all {len(slopes)} clean images have the same gradient"
    return [finding("constant-gradient", message, images=len(slopes))]


def check_eps(settings: Sequence[AttackSetting]) -> list[Finding]:
    """Say when a radius is smaller than what a saved image can hold, or search is inexact."""
    small = sorted({e for s in settings if s.norm == "linf" for e in s.eps if 0 < e < _ONE_LEVEL})
    if not small:
        return []
    message = f"eps {small[0]:.4g} is less than one level of an 8-bit image"
    return [finding("below-8-bit", message, eps=small)]
