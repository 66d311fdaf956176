"""Whether images are scaled as the model expects, and gradients are correct at them."""

from dataclasses import replace
from functools import partial

from torch import Tensor

from epsball.evaluation.checks.probe import Probe, slopes_at
from epsball.evaluation.checks.scaling import check_scaling
from epsball.evaluation.checks.slopes import beside, check_slopes
from epsball.evaluation.engine.engine import Engine
from epsball.evaluation.engine.examples import Examples
from epsball.models import Pipeline
from epsball.objectives import margin
from epsball.rejecting import against_rejection
from epsball.types import Finding

_SLOPES = 16  # images whose gradient is compared with finite differences


def check_meeting(
    engine: Engine, probe: Probe, examples: Examples, *, named: bool
) -> list[Finding]:
    """Try other scalings of the images, and compare gradients with finite differences.

    Args:
        engine: calls the model.
        probe: a few of the run's images; without gradients none is compared.
        examples: more of them, whose scalings are tried.
        named: the model was named by a spec, so that options of the command scale its images.
    """
    own = engine.model.preprocess if isinstance(engine.model, Pipeline) else None
    images, labels = examples.images, examples.labels
    findings = check_scaling(
        engine.scores,
        images,
        labels,
        engine.info.classes,
        named=named,
        own=own,
        screening=partial(engine.scores, surrogate=True),
    )
    few = probe.first(_SLOPES)
    if few.margin_slopes is None:
        return findings
    return findings + _compared(engine, few, few.margin_slopes)


def _compared(engine: Engine, few: Probe, slopes: Tensor) -> list[Finding]:
    """Compare gradients with finite differences, beside the images as well where they disagree."""
    truth, scale = few.examples.labels, float(few.scores.abs().max())

    def value(points: Tensor) -> Tensor:
        return margin(against_rejection(engine.scores(points), truth, engine.info.classes), truth)

    if not check_slopes(value, slopes, few.examples.images, scale):
        return []
    aside = replace(few.examples, images=beside(few.examples.images))
    _, _, slopes = slopes_at(engine, aside)
    return check_slopes(value, slopes, aside.images, scale)
