"""The strongest attack for the least work: cheap stages first, expensive ones where needed."""

from dataclasses import replace

import torch
from torch import Tensor

from epsball.attacks.core.ascent import value_and_slope
from epsball.attacks.core.asking import Part, all_rows, relaxed_of
from epsball.attacks.core.checks import check_call, of_images
from epsball.attacks.core.sequence import AttackSequence
from epsball.attacks.core.validated import validated
from epsball.attacks.ensembles.stages import NORMS, STAGES, Stage, foretold
from epsball.attacks.gradient.apgd import apgd
from epsball.attacks.gradient.pgd import Mislead
from epsball.attacks.spec import AttackSpec
from epsball.errors import InvalidInput
from epsball.objectives import margin
from epsball.randomness import Randomness, another_run
from epsball.tensors import Classifier, Images, Labels
from epsball.types import Norm, Search

# the border is near where the label leads by fewer spreads of the scores than this, and by less
# than half of its lead over the clean image
NEAR = 0.75
CLEARLY = 0.3  # spreads by which squares have to come nearer than gradients had
_STAND_IN = 100  # streams of random numbers that no stage uses


@validated
@of_images
def strongest(
    model: Classifier,
    inputs: Images,
    labels: Labels,
    *,
    eps: float,
    norm: Norm = "linf",
    targets: Labels | None = None,
    generator: Randomness = None,
    search: Search | None = None,
) -> Images:
    """Put every image to one stage after another until one of them fools it.

    The stages of the table `STAGES` follow each other, cheap ones first. Which of them an image
    goes through depends on that image alone: on how near the border its best point lies, on
    whether its gradient is zero, and on whether squares, which need no gradient, came nearer than
    gradients had. A model that has a differentiable stand-in for itself is attacked through it as
    well. For a model that rejects, stages join that are made for it.

    Args:
        model: maps (n, c, h, w) in [0, 1] to logits (n, k); mode and gradients stay untouched.
        inputs: clean batch, (n, c, h, w), float, in [0, 1].
        labels: (n,), int64; the true class, always.
        eps: ball radius in norm, input units (8 / 255, not 8).
        norm: "linf", "l2" or "l1".
        targets: (n,), int64; the classes to reach; None: any class but the label.
        generator: of all that is random; torch's global one when None.
        search: what may be saved; a fooled image is never attacked again.

    Returns:
        (n, c, h, w) in [0, 1], within eps of inputs; a fooled image, or the one nearest to it.
        No row depends on another.

    Raises:
        InvalidInput: an argument breaks its rule.
        UnsupportedNorm: norm is l0.

    Example:
        >>> import torch
        >>> flat = torch.nn.Flatten()
        >>> x, y = torch.full((1, 1, 1, 2), 0.5), torch.tensor([0])
        >>> flat(strongest(flat, x, y, eps=0.125)).argmax(1)
        tensor([1])

    Source: stages and their conditions are ours; the attacks are those of Croce and Hein 2020,
    arXiv:2003.01690, and the constraint relaxation attack, AAAI 2025.
    """
    check_call("strongest", inputs, labels, targets, eps=eps, norm=norm, norms=NORMS)
    sequence = AttackSequence(
        model, inputs, labels, eps, norm, targets, generator, search or Search()
    )
    seeing = _has_gradient(sequence)
    rejects = getattr(getattr(model, "info", None), "rejects", False)
    clean, masked = sequence.gap.clone(), torch.zeros_like(sequence.fooled)
    for stage in STAGES:
        if stage is _FIRST_BLIND:  # gradients have had their turn, in every norm
            masked |= _flat(sequence, seeing=seeing)
            _through_stand_in(sequence)
        if norm not in stage.norms or (stage.rejecting and not rejects):
            continue
        if stage.blind or seeing:
            before = sequence.gap.clone()
            sequence.run(stage.repeated, _rows(sequence, stage, clean, masked))
            if stage.blind:
                masked |= sequence.gap < before - CLEARLY
    return sequence.best


_FIRST_BLIND = next(stage for stage in STAGES if stage.blind)


def _rows(sequence: AttackSequence, stage: Stage, clean: Tensor, masked: Tensor) -> Tensor:
    """Return which of the images left a stage is for; clean: the gaps before any attack."""
    remaining = ~sequence.fooled
    if stage.when == "near":
        remaining &= (sequence.gap < NEAR) & (sequence.gap < clean / 2)
    elif stage.when == "masked":
        remaining &= masked
    return remaining.nonzero()[:, 0]


def _has_gradient(sequence: AttackSequence) -> bool:
    """Say whether the model gives a gradient at all."""
    try:
        _slopes(sequence, all_rows(sequence.inputs)[:1])
    except InvalidInput:
        return False
    return True


def _slopes(sequence: AttackSequence, rows: Tensor) -> Tensor:
    goal = Mislead(sequence.model, margin, sequence.labels, sequence.targets).rows(rows)
    size, points = sequence.search.micro_batch, sequence.inputs[rows]
    visit, _ = value_and_slope(sequence.model, points, rows, goal, micro_batch=size)
    return visit.slope


def _flat(sequence: AttackSequence, *, seeing: bool) -> Tensor:
    """Say for which of the images left the margin has no slope where they are clean."""
    flat = torch.zeros_like(sequence.fooled)
    rows = sequence.remaining
    if len(rows):
        flat[rows] = (_slopes(sequence, rows) == 0).flatten(1).all(1) if seeing else True
    return flat


def _through_stand_in(sequence: AttackSequence) -> None:
    """Attack a model's differentiable stand-in, where it has one, and try the results on it."""
    relaxed = relaxed_of(sequence.model)
    rows = sequence.remaining
    if relaxed is None or not len(rows):
        return
    plain = replace(sequence.search, retire=False, confirm=None)
    targets = None if sequence.targets is None else sequence.targets[rows]
    for number, objective in enumerate(("cross-entropy", "margin")):
        points = apgd(
            Part(relaxed, rows),
            sequence.inputs[rows],
            sequence.labels[rows],
            eps=sequence.eps,
            norm=sequence.norm,
            steps=40,
            objective=objective,
            targets=targets,
            generator=another_run(sequence.generator, _STAND_IN + number, rows),
            search=plain,
        )
        sequence.judge(points, rows)
        rows = sequence.remaining
        targets = None if sequence.targets is None else sequence.targets[rows]
        if not len(rows):
            return


SPEC = AttackSpec(
    strongest,
    kind="budget",
    norms=("linf", "l2", "l1"),
    source="stages ours; attacks: Croce and Hein 2020, arXiv:2003.01690, and AAAI 2025",
    needs_gradient=False,
    random=True,
    keeps="success",
    composite=True,
    foretold=lambda given: foretold(given.get("norm", "linf"), rejects=given.get("rejects", False)),
)
