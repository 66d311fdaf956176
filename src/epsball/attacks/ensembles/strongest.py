"""The strongest attack for the least work: cheap ones first, and only what still wins goes on."""

from dataclasses import replace

from torch import Tensor

from epsball.attacks.core.ascent import value_and_slope
from epsball.attacks.core.asking import Part, relaxed_of
from epsball.attacks.core.checks import check_call
from epsball.attacks.core.sequence import AttackSequence
from epsball.attacks.core.validated import validated
from epsball.attacks.ensembles.methods import METHODS, NORMS, Method
from epsball.attacks.gradient.apgd import apgd
from epsball.attacks.gradient.pgd import Mislead
from epsball.attacks.spec import AttackSpec
from epsball.errors import InvalidInput
from epsball.objectives import margin
from epsball.randomness import Randomness
from epsball.tensors import Classifier, Images, Labels
from epsball.types import Norm, Search

_FLAT = 0.1  # share of the images left whose gradient is zero, from which it is called masked
_PROBED = 64  # images whose gradients are looked at
# the first shares and, where something wins, the second ones: between 105 and 900
_FORETOLD = 500


@validated
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
    """Put every image to one attack after another until it is fooled or nothing wins any more.

    The methods of the table `METHODS` take turns on the images that are left, each with a small
    share of work first. One that fools something is given its next, larger share; one that fools
    nothing is dropped. It ends when no image is left, or no method is. Where gradients look
    masked, because they are zero or because squares win what gradients did not, the methods for
    that case join, and a model that has a differentiable stand-in for itself is attacked through
    it. For a model that rejects, methods join that are made for it.

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
        Which methods go on depends on all images of the batch.

    Raises:
        InvalidInput: an argument breaks its rule.
        UnsupportedNorm: norm is l0.

    Example:
        >>> import torch
        >>> flat = torch.nn.Flatten()
        >>> x, y = torch.full((1, 1, 1, 2), 0.5), torch.tensor([0])
        >>> flat(strongest(flat, x, y, eps=0.125)).argmax(1)
        tensor([1])

    Source: after Croce and Hein 2020, arXiv:2003.01690, whose attacks and budgets these are. The
    order, the shares and the dropping are ours.
    """
    check_call("strongest", inputs, labels, targets, eps=eps, norm=norm, norms=NORMS)
    sequence = AttackSequence(
        model, inputs, labels, eps, norm, targets, generator, search or Search()
    )
    blind = not _has_gradient(sequence)
    rejects = getattr(getattr(model, "info", None), "rejects", False)
    turns = [m for m in METHODS if norm in m.norms and (m.blind or not blind)]
    turns = [m for m in turns if rejects or not m.rejecting]
    masked = blind or _is_flat(sequence)
    if masked:
        _through_stand_in(sequence)
    for turn in range(max(len(method.shares) for method in METHODS)):
        turns, masked = _take_turns(sequence, turns, turn, masked=masked)
        if not len(sequence.remaining) or not any(masked or not method.masked for method in turns):
            break
    return sequence.best


def _take_turns(
    sequence: AttackSequence, turns: list[Method], turn: int, *, masked: bool
) -> tuple[list[Method], bool]:
    """Let every method have its share, and return those that go on and whether masks were seen."""
    going = []
    for method in turns:
        if method.masked and not masked:
            going.append(method)  # it waits until there is reason
        elif turn < len(method.shares) and sequence.run(method.shares[turn]):
            going.append(method)
            if method.blind and not masked:
                # squares fooled what gradients had left: from now on look behind the mask too
                masked = True
                _through_stand_in(sequence)
    return going, masked


def _has_gradient(sequence: AttackSequence) -> bool:
    """Say whether any gradient reaches the images."""
    try:
        _slopes(sequence)
    except InvalidInput:
        return False
    return True


def _slopes(sequence: AttackSequence) -> Tensor:
    rows = sequence.remaining[:_PROBED]
    goal = Mislead(sequence.model, margin, sequence.labels, sequence.targets).rows(rows)
    if not len(rows):
        return sequence.inputs[:0]
    size = sequence.search.micro_batch
    return value_and_slope(sequence.model, sequence.inputs[rows], rows, goal, micro_batch=size)[
        0
    ].slope


def _is_flat(sequence: AttackSequence) -> bool:
    """Say whether the margin's gradient is zero for too many of the images left."""
    slopes = _slopes(sequence)
    if not len(slopes):
        return False
    return float((slopes == 0).flatten(1).all(1).float().mean()) >= _FLAT


def _through_stand_in(sequence: AttackSequence) -> None:
    """Attack a model's differentiable stand-in, where it has one, and try the results on it."""
    relaxed = relaxed_of(sequence.model)
    rows = sequence.remaining
    if relaxed is None or not len(rows):
        return
    plain = replace(sequence.search, retire=False, confirm=None)
    targets = None if sequence.targets is None else sequence.targets[rows]
    for objective in ("cross-entropy", "margin"):
        points = apgd(
            Part(relaxed, rows),
            sequence.inputs[rows],
            sequence.labels[rows],
            eps=sequence.eps,
            norm=sequence.norm,
            steps=40,
            objective=objective,
            targets=targets,
            generator=sequence.fresh(rows),
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
    source="order and shares ours; attacks and budgets: Croce and Hein 2020, arXiv:2003.01690",
    needs_gradient=False,
    random=True,
    keeps="success",
    adaptive=True,
    foretold=lambda _: _FORETOLD,
)
