"""A few images of the run that all checks share: scores and gradients, clean and attacked."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from epsball.attacks.core.asking import relaxed_of
from epsball.evaluation.checks.walk import Walk
from epsball.evaluation.engine.attacking import attack_examples
from epsball.evaluation.engine.engine import Engine
from epsball.evaluation.engine.examples import Examples, read_scores
from epsball.evaluation.settings import AttackSetting
from epsball.objectives import cross_entropy, margin
from epsball.rejecting import against_rejection

BATCH = 16  # images at once, so that the first batch can be repeated as it was


@dataclass(frozen=True)
class Probe:
    """Clean images with their scores and gradients, computed once.

    Args:
        examples: n images and what the model says of them.
        scores: (n, k), float32.
        loss_slopes: (n, c, h, w), gradients of cross-entropy; None where no attack needs one.
        margin_slopes: (n, c, h, w), gradients of the margin, or None.
    """

    examples: Examples
    scores: Tensor
    loss_slopes: Tensor | None = None
    margin_slopes: Tensor | None = None

    @classmethod
    def of(cls, engine: Engine, images: Examples, settings: Sequence[AttackSetting]) -> "Probe":
        """Call the model on clean images, with gradients where an attack of the run needs them."""
        engine = engine.changed(micro_batch=min(engine.config.micro_batch, BATCH))
        if not _wants_gradients(engine, settings):
            scores = engine.scores(images.images)
            return cls(
                replace(images, clean=read_scores(scores, images.labels, engine.info)), scores
            )
        parts = []
        for micro_batch in engine.batches(len(images)):
            with micro_batch as rows:
                parts.append(slopes_at(engine, images.rows(rows)))
        scores, loss, gap = (torch.cat(column) for column in zip(*parts, strict=True))
        clean = read_scores(scores, images.labels, engine.info)
        return cls(replace(images, clean=clean), scores, loss, gap)

    def rows(self, chosen: Tensor) -> "Probe":
        """Return some of the images."""
        loss, gap = self.loss_slopes, self.margin_slopes
        return Probe(
            self.examples.rows(chosen),
            self.scores[chosen],
            None if loss is None else loss[chosen],
            None if gap is None else gap[chosen],
        )

    def among(self, positions: Tensor) -> "Probe":
        """Return the images at some positions of the data set."""
        return self.rows(torch.isin(self.examples.positions, positions).nonzero()[:, 0])

    def first(self, count: int) -> "Probe":
        """Return a number of images, evenly over all."""
        last = len(self.examples) - 1
        return self.rows(torch.linspace(0, last, min(count, last + 1)).long())


def _wants_gradients(engine: Engine, settings: Sequence[AttackSetting]) -> bool:
    """Say whether an attack needs gradients, or would use those of a model without a stand-in."""
    if any(setting.spec.needs_gradient for setting in settings):
        return True
    composite = any(setting.spec.composite for setting in settings)
    return composite and engine.info.differentiable and relaxed_of(engine.model) is None


def slopes_at(engine: Engine, batch: Examples) -> tuple[Tensor, Tensor, Tensor]:
    """Return scores and the gradients of cross-entropy and margin, rejection counted in."""
    recorder = engine.recorder(len(batch))
    point = batch.images.to(engine.config.device, copy=True).requires_grad_()
    labels = batch.labels.to(point.device)

    def values() -> tuple[Tensor, Tensor, Tensor]:
        with torch.enable_grad():
            scores = recorder(point).float()
            logits = against_rejection(scores, labels, engine.info.classes)
            return scores, cross_entropy(logits, labels).sum(), margin(logits, labels).sum()

    scores, loss, gap = values()
    try:
        (loss_slope,) = torch.autograd.grad(loss, point, retain_graph=True)
    except RuntimeError as error:  # a compiled model gives one gradient a pass
        if "donated buffer" not in str(error):
            raise
        (loss_slope,), (_, _, gap) = torch.autograd.grad(values()[1], point), values()
        engine.passes.update(forwards=2 * len(batch))
    (gap_slope,) = torch.autograd.grad(gap, point)
    engine.passes.update(forwards=len(batch), backwards=2 * len(batch))
    return scores.detach().cpu(), loss_slope.cpu(), gap_slope.cpu()


@dataclass(frozen=True)
class AttackedProbe:
    """The probe under one attack of the run, repeated at its largest eps and watched.

    Args:
        setting: the attack at one eps, once.
        probe: n clean images.
        images: (n, c, h, w), the results.
        safe: (n,), bool; the model gets them right, or rejects them.
        walk: what the attack passed on its way.
    """

    setting: AttackSetting
    probe: Probe
    images: Tensor
    safe: Tensor
    walk: Walk

    @classmethod
    def of(cls, engine: Engine, setting: AttackSetting, probe: Probe) -> "AttackedProbe":
        """Attack the probe as the run attacked its images."""
        walk = Walk(engine, setting, probe.examples)
        (attacked,) = attack_examples(engine, setting, probe.examples, watch=walk.on_scores)
        return cls(setting, probe, attacked.images, safe_rows(engine, attacked.images, probe), walk)


def safe_rows(engine: Engine, images: Tensor, probe: Probe) -> Tensor:
    """Return (n,) bool: attacked images of the probe that are right, or rejected."""
    return read_scores(engine.scores(images), probe.examples.labels, engine.info).safe
